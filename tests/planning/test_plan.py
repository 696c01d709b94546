"""The plan says what each stage takes, how much of it is done, and which source may not reach its sizes."""

import pytest

from experiments import ROOT, load, read, small
from plan import add, amount, hash_lines, source_rows, stage_rows, table_of, unreachable_sizes
from testbed.lists.sources import origin_of, released_sources
from testbed.planning.costs import (
    Expected,
    Length,
    Stage,
    expectations,
    images_of_testsets,
    length_of,
    stages_of,
    training_hours,
)
from testbed.records.manifest import write_json

SOURCES = ROOT / "resources" / "sources.csv"
KNOWN_TESTSETS = ROOT / "resources" / "testsets.csv"
FORMATS = {"yfcc", "laion", "cc12m", "cc3m", "redcaps", "wit", "shutterstock", "datacomp", "yfcc100m"}


def planned(**changes):
    experiment = load(small(shuffle__part_size=300, sizes=[100, 200], **changes))
    return (
        experiment,
        expectations(experiment, released_sources(SOURCES), {}),
        images_of_testsets(experiment, KNOWN_TESTSETS),
    )


def test_the_stages_are_counted_from_the_experiment():
    stages = stages_of(*planned(mixtures={"ab": {"shares": {"a": 1, "b": 1}}}, costs={"success": 0.5}))
    assert {stage.rule: (len(stage.products), stage.work) for stage in stages} == {
        "prepare_metadata": (2, "2,000 rows"),
        "shuffle_metadata": (2, "2,000 pairs"),
        "download_images": (8, "2,000 URLs"),
        "shard_samples": (2, "1,000 images"),
        # Cards need the table of samples of each source.
        "list_samples": (2, "1,000 images"),
        # Near-duplicates are counted in each source with a card.
        "hash_images": (2, "1,000 images"),
        "hash_testset": (5, "20,000 images"),
        "measure_overlap": (2, "1,000 samples"),
        "describe_pool": (2, "1,000 samples"),
        "link_trainset": (6, "links"),
        "train_clip": (6, "7,200 samples seen"),
        "decode_testset": (5, "20,000 images"),
        "evaluate_clip": (6, "6 models and ensembles on 5 test sets"),
    }


def test_an_ensemble_is_evaluated_with_all_of_its_members():
    ensembles = {"both": {"shares": {"a": 1, "b": 2}}}
    stages = {stage.rule: stage for stage in stages_of(*planned(ensembles=ensembles, costs={"evaluation_hours": 3}))}
    # Four models, and two ensembles of two.
    assert stages["evaluate_clip"].work == "6 models and ensembles on 5 test sets"
    assert stages["evaluate_clip"].cpu == 3 * (4 + 2 * 2)


def test_test_sets_are_counted_where_their_images_are_known():
    testsets = {
        "fetched": {"retrieve": "imagenetv2"},
        "drawn": {"miniweb": "imagenet"},
        "foggy": {"corrupt": {"of": "fetched", "kind": "fog", "severity": 3}},
        "own": {"path": "anywhere"},
        "strange": {"retrieve": "nobody-knows"},
        "worse": {"corrupt": {"of": "own", "kind": "fog", "severity": 3}},
    }
    costs = {"testset_kb": 100, "decoded_kb": 200, "corrupted_per_second": 10, "decoded_per_second": 20}
    pretrained = {"published": {"model": "RN50", "tag": "openai"}}
    experiment, expected, images = planned(
        testsets=testsets, reference="fetched", costs=costs, pretrained=pretrained, statistics={"baseline": "none"}
    )
    counts = {"fetched": 10_000, "drawn": 4000, "foggy": 10_000, "own": None, "strange": None, "worse": None}
    assert images == counts
    stages = {stage.rule: stage for stage in stages_of(experiment, expected, images)}
    fetch, corrupt, decode = (stages[f"{verb}_testset"] for verb in ("retrieve", "corrupt", "decode"))
    assert fetch.products == [f"results/testsets/{name}/manifest.json" for name in ("fetched", "strange")]
    assert fetch[1:2] + fetch[3:] == ("10,000 images and those of strange", 1, 1, 0, 0)
    assert corrupt.products == [f"results/testsets/{name}/manifest.json" for name in ("foggy", "worse")]
    assert corrupt[1:2] + corrupt[3:] == ("10,000 images and those of worse", 1, 0, 1000 / 3600, 0)
    # For the experiment's network and for the published one.
    assert len(decode.products) == 12 and "results/decoded/own-published/manifest.json" in decode.products
    assert decode[1:2] + decode[3:] == (
        "48,000 images and those of own, strange, worse",
        pytest.approx(9.6),
        0,
        2400 / 3600,
        0,
    )


def test_filters_are_planned_with_what_they_keep_at_most():
    entries = {
        "half": {"from": "a", "method": "clip_score", "fraction": 0.5, "teacher": {"model": "RN50", "tag": "openai"}},
        "both": {"from": "half", "method": "sql", "where": "likes > 1"},
        "own": {"from": "b", "method": "clip_score", "threshold": 0.3, "teacher": {"pool": "a", "size": 100}},
    }
    rates = {
        "success": 0.5,
        "scored_per_second": 10,
        "filtered_per_second": 5,
        "sharded_per_second": 4,
        "stored_kb": 2000,
    }
    experiment, expected, images = planned(filters=entries, costs=rates, evaluation__workers=3)
    stages = {stage.rule: stage for stage in stages_of(experiment, expected, images)}
    # Of 500 images of a, 250 and at most as many; of 500 of b at most all.
    work = {rule: (len(stages[rule].products), stages[rule].work) for rule in stages}
    assert work["list_samples"] == (2, "1,000 images")
    # Of a filter, what it keeps and what it drops is counted.
    assert work["describe_pool"] == (5, "2,250 samples")
    assert work["score_pairs"] == (2, "1,000 pairs")
    assert work["select, balance"] == (3, "1,250 samples")
    assert work["reshard_samples"] == (3, "at most 1,000 images")
    assert stages["score_pairs"].cpu == pytest.approx(4 * 100 / 3600)
    assert stages["score_pairs"].gpu == pytest.approx(50 / 3600)
    assert (stages["list_samples"].cpu, stages["select, balance"].cpu) == (200 / 3600, 250 / 3600)
    assert (stages["reshard_samples"].disk, stages["reshard_samples"].cpu) == (2, 250 / 3600)


def test_costs_are_amounts_times_rates():
    costs = {
        "success": 0.5,
        "prepared_per_second": 10,
        "shuffled_per_second": 20,
        "downloaded_per_second": 5,
        "sharded_per_second": 4,
        "trained_per_second": {"mini_rn": 2},
        "evaluation_hours": 3,
        "listed_kb": 1000,
        "fetched_kb": 3000,
        "stored_kb": 2000,
        "model_mb": 500,
    }
    plan = planned(costs=costs, architectures__mini_rn__gpus=1, architectures__mini_rn__workers=3)
    stages = {stage.rule: stage for stage in stages_of(*plan)}
    # 2,000 URLs, 1,000 images, 4 models of 100 and 200 samples in 8 epochs.
    assert (stages["prepare_metadata"].disk, stages["prepare_metadata"].cpu) == (2, 200 / 3600)
    assert (stages["shuffle_metadata"].disk, stages["shuffle_metadata"].cpu) == (2, 100 / 3600)
    assert (stages["download_images"].network, stages["download_images"].cpu) == (3, 400 / 3600)
    assert (stages["shard_samples"].disk, stages["shard_samples"].cpu) == (2, 250 / 3600)
    assert stages["train_clip"].gpu == pytest.approx(4800 / 2 / 3600)
    assert stages["train_clip"].cpu == pytest.approx(4 * 4800 / 2 / 3600)
    assert stages["train_clip"].disk == 2
    # Two cores for a GPU.
    assert (stages["evaluate_clip"].gpu, stages["evaluate_clip"].cpu) == (12, 24)


def test_a_model_without_a_rate_has_unknown_hours():
    assert training_hours(planned()[0]) == (None, None)
    assert add([1.0, None]) is None and amount(None) == "?"


def test_a_source_that_may_not_reach_its_sizes_is_told():
    experiment, *_ = planned()
    rows = source_rows(experiment, {"a": Expected(1000, 0.1, 1000), "b": Expected(1000, 0.2, 1000)})
    assert rows[1:] == [
        ("a", "mini-web", "1,000", "10%", "100", "200", "200 images may be too many: lower the sizes"),
        ("b", "mini-web", "1,000", "20%", "200", "200", ""),
    ]


@pytest.mark.parametrize(
    ("length", "urls", "note"),
    [
        (
            Length(150),
            "150",
            "the list has 150 rows, fewer than samples: 1,000; 200 images are too many: lower the sizes",
        ),
        (
            Length(2000, 210),
            "210",
            "the list has 210 usable pairs, fewer than samples: 1,000; 200 images may be too many: lower the sizes",
        ),
        (Length(2000, 900), "900", "the list has 900 usable pairs, fewer than samples: 1,000"),
        (Length(2000), "1,000", ""),
        (None, "1,000", ""),
    ],
)
def test_a_list_shorter_than_samples_is_told(length, urls, note):
    experiment, *_ = planned()
    expected = expectations(experiment, {}, {"a": length})
    assert (expected["a"].urls, expected["a"].rows) == (int(urls.replace(",", "")), length.rows if length else 1000)
    row = source_rows(experiment, expected)[1]
    assert (row[2], row[-1]) == (urls, note)


def test_the_length_of_a_list_comes_from_its_counts_or_from_the_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("url,caption\nhttp://a.test/1,a cat\n")
    metadata = {"path": "list.csv", "format": "csv"}
    assert length_of("mine", metadata) == Length(1)
    assert length_of("mine", {"path": "gone.csv", "format": "csv"}) is None
    assert length_of("mine", {"miniweb": "yfcc"}) is None
    (tmp_path / "results/metadata/mine").mkdir(parents=True)
    write_json(tmp_path / "results/metadata/mine/counts.json", {"rows": 3, "kept": 2})
    assert length_of("mine", metadata) == length_of("mine", {"miniweb": "yfcc"}) == Length(3, 2)


def test_done_products_are_counted_and_their_costs_taken_off(tmp_path):
    (tmp_path / "a.json").touch()
    (tmp_path / "folder.json").mkdir()
    products = [str(tmp_path / name) for name in ("a.json", "b.json", "folder.json", "c.json")]
    stages = [
        Stage("download_images", "15,000,000 URLs", products, network=400, cpu=0.04),
        Stage("train", "8 samples seen", [], gpu=None),
    ]
    assert table_of(stage_rows(stages)).splitlines() == [
        "stage            jobs  done  work             disk GB  network GB  CPU h  GPU h",
        "download_images     4     1  15,000,000 URLs        0         400   0.04      0",
        "train               0     0  8 samples seen         0           0      0      ?",
        "total               4     1                         0         400   0.04      ?",
        "left                3                               0         300   0.03      ?",
    ]


def test_every_released_format_has_its_facts():
    assert set(released_sources(SOURCES)) == FORMATS
    for row in released_sources(SOURCES).values():
        # DataComp has pools of several sizes.
        empty = {"images_2022", "main_host"} | ({"rows"} if row["format"] == "datacomp" else set())
        assert None not in row and all(row[column] for column in row if column not in empty)
        assert 0 < float(row["expected_success"]) <= 1
        assert int(row["rows"] or 12_800_000) > 1_000_000


def test_hash_checks_are_planned_as_cpu_time_only():
    columns = {"url": "url", "caption": "text", "md5": "hash"}
    sources = {
        "listed": {"metadata": {"path": "x", "format": "datacomp"}, "samples": 2_000_000},
        "own": {"metadata": {"path": "y.csv", "format": "csv", "columns": columns}, "samples": 1_000_000},
        "joined": {"metadata": {"path": "c.tsv", "format": "cc12m", "join": "hashes.tsv"}, "samples": 1_000_000},
        "without": {"metadata": {"path": "z.csv", "format": "csv"}, "samples": 1_000_000},
    }
    changes = {f"sources__{name}": source for name, source in sources.items()}
    costs = {"success": 0.5, "fetched_kb": 200, "hashed_mb_per_second": 100, "downloaded_per_second": 100}
    stages, others = {}, {}
    for switch, found in ((True, stages), (False, others)):
        experiment, expected, tested = planned(**changes, costs=costs, download__verify_hashes=switch)
        found |= {stage.rule: stage for stage in stages_of(experiment, expected, tested)}
        lines = hash_lines(experiment, expected)
        assert len(lines) == (3 if switch else 0)
    success = {name: float(row["expected_success"]) for name, row in released_sources(SOURCES).items()}
    images = [round(2_000_000 * success["datacomp"]), 500_000, round(1_000_000 * success["cc12m"])]
    hours = sum(images) * 0.2 / 100 / 3600
    assert stages["download_images"].cpu == pytest.approx(others["download_images"].cpu + hours)
    assert all(stages[rule] == others[rule] for rule in stages if rule != "download_images")
    experiment, expected, _ = planned(**changes, costs=costs)
    assert hash_lines(experiment, expected)[1] == (
        "Hash check of own: 500,000 images are compared with the MD5 of the list. That is 0.28 of the CPU h of "
        "download_images, and no network."
    )


def test_the_papers_sizes_are_expected_to_be_reached():
    experiment = load(read("paper"))
    expected = expectations(experiment, released_sources(SOURCES), {})
    assert [row[0] for row in source_rows(experiment, expected)[1:] if row[-1]] == []


def test_a_size_that_a_filter_cannot_fill_is_an_error_of_the_plan():
    teacher = {"pool": "a", "architecture": "mini_rn", "size": 100, "seed": 0}
    entry = {"from": "a", "method": "clip_score", "teacher": teacher, "fraction": 0.3, "sizes": [100, 200]}
    experiment, expected, _ = planned(filters={"best": entry}, costs={"success": 0.5})
    # 30 % of 500 images.
    assert unreachable_sizes(experiment, expected) == [
        "filters.best: a trainset of 200 samples cannot be filled, about 150 are expected to be kept; lower its sizes"
    ]
    experiment, expected, _ = planned(filters={"best": entry | {"sizes": [100]}}, costs={"success": 0.5})
    assert unreachable_sizes(experiment, expected) == []


def test_filters_of_the_paper_share_three_sizes_with_their_source():
    experiment = load(read("paper"))
    expected = expectations(experiment, released_sources(SOURCES), {})
    assert unreachable_sizes(experiment, expected) == []
    for name, entry in experiment.filters.items():
        assert len({*experiment.sizes(name)} & {*experiment.sizes(entry["from"])}) >= 3
    assert {tuple(sorted(entry["shares"].items())) for entry in experiment.mixtures.values()} == {
        tuple(sorted(entry["shares"].items())) for entry in experiment.ensembles.values()
    }


def test_a_list_says_where_it_comes_from():
    assert origin_of(SOURCES, "redcaps") == ". RedCaps comes from: redcaps.xyz, version 1.0, zip of 1.06 GB."
    assert origin_of(SOURCES, "csv") == ""
