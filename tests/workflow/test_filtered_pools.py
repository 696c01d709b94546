"""Filters through the whole of the workflow: every method, upon sources and upon each other, from samples to trends."""

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet
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
    from: mini_laion
    method: clip_score
    teacher: {model: OWN, checkpoint: OWN/open_clip_model.safetensors, device: cpu}
    threshold: -1
    sizes: [60]
  drawn: {from: mini_yfcc, method: random, fraction: 0.8, sizes: [40]}
  unique: {from: mini_yfcc, method: deduplicate, sizes: []}
  apart: {from: unique, method: decontaminate, against: [mini_imagenet, mini_sketch], sizes: [40]}
  clean: {from: balanced, method: basic, minimum_words: 2, maximum_aspect_ratio: 3, sizes: [40]}
  recaptioned:
    from: mini_yfcc
    method: all
    columns_from: {path: own.csv, key: url, columns: {better: text, number: number}}
    caption: better
    share: 0.5
    sizes: [40]
  named: {from: recaptioned, method: subset, path: named.npy, sizes: []}
  removed: {from: named, method: remove, where: "number % 3 = 0", sizes: [40]}
  removed_control: {from: named, method: random, as_many_as: removed}
mixtures:
  mini_mixed: {shares: {balanced: 1, mini_laion: 1}, sizes: [80]}
"""
POOLS = {"balanced": 60, "best": 60, "threshold": 60, "clean": 40, "drawn": 40, "mini_mixed": 80, "recaptioned": 40}
POOLS |= {"removed": 40, "removed_control": 40, "apart": 40}


@pytest.fixture(scope="module")
def filtered_run(tiny_run, tmp_path_factory) -> Path:
    """The finished tiny run with filters beside its pools. Tests leave it as it is."""
    folder = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("filtered") / "clone", symlinks=True))
    (folder / "own.txt").write_text("sunset\nU.S.\n")
    (folder / "filters.yaml").write_text(FILTERS.replace("OWN", "results/models/mini_imagenet-mini_rn-220-0"))
    pairs = parquet.read_table(folder / "results/metadata/mini_yfcc/pairs.parquet").to_pylist()
    # Every tenth pair is not in the user's table.
    rows = [f"{row['url']},a picture {place},{place}" for place, row in enumerate(pairs) if place % 10]
    (folder / "own.csv").write_text("\n".join(["url,text,number", *rows]) + "\n")
    uids = sorted(row["uid"] for row in pairs[2:])
    np.save(folder / "named.npy", np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids], "u8,u8"))
    run_snakemake(folder, "all", "results/subsets/removed.npy", "--configfile", TINY, "filters.yaml")
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
    pools = ("balanced", "best", "clean", "drawn", "removed", "removed_control", "apart")
    for pool, source in dict.fromkeys(pools, "mini_yfcc").items():
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
    assert manifest["composition"] == {"balanced": 40, "mini_laion": 40}
    wanted = table_of(filtered_run, "balanced")["uid"].to_pylist()[:40]
    assert set(wanted) < set(uids_of(filtered_run / "results/trainsets/mini_mixed/80"))


def test_shards_that_a_filter_keeps_whole_are_links(filtered_run):
    """The lowest threshold keeps all: the filter's shards are the source's."""
    shards = sorted(filtered_run.glob("results/shards/threshold/*.tar"))
    assert shards and all(path.is_symlink() for path in shards)
    with (
        tarfile.open(shards[0]) as archive,
        tarfile.open(filtered_run / "results/shards/mini_laion/000000.tar") as own,
    ):
        assert archive.getnames() == own.getnames()


def test_entries_of_ones_own_stand_among_the_others(filtered_run):
    manifest = json.loads((filtered_run / "results/entries/balanced/manifest.json").read_text())
    assert [one["entries"] for one in manifest["lists"]][1] == 2
    assert manifest["entries"] - manifest["can_match"] == 1
    assert rows_of(filtered_run / "results/tables/entries/balanced.csv")


def test_joined_columns_and_new_captions_go_down_to_trainsets_and_provenance(filtered_run):
    rows = table_of(filtered_run, "recaptioned").to_pylist()
    assert {row["caption"] for row in rows if row["caption"] != row["original_caption"]} == {
        *(row["better"] for row in rows if row["caption"] == row["better"])
    }
    facts = json.loads((filtered_run / "results/samples/recaptioned/manifest.json").read_text())
    joined = json.loads((filtered_run / "results/columns/recaptioned/manifest.json").read_text())
    assert joined["unmatched"] == sum(row["better"] is None for row in rows) > 0
    assert sum(facts["captions"].values()) == len(rows) and min(facts["captions"].values()) > 0
    captions = {row["uid"]: row["caption"] for row in rows}
    for path in filtered_run.glob("results/trainsets/recaptioned/40/*.tar"):
        with tarfile.open(path) as archive:
            texts = {
                name[:-4]: archive.extractfile(name).read() for name in archive.getnames() if name.endswith(".txt")
            }
            assert {uid: text.decode() for uid, text in texts.items()} == {uid: captions[uid] for uid in texts}
    own = hashlib.sha256((filtered_run / "own.csv").read_bytes()).hexdigest()
    assert own in (filtered_run / "results/provenance/recaptioned-mini_rn-40-0.json").read_text()


def test_a_removal_has_a_control_of_the_same_size(filtered_run):
    named, removed, control = (table_of(filtered_run, pool) for pool in ("named", "removed", "removed_control"))
    assert removed["uid"].to_pylist() == [row["uid"] for row in named.to_pylist() if (row["number"] or 1) % 3]
    assert len(control) == len(removed) < len(named)
    assert control["uid"].to_pylist() != removed["uid"].to_pylist()
    claims = {row["claim"]: row for row in rows_of(filtered_run / "results/claims.csv")}
    assert claims["selection_moves_the_line"]["verdict"] == "undecided"
    subset = np.load(filtered_run / "results/subsets/removed.npy")
    assert [f"{high:016x}{low:016x}" for high, low in subset.tolist()] == sorted(removed["uid"].to_pylist())


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
