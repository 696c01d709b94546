"""Filters without near-duplicates, from files on disk and test sets to shards, with copies of test images in the source."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet
from test_commands import jobs_of

from near_images import CHANGES, drawing, jpeg
from runs import TINY, copy_workflow, run_snakemake
from small_testsets import write_testset
from testbed.miniweb.testsets import TEMPLATES

FILTERS = """
filters:
  apart: {from: photos, method: decontaminate, against: [tested, captioned], sizes: []}
  near: {from: photos, method: decontaminate, against: [captioned], distance: 0, sizes: []}
  unique: {from: apart, method: deduplicate, sizes: []}
"""
TESTED = range(300, 330)
"""Drawings of the test set `tested`; those from 320 on are in `captioned` too."""


def planted() -> dict[str, bytes]:
    """Images by name: drawings, changed copies of test images, and changed copies of the first drawings."""
    files = {f"own{number:03d}": jpeg(drawing(number)) for number in range(60)}
    for name, change in zip(("reencoded", "cropped", "brightened"), CHANGES, strict=True):
        files |= {f"test_{name}_{number}": change(drawing(number)) for number in TESTED[::3]}
        files |= {f"copy_{name}_{number}": change(drawing(number)) for number in range(0, 60, 6)}
    return files


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A workflow with a source of the planted images and two test sets, of which filters are made up to their shards."""
    folder = copy_workflow(tmp_path_factory.mktemp("near") / "clone")
    (folder / "photos").mkdir()
    for name, content in planted().items():
        (folder / f"photos/{name}.jpg").write_bytes(content)
        (folder / f"photos/{name}.txt").write_text(name)
    tested = [(jpeg(drawing(number)), str(number % 2).encode()) for number in TESTED]
    for name in ("mine", "shift"):
        write_testset(folder / name, "classification", tested)
        (folder / name / "classnames.txt").write_text("even\nodd\n")
        (folder / name / "zeroshot_classification_templates.txt").write_text("\n".join(TEMPLATES) + "\n")
    write_testset(folder / "captions", "retrieval", [(jpeg(drawing(number)), b"a\nb") for number in TESTED[20:]])
    config = yaml.safe_load(TINY.read_text(encoding="utf-8")) | yaml.safe_load(FILTERS)
    config |= {"sources": {"photos": {"files": {"path": "photos"}}}, "sizes": [20], "reference": "tested"}
    config |= {"statistics": {"baseline": "none"}, "testsets": {"tested": {"path": "mine"}, "shift": {"path": "shift"}}}
    config["testsets"]["captioned"] = {"path": "captions", "task": "retrieval"}
    del config["mixtures"], config["ensembles"], config["similarity"]
    (folder / "mine.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    targets = [f"results/shards/{name}/manifest.json" for name in ("unique", "near")]
    run_snakemake(folder, *targets, "--configfile", "mine.yaml")
    return folder


def names_of(run: Path, pool: str) -> list[str]:
    parts = sorted(run.glob(f"results/samples/{pool}/*.parquet"))
    return pa.concat_tables([parquet.read_table(part) for part in parts])["caption"].to_pylist()


def manifest(run: Path, folder: str) -> dict:
    return json.loads((run / f"results/{folder}/manifest.json").read_text())


def test_copies_of_test_images_are_dropped(run):
    everything, kept = set(names_of(run, "photos")), set(names_of(run, "apart"))
    copies = {name for name in everything if name.startswith("test_")}
    assert len(everything) == len(planted()) and len(copies) == 30
    dropped = everything - kept
    assert len(dropped & copies) >= 0.95 * len(copies)
    assert len(dropped & copies) >= 0.95 * len(dropped)
    found = manifest(run, "samples/apart")
    assert (found["samples"], found["of"], found["near_duplicates"]) == (len(kept), len(everything), len(dropped))
    assert found["distance"] == 10 and found["against"] == ["tested", "captioned"]
    tested, captioned = (found["testsets"][name] for name in ("tested", "captioned"))
    assert (tested["images"], captioned["images"]) == (30, 10)
    # Drawings 321, 324 and 327 were copied, and are in both.
    assert tested["near_images"] >= 10 and captioned["near_images"] == 3
    assert tested["near_samples"] == len(dropped)


def test_a_smaller_distance_drops_less(run):
    assert set(names_of(run, "near")) > set(names_of(run, "apart"))
    assert manifest(run, "samples/near")["near_duplicates"] < manifest(run, "samples/apart")["near_duplicates"]


def test_of_copies_within_the_pool_the_first_is_kept(run):
    before, kept = names_of(run, "apart"), names_of(run, "unique")
    assert kept == [name for name in before if name in set(kept)]
    for number in range(0, 60, 6):
        group = [name for name in before if name in (f"own{number:03d}",) or name.endswith(f"ed_{number}")]
        group = [name for name in group if not name.startswith("test_")]
        assert len(group) == 4 and group[0] in kept
    assert len(before) - len(kept) >= 0.95 * 30


def test_the_shards_and_lineage_of_a_filter_of_a_filter(run):
    assert manifest(run, "shards/unique")["samples"] == len(names_of(run, "unique"))
    made_from = [entry["path"] for entry in manifest(run, "duplicates/apart")["made_from"]]
    assert made_from == [
        f"results/{folder}/manifest.json"
        for folder in ("samples/photos", "hashes/photos", "testset_hashes/tested", "testset_hashes/captioned")
    ]


def test_another_distance_hashes_nothing_again(run):
    other = {"filters": {"apart": {"distance": 6}}}
    (run / "other.yaml").write_text(yaml.safe_dump(other))
    target = "results/samples/unique/manifest.json"
    jobs = jobs_of(run_snakemake(run, "-n", target, "--configfile", "mine.yaml", "other.yaml").stdout)
    assert jobs.keys() - {"total"} == {"find_duplicates", "select_samples"}
    assert jobs["find_duplicates"] == 2
    (run / "other.yaml").write_text(yaml.safe_dump({"filters": {"apart": {"distance": 10}}}))
    same = run_snakemake(run, "-n", target, "--configfile", "mine.yaml", "other.yaml").stdout
    assert "Nothing to be done" in same
