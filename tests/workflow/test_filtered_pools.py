"""Filters through the whole of the workflow: every method, upon sources and upon each other, from samples to trends."""

import json
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet
from test_bad_input import run_changed
from test_chain import rows_of, uids_of
from test_commands import jobs_of
from test_documented_outputs import OF_HUB_TOKENIZERS, compare, of_filters
from test_reruns import dry_run, reversed_keys

from runs import TINY, run_snakemake

FILTERS = """
filters:
  balanced: {from: mini_yfcc, method: metaclip, entries: [{kind: miniweb}, {kind: list, path: own.txt}], t: 3, sizes: [60]}
  scored:
    from: mini_yfcc
    method: clip_score
    teacher: {pool: mini_imagenet, size: 220}
    fraction: 0.6
    per_class: true
    sizes: []
  best: {from: scored, method: sql, where: "clip_score > -1 AND length(caption) >= 5", sizes: [60]}
  threshold:
    from: mini_shutterstock
    method: clip_score
    teacher: {model: OWN, checkpoint: OWN/open_clip_model.safetensors, device: cpu}
    threshold: -1
    sizes: [60]
  drawn: {from: mini_yfcc, method: random, fraction: 0.8, sizes: [40]}
  unique: {from: mini_yfcc, method: deduplicate, sizes: []}
  apart: {from: unique, method: decontaminate, against: [mini_imagenet, mini_sketch], sizes: [40]}
  clean: {from: balanced, method: basic, minimum_words: 2, maximum_aspect_ratio: 3, sizes: [40]}
mixtures:
  mini_mixed: {shares: {balanced: 1, mini_shutterstock: 1}, sizes: [80]}
"""
POOLS = {"balanced": 60, "best": 60, "threshold": 60, "clean": 40, "drawn": 40, "apart": 40, "mini_mixed": 80}


@pytest.fixture(scope="module")
def filtered_run(tiny_run, tmp_path_factory) -> Path:
    """The finished tiny run with filters beside its pools. Tests leave it as it is."""
    folder = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("filtered") / "clone", symlinks=True))
    (folder / "own.txt").write_text("sunset\nU.S.\n")
    (folder / "filters.yaml").write_text(FILTERS.replace("OWN", "results/models/mini_imagenet-mini_rn-220-0"))
    run_snakemake(folder, "--configfile", TINY, "filters.yaml")
    return folder


def table_of(folder: Path, pool: str) -> pa.Table:
    return pa.concat_tables(
        [parquet.read_table(path) for path in sorted(folder.glob(f"results/samples/{pool}/*.parquet"))]
    )


def test_filters_are_pools_with_models_and_trends(filtered_run):
    rows = rows_of(filtered_run / "results/tables/evaluations.csv")
    assert {(row["pool"], int(row["size"])) for row in rows} >= set(POOLS.items())
    assert {row["pool"] for row in rows_of(filtered_run / "results/tables/trends.csv")} >= set(POOLS)
    assert not list(filtered_run.glob("results/trainsets/scored"))


def test_what_is_kept_is_in_the_sources_order_and_in_the_trainset(filtered_run):
    for pool, source in dict.fromkeys(("balanced", "best", "clean", "drawn", "apart"), "mini_yfcc").items():
        kept, everything = (table_of(filtered_run, name)["uid"].to_pylist() for name in (pool, source))
        assert [uid for uid in everything if uid in set(kept)] == kept
        assert 0 < len(kept) < len(everything)
        assert uids_of(filtered_run / f"results/trainsets/{pool}/{POOLS[pool]}") == kept[: POOLS[pool]]


def test_filters_upon_filters_keep_what_both_keep(filtered_run):
    scored, best = (table_of(filtered_run, pool) for pool in ("scored", "best"))
    long = [row["uid"] for row in scored.to_pylist() if len(row["caption"]) >= 5]
    assert best["uid"].to_pylist() == long
    assert {"clip_score", "reference_class"} <= set(best.column_names)
    assert "keep_probability" in table_of(filtered_run, "clean").column_names


def test_a_mixture_takes_the_first_samples_of_a_filter(filtered_run):
    manifest = json.loads((filtered_run / "results/trainsets/mini_mixed/80/manifest.json").read_text())
    assert manifest["composition"] == {"balanced": 40, "mini_shutterstock": 40}
    wanted = table_of(filtered_run, "balanced")["uid"].to_pylist()[:40]
    assert set(wanted) < set(uids_of(filtered_run / "results/trainsets/mini_mixed/80"))


def test_shards_that_a_filter_keeps_whole_are_links(filtered_run):
    """The lowest threshold keeps all: the filter's shards are the source's."""
    shards = sorted(filtered_run.glob("results/shards/threshold/*.tar"))
    assert shards and all(path.is_symlink() for path in shards)
    with (
        tarfile.open(shards[0]) as archive,
        tarfile.open(filtered_run / "results/shards/mini_shutterstock/000000.tar") as own,
    ):
        assert archive.getnames() == own.getnames()


def test_entries_of_ones_own_stand_among_the_others(filtered_run):
    manifest = json.loads((filtered_run / "results/entries/balanced/manifest.json").read_text())
    assert [one["entries"] for one in manifest["lists"]][1] == 2
    assert manifest["entries"] - manifest["can_match"] == 1
    assert rows_of(filtered_run / "results/tables/entries/balanced.csv")


def test_all_files_are_documented_and_whole(filtered_run):
    unknown, unmade = compare(filtered_run)
    assert unknown == []
    assert unmade & of_filters() - OF_HUB_TOKENIZERS == set()
    verified = run_snakemake(filtered_run, "verify", "--configfile", TINY, "filters.yaml").stdout
    assert "as their manifests record them" in verified


def test_models_of_filters_are_traced_to_the_lists(filtered_run):
    rows = {row["pool"]: row for row in rows_of(filtered_run / "results/provenance.csv")}
    own, teachers = (rows[pool]["sources"].partition("list ")[2] for pool in ("mini_yfcc", "mini_imagenet"))
    # The teacher's list has its part in what it keeps.
    for pool, lists in {"balanced": own, "clean": own, "best": f"{own}; {teachers}"}.items():
        assert rows[pool]["broken"] == ""
        assert rows[pool]["sources"] == f"{pool}: {POOLS[pool]} samples, list {lists}"


def test_plan_and_status_know_filters(filtered_run):
    plan = run_snakemake(filtered_run, "plan", "--configfile", TINY, "filters.yaml").stdout.splitlines()
    jobs = {line.split("  ")[0]: line.split()[-7:] for line in plan}
    assert {"list_samples", "score_pairs", "find_duplicates", "select, balance", "reshard_samples"} <= set(jobs)
    status = run_snakemake(filtered_run, "status", "--configfile", TINY, "filters.yaml").stdout.splitlines()
    line = next(line for line in status if line.startswith("best "))
    assert "select_samples done, reshard_samples done" in line and " of " in line


def test_a_finished_run_has_nothing_to_do(filtered_run):
    result = run_snakemake(filtered_run, "--configfile", TINY, "filters.yaml")
    assert "Nothing to be done" in result.stdout


def test_a_size_beyond_what_is_kept_says_how_many_there_are(filtered_run, tmp_path):
    folder = Path(shutil.copytree(filtered_run, tmp_path / "clone", symlinks=True))
    (folder / "filters.yaml").write_text(
        (folder / "filters.yaml").read_text().replace("t: 3, sizes: [60]", "t: 3, sizes: [250]")
    )
    target = "results/trainsets/balanced/250/manifest.json"
    result = run_snakemake(folder, target, "--configfile", TINY, "filters.yaml", check=False)
    kept = len(table_of(filtered_run, "balanced"))
    assert result.returncode != 0
    log = (folder / "results/logs/link_trainset/balanced-250.log").read_text()
    assert f"balanced: has {kept} samples, {250 - kept} fewer than the trainset takes from it. Lower the sizes" in log


SQL = "from: mini_yfcc, method: sql, where:"
SCORED = "from: mini_yfcc, method: clip_score, fraction: 0.5, teacher:"
METACLIP = "from: mini_yfcc, method: metaclip, entries:"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param(f'f: {{{SQL} "similarity >"}}', ["filters.f.where", "syntax error"], id="syntax"),
        pytest.param(f'f: {{{SQL} "true; DROP TABLE x"}}', ["filters.f.where", "syntax error"], id="two statements"),
        pytest.param(f'f: {{{SQL} "EXISTS (FROM read_text(1))"}}', ["filters.f.where", "subquery"], id="files"),
        pytest.param("f: {from: f, method: basic, language: en}", ["derived from itself (f -> f)"], id="circle"),
        pytest.param(
            f"f: {{{SCORED} {{pool: mini_imagenet, size: 5}}}}",
            ["filters.f.teacher.size: mini_imagenet has no model of size 5"],
            id="teacher",
        ),
        pytest.param(f"f: {{{METACLIP} [{{kind: miniweb}}], t: 0}}", ["filters.f.t: 0"], id="t"),
        pytest.param(
            f"f: {{{METACLIP} [{{kind: list, path: gone.txt}}], t: 9}}",
            ["filters.f.entries.0.path: gone.txt", "Put the list there"],
            id="no list",
        ),
    ],
)
def test_bad_filters_stop_before_any_work(workflow_copy, filters, expected):
    result = run_changed(workflow_copy, "mixtures:\n", f"filters:\n  {filters}\nmixtures:\n")
    assert result.returncode != 0
    for word in expected:
        assert word in result.stdout
    assert "Traceback" not in result.stdout
    assert not (workflow_copy / "results").exists()


def test_a_condition_on_a_column_that_the_list_lacks_stops_before_any_work(workflow_copy):
    (workflow_copy / "list.csv").write_text("url,caption,score\nhttp://photos.test/1.jpg,a cat,3\n")
    mine = "  mine: {metadata: {path: list.csv, format: csv}, samples: 30, sizes: [20]}\n"
    filters = 'filters:\n  f: {from: mine, method: sql, where: "scores > 1", sizes: [20]}\nmixtures:\n'
    text = TINY.read_text().replace("sources:\n", "sources:\n" + mine).replace("mixtures:\n", filters)
    (workflow_copy / "mine.yaml").write_text(text)
    result = run_snakemake(workflow_copy, "--configfile", "mine.yaml", check=False)
    assert result.returncode != 0
    for word in ("filters.f.where", "'scores > 1'", "score, ", "original_width"):
        assert word in result.stdout
    assert not (workflow_copy / "results").exists()


CANNOT_MATCH = pytest.param("U.S.\nSt. Louis\n", "none of its 2 entries can be in a caption", id="none can match")
NO_MATCH = pytest.param("zzyzx\nDOG\n", "none of its 2 entries is in any of ", id="none matches")


@pytest.mark.parametrize(("entries", "expected"), [CANNOT_MATCH, NO_MATCH])
def test_entries_that_no_caption_of_a_list_has_stop_before_any_work(workflow_copy, entries, expected):
    (workflow_copy / "own.txt").write_text(entries)
    (workflow_copy / "list.csv").write_text("url,caption\nhttp://photos.test/1.jpg,a dog\n")
    mine = "  mine: {metadata: {path: list.csv, format: csv}, samples: 30, sizes: [20]}\n"
    filters = (
        "filters:\n  f: {from: mine, method: metaclip, entries: [{kind: list, path: own.txt}], t: 9, sizes: [20]}\n"
    )
    text = TINY.read_text().replace("sources:\n", "sources:\n" + mine).replace("mixtures:\n", filters + "mixtures:\n")
    (workflow_copy / "mine.yaml").write_text(text)
    result = run_snakemake(workflow_copy, "--configfile", "mine.yaml", check=False)
    assert result.returncode != 0
    assert f"filters.f.entries: filter f: {expected}" in result.stdout and "Traceback" not in result.stdout
    assert not (workflow_copy / "results").exists()


@pytest.mark.parametrize(("entries", "expected"), [CANNOT_MATCH, NO_MATCH])
def test_entries_that_no_caption_of_a_drawn_list_has_stop_before_its_images_are_fetched(
    workflow_copy, entries, expected
):
    (workflow_copy / "own.txt").write_text(entries)
    filters = f"filters:\n  f: {{{METACLIP} [{{kind: list, path: own.txt}}], t: 9}}\nmixtures:\n"
    result = run_changed(workflow_copy, "mixtures:\n", filters)
    assert result.returncode != 0
    assert f"filter f: {expected}" in result.stdout
    assert not (workflow_copy / "results/downloads/mini_yfcc").exists()


def test_edits_that_change_nothing_about_filters_plan_nothing(filtered_run, tmp_path):
    """Another order of keys and of pools, defaults that are written out, and how a published teacher is fetched and run."""
    tiny, filters = (yaml.safe_load(path.read_text()) for path in (TINY, filtered_run / "filters.yaml"))
    entries = filters["filters"]
    entries["scored"]["teacher"] |= {"architecture": "mini_rn", "seed": 0}
    entries["threshold"]["per_class"] = False
    config = tiny | filters | {"mixtures": tiny["mixtures"] | filters["mixtures"]}
    config["download"] |= {"proxy": "http://proxy.site.org:3128", "jobs": 3}
    config["evaluation"] |= {"batch_size": 7, "workers": 2}
    output = dry_run(filtered_run, reversed_keys(config), tmp_path / "edited.yaml")
    assert "Nothing to be done" in output, output[-6000:]


def test_another_teacher_makes_again_what_it_selected_alone(filtered_run, tmp_path):
    other = {"filters": {"scored": {"teacher": {"pool": "mini_imagenet", "size": 100}}}}
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(other))
    arguments = ["-n", "--configfile", TINY, filtered_run / "filters.yaml", path]
    jobs = jobs_of(run_snakemake(filtered_run, *arguments).stdout)
    assert {rule: jobs.get(rule, 0) for rule in ("score_pairs", "select_samples", "reshard_samples", "train_clip")} == {
        "score_pairs": 1,
        "select_samples": 2,
        "reshard_samples": 1,
        "train_clip": 1,
    }
    assert not {"download_images", "shard_samples", "balance_samples", "match_entries"} & set(jobs)
