"""One point of the plot, followed back to the list it came from: every hash on the way against the file itself."""

import csv
import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from pyarrow import parquet

from runs import TINY, run_snakemake
from testbed.records.files import sha256

POINT = {"model": "mini_blend-mini_rn-220-0", "testset": "mini_v2", "metric": "top1"}
SOURCES = {"mini_laion": 147, "mini_yfcc": 73}


def rows_of(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def chain_of(run: Path, model: str) -> dict:
    return json.loads((run / f"results/provenance/{model}.json").read_text(encoding="utf-8"))


def files_of(node: object) -> list[tuple[str, str]]:
    """Path and SHA-256 of every file that a chain names, wherever it does."""
    if isinstance(node, list):
        return [file for entry in node for file in files_of(entry)]
    if not isinstance(node, dict):
        return []
    own = [(node["path"], node["sha256"])] if {"path", "sha256"} <= set(node) else []
    return own + [file for value in node.values() for file in files_of(value)]


def wrong_files(run: Path, model: str) -> set[str]:
    """Files that a model's chain names and that are not as it says."""
    return {path for path, digest in files_of(chain_of(run, model)) if sha256(run / path) != digest}


def urls_of(trainset: Path) -> list[bytes]:
    """Where the image of each sample of a trainset came from."""
    urls = []
    for shard in sorted(trainset.glob("*.tar")):
        with tarfile.open(shard) as archive:
            samples = [archive.extractfile(member) for member in archive if member.name.endswith(".json")]
            urls += [json.load(sample)["url"].encode() for sample in samples]
    return urls


def urls_in(listed: Path) -> bytes:
    """What a file of a list says, with all its URLs."""
    if listed.suffix != ".parquet":
        return listed.read_bytes()
    return "\n".join(url or "" for url in parquet.read_table(listed)["URL"].to_pylist()).encode()


def sha256_of_list(folder: Path) -> str:
    """The SHA-256 of a list's file or, of several, that of what sha256sum prints."""
    names = sorted(path.name for path in folder.iterdir())
    printed = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, check=True).stdout
    return hashlib.sha256(printed).hexdigest() if len(names) > 1 else printed.split()[0].decode()


@pytest.fixture
def own_copy(tiny_run, tmp_path):
    """The finished tiny run in a folder of the test's own."""
    return Path(shutil.copytree(tiny_run, tmp_path / "clone", symlinks=True))


def test_a_point_on_the_plot_leads_to_the_lists_it_came_from(tiny_run):
    results = Path("results")
    (point,) = [row for row in rows_of(tiny_run / "results/tables/evaluations.csv") if POINT.items() <= row.items()]
    chain = chain_of(tiny_run, point["model"])
    assert {name: str(chain[name]) for name in ("pool", "architecture", "size", "seed")}.items() <= point.items()

    metrics = chain["evaluation"]["metrics"]
    assert metrics["path"] == str(results / "evaluations" / point["model"] / "metrics.csv")
    assert point in rows_of(tiny_run / metrics["path"])
    model = f"results/models/{point['model']}"
    assert f"{model}/manifest.json" in {entry["path"] for entry in chain["evaluation"]["made_from"]}

    trained = chain["trained"]
    weights = {file["path"]: file["sha256"] for file in trained["files"]}
    assert weights[f"{model}/open_clip_model.safetensors"] == sha256(tiny_run / model / "open_clip_model.safetensors")
    assert (trained["seed"], trained["recipe"]["epochs"]) == (0, 2)

    (trainset,) = trained["made_from"]
    assert trainset["path"] == "results/trainsets/mini_blend/220/manifest.json"
    assert {part["source"]: part["samples"] for part in trainset["sources"]} == SOURCES
    urls = urls_of(tiny_run / "results/trainsets/mini_blend/220")
    for part in trainset["sources"]:
        shards = part["shards"]
        (shuffled,) = shards["made_from"]
        (counts,) = shuffled["made_from"]
        listed = [Path(file["path"]) for file in counts["list"]]
        source = part["source"]
        assert [node["path"] for node in (shards, shuffled, counts)] == [
            f"results/shards/{source}/manifest.json",
            f"results/shuffled/{source}/manifest.json",
            f"results/metadata/{source}/counts.json",
        ]
        assert {path.parent for path in listed} == {results / "miniweb" / source / "list"}
        # The samples that the model saw are rows of this list.
        content = b"\n".join(urls_in(tiny_run / path) for path in listed)
        assert sum(url in content for url in urls) == part["samples"]


def test_every_hash_of_every_chain_is_that_of_the_file(tiny_run):
    models = {row["model"] for row in rows_of(tiny_run / "results/tables/evaluations.csv")}
    assert {path.stem for path in (tiny_run / "results/provenance").glob("*.json")} == models
    for model in models:
        named = {path for path, _ in files_of(chain_of(tiny_run, model))}
        assert len(named) > 20
        assert wrong_files(tiny_run, model) == set()


def test_the_table_agrees_with_the_files(tiny_run):
    rows = {row["model"]: row for row in rows_of(tiny_run / "results/provenance.csv")}
    row = rows[POINT["model"]]
    assert row["weights_sha256"] == sha256(tiny_run / f"results/models/{row['model']}/open_clip_model.safetensors")
    assert row["trainset_sha256"] == sha256(tiny_run / "results/trainsets/mini_blend/220/manifest.json")
    assert row["experiment_sha256"] == sha256(tiny_run / "results/experiment.json")
    for part, (source, samples) in zip(row["sources"].split("; "), SOURCES.items(), strict=True):
        digest = sha256_of_list(tiny_run / f"results/miniweb/{source}/list")
        assert part == f"{source}: {samples} samples, list {digest}"
    # A copy of the workflow without git has no revision; all else is known.
    assert [name for name, cell in row.items() if not cell] == ["revision", "broken"]
    assert row["started"] <= row["finished"] <= row["evaluated"]
    assert json.loads((tiny_run / "results/experiment.json").read_text())["sizes"] == [100, 220]


def test_a_changed_byte_in_the_list_is_detected(own_copy):
    (listed,) = (own_copy / "results/miniweb/mini_yfcc/list").iterdir()
    content = listed.read_bytes()
    listed.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    assert wrong_files(own_copy, POINT["model"]) == {str(listed.relative_to(own_copy))}
    assert wrong_files(own_copy, "mini_imagenet-mini_rn-100-0") == set()
    result = run_snakemake(own_copy, "verify", "--configfile", TINY, check=False)
    assert result.returncode != 0
    assert f"{listed.relative_to(own_copy)}: differs from the list that was read" in result.stdout


def test_a_model_from_before_provenance_is_kept_and_traced_by_its_request(own_copy):
    folder = own_copy / f"results/models/{POINT['model']}"
    for name in ("manifest.json", "record.json"):
        entry = json.loads((folder / name).read_text())
        older = {key: entry[key] for key in ("request", "samples", "epochs", "samples_seen", "versions", "files")}
        (folder / name).write_text(json.dumps(older))
    before = (folder / "open_clip_model.safetensors").stat().st_mtime_ns
    run_snakemake(own_copy, "results/provenance.csv", "--configfile", TINY)
    assert (folder / "open_clip_model.safetensors").stat().st_mtime_ns == before
    (row,) = [row for row in rows_of(own_copy / "results/provenance.csv") if row["model"] == POINT["model"]]
    assert row["trainset_sha256"] == sha256(own_copy / "results/trainsets/mini_blend/220/manifest.json")
    assert row["hardware"] == row["started"] == row["finished"] == ""
