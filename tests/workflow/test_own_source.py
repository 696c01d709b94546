"""A user's own source: five lines of YAML and a list, as CSV and as parquet, fetched from a server of its own."""

import csv
import json
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from hostile import HostileServer
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
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_experiment(folder: Path, source: str, proxy: str) -> None:
    text = TINY.read_text(encoding="utf-8").replace("sources:\n", f"sources:{source}", 1)
    (folder / "mine.yaml").write_text(text.replace("download: {", f"download: {{proxy: '{proxy}', "), encoding="utf-8")


@pytest.mark.parametrize("format", ["csv", "parquet"])
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
