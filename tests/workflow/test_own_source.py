"""A user's own source: five lines of YAML and a list, as CSV, parquet or JSON lines, fetched from a server of its own."""

import csv
import hashlib
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from hostile import HostileServer, image
from runs import TINY, run_snakemake
from testbed.miniweb.server import MiniwebServer

PAIRS = 80
FIVE_LINES = """
  my_source:
    metadata:
      {{path: {path}, format: {format}, columns: {{url: image_url, caption: text}}}}
    samples: 80
    sizes: [60]
"""


def page(number: int) -> dict:
    return {
        "url": f"http://photos.test/{number}.jpg",
        "label": ("cat", "mug", "car")[number % 3],
        "domain": "photo",
        "seed": number,
        "size": 64,
        "format": "jpeg",
        "change": "",
        "behaviour": "missing" if number % 16 == 0 else "ok",
    }


@pytest.fixture
def web():
    server = MiniwebServer({entry["url"]: entry for entry in map(page, range(PAIRS))})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def write_list(path: Path, rows: list[dict]) -> None:
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
        return
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_experiment(folder: Path, source: str, proxy: str) -> None:
    text = TINY.read_text(encoding="utf-8").replace("sources:\n", f"sources:{source}", 1)
    (folder / "mine.yaml").write_text(text.replace("download: {", f"download: {{proxy: '{proxy}', "), encoding="utf-8")


@pytest.mark.parametrize("retrieve", ["http://lists.test/my_list.csv", "mine"])
def test_a_list_is_fetched_by_address_or_name(workflow_copy, web, tmp_path, retrieve):
    rows = [{"text": "a cat", "image_url": page(number)["url"]} for number in range(PAIRS)]
    write_list(tmp_path / "my_list.csv", rows)
    digest = hashlib.sha256((tmp_path / "my_list.csv").read_bytes()).hexdigest()
    web.origins = SimpleNamespace(find={"http://lists.test/my_list.csv": tmp_path / "my_list.csv"}.get)
    table = (
        f"list,format,file,url,bytes,sha256,origin\nmine,csv,my_list.csv,http://lists.test/my_list.csv,,{digest},here\n"
    )
    (workflow_copy / "lists.csv").write_text(table)
    source = FIVE_LINES.format(path="x", format="csv").replace("path: x", f"retrieve: '{retrieve}'")
    write_experiment(workflow_copy, source, web.address)
    with open(workflow_copy / "mine.yaml", "a") as file:
        file.write("\nreleased_lists: lists.csv\n")
    plan = run_snakemake(workflow_copy, "plan", "--configfile", "mine.yaml").stdout
    assert not (workflow_copy / "results/lists").exists()
    assert "retrieve_list" in plan
    run_snakemake(workflow_copy, "results/shards/my_source/manifest.json", "--configfile", "mine.yaml")
    manifest = json.loads((workflow_copy / "results/lists/my_source/manifest.json").read_text())
    assert manifest["origins"]["my_list.csv"]["sha256"] == digest
    shards = json.loads((workflow_copy / "results/shards/my_source/manifest.json").read_text())
    assert shards["samples"] == PAIRS - PAIRS // 16
    again = run_snakemake(workflow_copy, "results/shards/my_source/manifest.json", "--configfile", "mine.yaml")
    assert "Nothing to be done" in again.stdout


@pytest.mark.parametrize("format", ["csv", "parquet", "jsonl"])
def test_five_lines_of_yaml_add_a_source(workflow_copy, web, format):
    rows = [
        {"id": number, "text": f'a "{page(number)["label"]}", no. {number}', "image_url": page(number)["url"]}
        for number in range(PAIRS)
    ]
    write_list(workflow_copy / f"my_list.{format}", rows)
    source = FIVE_LINES.format(path=f"my_list.{format}", format=format)
    write_experiment(workflow_copy, source, web.address)
    run_snakemake(workflow_copy, "results/trainsets/my_source/60/manifest.json", "--configfile", "mine.yaml")
    shards = json.loads((workflow_copy / "results/shards/my_source/manifest.json").read_text())
    assert shards["samples"] == PAIRS - PAIRS // 16
    trainset = json.loads((workflow_copy / "results/trainsets/my_source/60/manifest.json").read_text())
    assert trainset["composition"] == {"my_source": 60}
    assert sum(web.visits.values()) >= PAIRS


@pytest.fixture
def intranet():
    server = HostileServer()
    yield server
    server.close()


def test_a_list_of_private_addresses_is_fetched_where_their_network_is_allowed(workflow_copy, intranet):
    rows = [{"text": f"picture {number}", "image_url": intranet.url("ok", number)} for number in range(PAIRS)]
    write_list(workflow_copy / "my_list.csv", rows)
    source = FIVE_LINES.format(path="my_list.csv", format="csv").replace("samples: 80", "samples: 90")
    write_experiment(workflow_copy, source, "none")
    asked = ("results/trainsets/my_source/60/manifest.json", "--configfile", "mine.yaml")
    refused = run_snakemake(workflow_copy, *asked, check=False)
    assert refused.returncode != 0
    assert "none of 80 rows is usable as format csv; rows dropped: private_address 80" in refused.stdout
    assert "download.private_networks" in refused.stdout

    text = (workflow_copy / "mine.yaml").read_text(encoding="utf-8")
    allowed = text.replace("download: {", "download: {private_networks: [127.0.0.1/32], ")
    (workflow_copy / "mine.yaml").write_text(allowed, encoding="utf-8")
    assert (
        "the list has 80 rows, fewer than samples: 90"
        in run_snakemake(workflow_copy, "plan", "--configfile", "mine.yaml").stdout
    )
    run = run_snakemake(workflow_copy, *asked)
    assert "source my_source: the list has 80 usable pairs, fewer than samples: 90" in run.stdout
    counts = json.loads((workflow_copy / "results/metadata/my_source/counts.json").read_text())
    assert (counts["kept"], counts["private_networks"]) == (PAIRS, ["127.0.0.1/32"])
    plan = run_snakemake(workflow_copy, "plan", "--configfile", "mine.yaml").stdout
    assert "the list has 80 usable pairs, fewer than samples: 90" in plan


DATACOMP = """
  my_pool:
    metadata: {path: pool, format: datacomp}
    samples: 80
    sizes: [60]
"""
FILTER = """
filters:
  my_best:
    from: my_pool
    method: sql
    columns_from: {path: labels.tsv, key: sha256}
    where: "clip_l14_similarity_score > 0.5 AND source_uid != '' AND label = 'photo'"
    sizes: []
"""


def test_images_of_datacomp_that_have_changed_are_left_out_and_scores_are_for_filters(workflow_copy, intranet):
    listed = [hashlib.sha256(b"another image" if number % 8 == 0 else image("ok")) for number in range(PAIRS)]
    rows = [
        {
            "uid": f"{number:032x}",
            "url": intranet.url("ok", number),
            "text": f"picture {number}",
            "original_width": 96,
            "original_height": 72,
            "clip_b32_similarity_score": number / PAIRS,
            "clip_l14_similarity_score": number / PAIRS,
            "face_bboxes": [[0.1, 0.2, 0.3, 0.4]] * (number % 2),
            "sha256": listed[number].hexdigest(),
        }
        for number in range(PAIRS)
    ]
    (workflow_copy / "pool" / "metadata").mkdir(parents=True)
    for half in range(2):
        write_list(workflow_copy / "pool" / "metadata" / f"{half}.parquet", rows[half::2])
    write_experiment(workflow_copy, DATACOMP, "none")
    text = (workflow_copy / "mine.yaml").read_text(encoding="utf-8")
    allowed = text.replace("download: {", "download: {private_networks: [127.0.0.1/32], ")
    (workflow_copy / "mine.yaml").write_text(allowed + FILTER, encoding="utf-8")
    labels = f"sha256\tlabel\n{hashlib.sha256(image('ok')).hexdigest()}\tphoto\n"
    (workflow_copy / "labels.tsv").write_text(labels)
    plan = run_snakemake(workflow_copy, "plan", "--configfile", "mine.yaml").stdout
    assert "Hash check of my_pool: 44 images are compared with the SHA-256 of the list." in plan
    asked = ("results/trainsets/my_pool/60/manifest.json", "results/samples/my_best/manifest.json")
    run_snakemake(workflow_copy, *asked, "results/subsets/my_best.npy", "--configfile", "mine.yaml")
    assert json.loads((workflow_copy / "results/shards/my_pool/manifest.json").read_text())["samples"] == 70
    manifests = (workflow_copy / "results/downloads/my_pool").glob("*/manifest.json")
    assert sum(json.loads(path.read_text())["causes"].get("changed", 0) for path in manifests) == 10
    assert json.loads((workflow_copy / "results/metadata/my_pool/counts.json").read_text())["hashed"] == PAIRS
    samples = pa.concat_tables(map(parquet.read_table, (workflow_copy / "results/samples/my_best").glob("*.parquet")))
    best = [number for number in range(PAIRS) if number % 8 and number / PAIRS > 0.5]
    assert sorted(samples["source_uid"].to_pylist()) == [f"{number:032x}" for number in best]
    # As DataComp names them.
    assert np.load(workflow_copy / "results/subsets/my_best.npy").tolist() == [(0, number) for number in best]
    assert samples["expected_sha256"].to_pylist() == samples["sha256"].to_pylist()
