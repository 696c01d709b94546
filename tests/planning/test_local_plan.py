"""Sources on disk in the experiment and its plan: their keys, what is wrong with them, and what they take."""

import pytest

from experiments import ROOT, load, small
from plan import source_rows, unreachable_sizes
from status import source_row
from tars import write_folder, write_hub_tars, write_path_list, write_tar
from testbed.experiment.errors import ExperimentError
from testbed.experiment.settings import product_settings
from testbed.lists.sources import released_sources
from testbed.planning.costs import expectations, stages_of
from testbed.planning.given_files import file_problems
from testbed.planning.local_costs import length_of_local
from testbed.planning.stages import Length
from testbed.records.manifest import write_json

TARS = {"shards": {"path": "tars"}}
FILES = {"files": {"path": "photos"}}


@pytest.fixture
def disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_hub_tars(tmp_path / "tars", 300, per_tar=20)
    write_folder(tmp_path / "photos", 40)
    write_path_list(tmp_path / "lists" / "list.csv", 30)
    return tmp_path


def experiment_of(**sources):
    return load(small(sources={"a": {"metadata": {"miniweb": "yfcc"}, "samples": 500}, **sources}, sizes=[80]))


def test_defaults_are_filled_in_and_the_path_is_no_setting_of_products():
    experiment = experiment_of(t=dict(TARS), f=dict(FILES))
    assert experiment.sources["t"]["shards"] == {"path": "tars", "url": "url", "verify": "all", "as_is": False}
    assert experiment.sources["f"]["files"]["image"] == "image"
    assert experiment.parts("t") == experiment.parts("f") == []
    assert product_settings(experiment.config)["sources"]["t"]["shards"]["verify"] == "all"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            {"metadata": {"miniweb": "yfcc"}},
            "sources.t: has metadata; give either metadata and samples or shards or files",
        ),
        ({}, "sources.t: has no key; give either"),
        (TARS | FILES, "sources.t: has shards, files; give either"),
        ({"shards": {"path": "tars", "captions": "x"}}, "unknown key captions. Did you mean caption?"),
        ({"shards": {"path": "tars", "verify": "some"}}, "sources.t.shards.verify"),
        (TARS | {"samples": 50}, "sizes: 80 samples of t need 80 of source t, which has only 50"),
    ],
)
def test_a_wrong_entry_is_an_error_that_says_what_is_right(source, words):
    with pytest.raises(ExperimentError) as raised:
        experiment_of(t=source)
    assert words in str(raised.value)


def test_missing_tars_and_files_are_told_until_they_are_read(disk):
    sources = {
        "t": {"shards": {"path": "no/*.tar"}},
        "f": {"files": {"path": "no.csv"}},
        "x": {"files": {"path": "no"}},
    }
    sources |= {"fine": dict(TARS), "photos": dict(FILES)}
    config = experiment_of(**sources).config
    assert list(file_problems(config)) == [
        "sources.t.shards: no/*.tar: there is no such file; put the tar files there, or correct the path.",
        "sources.f.files: no.csv: there is no such file; put the list there, or correct the path.",
        "sources.x.files: no: is no folder, and ends in none of .csv, .tsv, .parquet; correct the path.",
    ]
    for source in ("t", "f", "x"):
        write_json(f"results/metadata/{source}/pairs.parquet", {})
    assert list(file_problems(config)) == []


def test_samples_on_disk_are_estimated_and_then_counted(disk):
    length = length_of_local("t", TARS)
    assert length.is_estimate and length.rows == 300
    assert length_of_local("f", FILES) == Length(40, is_estimate=True)
    listed = {"files": {"path": "lists/list.csv", "image": "path", "caption": "text"}}
    assert length_of_local("f", listed) == Length(30)
    assert length_of_local("t", {"shards": {"path": "nowhere"}}) is None
    # The first tar is no tar, and the second one has no image.
    (disk / "odd").mkdir()
    (disk / "odd/0.tar").write_bytes(b"PK\x03\x04")
    write_tar(disk / "odd/1.tar", {"a.txt": b"a cat"})
    assert length_of_local("t", {"shards": {"path": "odd"}}) is None
    write_json("results/metadata/t/counts.json", {"rows": 300, "kept": 290})
    assert length_of_local("t", TARS) == Length(300, 290)


def test_the_plan_has_the_stages_of_tars_and_files_beside_those_of_lists(disk):
    experiment = experiment_of(t=dict(TARS), f=dict(FILES) | {"samples": 80})
    lengths = {name: length_of_local(name, experiment.sources[name]) for name in ("t", "f")}
    expected = expectations(experiment, released_sources(ROOT / "resources/sources.csv"), lengths)
    assert expected["f"].images == 40 and expected["t"].success == 1
    stages = {stage.rule: stage for stage in stages_of(experiment, expected, dict.fromkeys(experiment.testsets, 100))}
    assert {rule: len(stage.products) for rule, stage in list(stages.items())[:8]} == {
        "index_shards": 1,
        "index_files": 1,
        "collect_index": 2,
        "prepare_metadata": 1,
        "shuffle_metadata": 3,
        "download_images": 1,
        "shard_samples": 1,
        "rewrite_shards": 2,
    }
    assert stages["download_images"].work == "500 URLs"
    rows = {row[0]: row for row in source_rows(experiment, expected)}
    assert rows["t"][1] == "tars"
    assert rows["f"][1:5] == ("files", "40", "100%", "40")
    assert "the disk has about 40 samples, fewer than samples: 80" in rows["f"][6]
    assert "80 images are too many: lower the sizes" in rows["f"][6]


def test_the_status_counts_groups_of_tars_and_causes(disk):
    experiment = experiment_of(t=dict(TARS))
    failures = []
    assert source_row(experiment, "t", failures)[1:6] == ("waiting", "waiting", "0/1", "0", "0")
    write_json("results/indexed/t/00000/manifest.json", {})
    write_json("results/metadata/t/pairs.parquet", {})
    write_json("results/metadata/t/counts.json", {"kept": 270, "dropped": {"no_image": 30, "cut": 0}})
    row = source_row(experiment, "t", failures)
    assert row == ("t", "done", "waiting", "1/1", "0", "0", "270", "90.0%", "waiting", "no_image 30")
    assert failures == []


def test_tars_that_are_fetched_are_planned_and_followed_without_a_network(disk):
    fetched = {"shards": {"retrieve": "https://host.test/{00..20}.tar"}}
    experiment = experiment_of(t=fetched)
    assert list(file_problems(experiment.config)) == []
    expected = expectations(experiment, released_sources(ROOT / "resources/sources.csv"), {"t": None})
    assert expected["t"].images == 80
    stages = {stage.rule: stage for stage in stages_of(experiment, expected, dict.fromkeys(experiment.testsets, 100))}
    assert stages["retrieve_shards"].work == "21 tars, size not known"
    assert stages["retrieve_shards"].products == [
        f"results/tars/t/{group}/manifest.json" for group in ("00000", "00001")
    ]
    assert stages["index_shards"].products == [
        f"results/indexed/t/{group}/manifest.json" for group in ("00000", "00001")
    ]
    # What a filter keeps of them is not known either, so none of its sizes is an error.
    best = {"best": {"from": "t", "method": "random", "fraction": 0.3, "sizes": [80]}}
    filtered = load(small(sources=experiment.config["sources"], filters=best, sizes=[80]))
    assert unreachable_sizes(filtered, expectations(filtered, {}, {"t": None})) == []
    assert unreachable_sizes(filtered, expectations(filtered, {}, {"t": Length(100)})) != []
    failures = []
    assert source_row(experiment, "t", failures)[1:4] == ("waiting", "waiting", "0/2") and failures == []
    log = disk / "results/logs/retrieve_shards/t-00001.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "2026-11-30 12:00:00,000 CRITICAL ListRetrievalError: https://host.test/16.tar: HTTP 404. Correct it.\n"
    )
    assert source_row(experiment, "t", failures)[1] == "failed"
    assert failures == ["retrieve_shards t 00001: ListRetrievalError: https://host.test/16.tar: HTTP 404. Correct it."]
    wrong = experiment_of(t={"shards": {"retrieve": "https://host.test/{00..20}.zip"}}).config
    assert list(file_problems(wrong)) == [
        "sources.t.shards: https://host.test/00.zip: is no address of a .tar file; correct it."
    ]
