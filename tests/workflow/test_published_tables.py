"""Published tables through the workflow: fetched from a server, checked, fitted, and measured against standard models."""

import csv
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from experiments import ROOT
from runs import run_snakemake

DATA = ROOT / "../shared/data"
SERVED = {"imagenet_testbed": "imagenet_testbed_robustness_top1s.csv", "openclip": "openclip_results.csv"}
# Lists are never read: nothing but the published tables is asked for.
EXPERIMENT = """
experiment: published
sources: {mine: {metadata: {miniweb: yfcc}, samples: 100}}
sizes: [100]
architectures: {rn50: {model: RN50, batch_size: 100, epochs: 1, learning_rate: 1.0e-3}}
testsets: {imagenet: {miniweb: imagenet}, imagenet-v2: {miniweb: v2}}
reference: imagenet
reference_models: openclip
"""


@pytest.fixture
def served(workflow_copy, monkeypatch) -> Iterator[Path]:
    """A copy of the workflow whose addresses of published tables lead to a server on loopback."""
    if not DATA.is_dir():
        pytest.skip("the published tables are not beside the checkout")
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(DATA)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    tables = workflow_copy / "resources" / "tables.csv"
    text = tables.read_text()
    for name, file in SERVED.items():
        text = re.sub(rf"(?m)^{name},[^,]+,", f"{name},http://127.0.0.1:{server.server_port}/{file},", text)
    tables.write_text(text)
    (workflow_copy / "published.yaml").write_text(EXPERIMENT)
    yield workflow_copy
    server.shutdown()
    server.server_close()


def test_published_tables_give_baselines_and_models_to_stand_behind(served):
    targets = ["results/tables/baselines.csv", "results/tables/reference_models.csv"]
    run_snakemake(served, "--configfile", "published.yaml", "--", *targets)
    committed = (ROOT / "resources" / "baselines.csv").read_bytes()
    assert (served / "results/tables/baselines.csv").read_bytes() == committed
    with open(served / "results/tables/reference_models.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["testset"] == "imagenet-v2"]
    assert len(rows) > 100
    assert {row["baseline"] for row in rows} == {"standard_extended"}
    # ImageNet-V2 hardly tells CLIP from standard models
    assert all(abs(float(row["effective_robustness"])) < 8 for row in rows)


def test_a_table_that_was_changed_stops_the_run(served):
    tables = served / "resources" / "tables.csv"
    tables.write_text(tables.read_text().replace("robustness_top1s.csv", "natural_shifts.csv"))
    result = run_snakemake(served, "--configfile", "published.yaml", "--", "results/tables/baselines.csv", check=False)
    assert result.returncode != 0
    assert "the file has the SHA-256" in result.stdout
    assert not (served / "results/tables/baselines.csv").exists()
