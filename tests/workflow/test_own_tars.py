"""A user's own tars, in a line of YAML each: of img2dataset, of the Hub, and odd ones, from the tar to a trend."""

import csv
import json
import shutil
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from pyarrow import parquet
from test_documented_outputs import ON_DISK, compare

from runs import TINY, copy_workflow, run_snakemake
from tars import run_img2dataset, sample, write_folder, write_hub_tars, write_odd_tars, write_path_list
from testbed.miniweb.server import MiniwebServer
from testbed.records.files import sha256

PAIRS = 260
SOURCES = """
sources:
  listed: {metadata: {path: list.csv, format: csv}, samples: 260}
  fetched: {shards: {path: fetched}}
  hub: {shards: {path: "hub/*.tar"}}
  odd: {shards: {path: odd}}
  linked: {shards: {path: fetched, as_is: true}}
  remote: {shards: {retrieve: "http://tars.test/wds/cc12m-train-{0000..0002}.tar"}}
filters:
  wide: {from: fetched, method: sql, where: "original_width >= 64 AND status = 'success'", sizes: []}
  wide_linked: {from: linked, method: sql, where: "original_width >= 64 AND key < '000010020'", sizes: [100]}
"""
TARS = ("fetched", "hub", "odd", "linked", "remote")


def page(number: int) -> dict:
    facts = {"domain": "photo", "seed": number, "size": 64, "format": "jpeg", "change": "", "behaviour": "ok"}
    return {"url": sample(number)["url"], "label": ("cat", "mug", "car")[number % 3], **facts}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run on a list of one server's images, the same images as tars of img2dataset, and two more sources of tars."""
    folder = copy_workflow(tmp_path_factory.mktemp("tars") / "clone")
    server = MiniwebServer({entry["url"]: entry for entry in map(page, range(PAIRS))})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(folder / "list.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["url", "caption"])
        writer.writeheader()
        writer.writerows({name: sample(number)[name] for name in ("url", "caption")} for number in range(PAIRS))
    run_img2dataset(folder / "list.csv", folder / "fetched", server.address)
    write_hub_tars(folder / "hub", PAIRS)
    write_odd_tars(folder / "odd", PAIRS)
    tars = {f"http://tars.test/wds/{path.name}": path for path in (folder / "hub").iterdir()}
    server.origins = SimpleNamespace(find=tars.get)
    config = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    config = {key: value for key, value in config.items() if key not in ("mixtures", "ensembles", "similarity")}
    config |= yaml.safe_load(SOURCES) | {"sizes": [100, 220], "statistics": {"baseline": "none"}}
    config["download"] |= {"proxy": server.address}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    plan = run_snakemake(folder, "plan", "--configfile", "mine.yaml").stdout
    (folder / "plan.txt").write_text(plan)
    targets = (
        "results/tables/trends.csv",
        "results/provenance.csv",
        "results/samples/wide/manifest.json",
        "results/trainsets/wide_linked/100/manifest.json",
    )
    run_snakemake(folder, *targets, "--configfile", "mine.yaml")
    server.shutdown()
    return folder


def manifest(run: Path, path: str) -> dict:
    return json.loads((run / "results" / path / "manifest.json").read_text())


def uids(run: Path, source: str) -> list[str]:
    """The uids of a source's shards, by the places of the samples in its trainset of all sizes."""
    names = []
    for file in manifest(run, f"shards/{source}")["files"]:
        with tarfile.open(run / "results/shards" / source / file["name"]) as archive:
            names += [name[:-4] for name in archive.getnames() if name.endswith(".jpg")]
    return names


def test_tars_give_the_samples_of_their_list(run):
    assert len(uids(run, "listed")) == PAIRS
    for source in TARS[:2]:
        assert uids(run, source) == uids(run, "listed")
        for size in (100, 220):
            listed, own = (manifest(run, f"trainsets/{name}/{size}") for name in ("listed", source))
            assert own["samples"] == listed["samples"] == size
            assert [file["samples"] for file in own["files"]] == [file["samples"] for file in listed["files"]]
    assert len(uids(run, "odd")) == PAIRS


def test_fetched_tars_are_as_those_on_disk(run):
    assert uids(run, "remote") == uids(run, "hub")
    shards = [manifest(run, f"shards/{source}")["files"] for source in ("remote", "hub")]
    assert [file["sha256"] for file in shards[0]] == [file["sha256"] for file in shards[1]]
    tars = manifest(run, "tars/remote/00000")["tars"]
    assert [tar["sha256"] for tar in tars] == [sha256(path) for path in sorted((run / "hub").iterdir())]
    lineage = (run / "results/provenance/remote-mini_rn-220-0.json").read_text()
    assert all(tar["url"] in lineage for tar in tars)


def test_images_of_img2dataset_are_not_encoded_again(run):
    assert manifest(run, "shards/fetched")["encoded"] == {}
    assert manifest(run, "shards/hub")["encoded"] == {"resized": PAIRS}


def test_the_run_leaves_what_is_documented(run):
    unknown, unmade = compare(run)
    assert unknown == [] and not unmade & ON_DISK


def test_every_source_has_a_trend(run):
    with open(run / "results/tables/trends.csv", newline="") as file:
        pools = {row["pool"] for row in csv.DictReader(file)}
    assert pools == {"listed", *TARS, "wide_linked"}


def test_tars_as_they_are(run):
    """The same pairs in the order of whole tars, which are links; a filter's samples are copied."""
    shards = manifest(run, "shards/linked")
    folder = run / "results/shards/linked"
    found = [parquet.read_table(folder / file["table"]["name"])["uid"].to_pylist() for file in shards["files"]]
    assert sorted(sum(found, [])) == sorted(uids(run, "listed"))
    places = [folder / file["name"] for file in shards["files"]]
    assert sorted(path.resolve() for path in places) == sorted((run / "fetched").glob("*.tar"))
    linked = manifest(run, "trainsets/linked/220")["files"]
    assert sum(file["samples"] for file in linked) == 220
    assert not (run / "results/shuffled/linked").exists()
    assert len(uids(run, "wide_linked")) == manifest(run, "samples/wide_linked")["samples"] > 100


def test_a_filter_sees_the_columns_of_the_tars(run):
    assert manifest(run, "samples/wide")["samples"] == PAIRS


def test_provenance_leads_from_a_model_to_the_tars(run):
    lineage = json.loads((run / "results/provenance/hub-mini_rn-220-0.json").read_text())
    text = json.dumps(lineage)
    for tar in (run / "hub").glob("*.tar"):
        assert f"hub/{tar.name}" in text and sha256(tar) in text
    with open(run / "results/provenance.csv", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert "hub: 220 samples, list " in rows["hub-mini_rn-220-0"]["sources"]
    assert not rows["hub-mini_rn-220-0"]["broken"]


def test_the_plan_knows_tars_without_reading_them(run):
    rows = {line.split()[0]: line.split() for line in (run / "plan.txt").read_text().splitlines() if line.strip()}
    for source in TARS:
        assert rows[source][1] == "tars" and rows[source][3] == "100%"
        # What is to be fetched is not known: as many as the largest trainset needs.
        assert int(rows[source][2]) == 220 if source == "remote" else abs(int(rows[source][2]) - PAIRS) < 40
    assert "how many samples the tars have is not known yet" in " ".join(rows["remote"])
    assert rows["retrieve_shards"][1:5] == ["1", "0", "3", "tars,"]
    assert rows["index_shards"][1:3] == ["5", "0"] and rows["rewrite_shards"][1:3] == ["4", "0"]
    assert rows["link_shards"][1:3] == ["1", "0"]
    after = run_snakemake(run, "plan", "--configfile", "mine.yaml").stdout
    rows = {line.split()[0]: line.split() for line in after.splitlines() if line.strip()}
    assert rows["hub"][2] == str(PAIRS) and rows["rewrite_shards"][1:3] == ["4", "4"]


def test_status_counts_what_the_tars_hold(run):
    status = run_snakemake(run, "status", "--configfile", "mine.yaml").stdout
    rows = {line.split()[0]: line.split() for line in status.splitlines() if line.strip()}
    assert rows["hub"][1:8] == ["done", "done", "1/1", "0", "0", str(PAIRS), "100.0%"]


def test_local_files_become_trainsets(run):
    write_folder(run / "photos", 130)
    write_path_list(run / "lists/list.csv", 130)
    sources = {"photos": {"files": {"path": "photos"}}}
    sources["paths"] = {"files": {"path": "lists/list.csv", "image": "path", "caption": "text"}}
    config = yaml.safe_load((run / "mine.yaml").read_text()) | {"sources": sources, "filters": {}, "sizes": [60, 120]}
    (run / "files.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    plan = run_snakemake(run, "plan", "--configfile", "files.yaml").stdout
    assert "130     120" in plan
    targets = [f"results/trainsets/{source}/120/manifest.json" for source in sources]
    run_snakemake(run, *targets, "--configfile", "files.yaml")
    for source in sources:
        assert manifest(run, f"trainsets/{source}/120")["samples"] == 120
    assert "Nothing to be done" in run_snakemake(run, *targets, "--configfile", "files.yaml").stdout


def test_verify_notices_a_changed_tar_and_tars_may_go(run):
    target = ("results/trainsets/odd/100/manifest.json", "--configfile", "mine.yaml")
    shutil.rmtree(run / "results/tars/remote/00000/files")
    assert "are as their manifests record" in run_snakemake(run, "verify", "--configfile", "mine.yaml").stdout
    shutil.move(run / "odd", run / "elsewhere")
    assert "Nothing to be done" in run_snakemake(run, target[0].replace("odd", "remote"), *target[1:]).stdout
    assert "Nothing to be done" in run_snakemake(run, *target).stdout
    shutil.move(run / "elsewhere", run / "odd")
    with open(run / "odd/00000.tar", "r+b") as file:
        file.seek(600)
        file.write(b"?")
    failed = run_snakemake(run, "verify", "--configfile", "mine.yaml", check=False)
    assert failed.returncode and "odd/00000.tar: differs from the list that was read" in failed.stdout
