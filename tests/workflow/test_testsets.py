"""Every kind of test set, and a published checkpoint, through the whole of the workflow behind the trained models."""

import csv
import io
import shutil
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from test_reruns import reversed_keys

from runs import TINY, run_snakemake
from testbed.miniweb.scenes import draw
from testbed.miniweb.world import CLASSES
from testbed.records.files import add_member

MODEL = "mini_yfcc-mini_rn-220-0"


@pytest.fixture
def origin(tiny_run, tmp_path):
    """The address of a server that has the tiny run's mini_v2 as the set "mine"."""
    shutil.copytree(tiny_run / "results/testsets/mini_v2", tmp_path / "served/wds_mine/resolve/main")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def write_captions(folder):
    (folder / "test").mkdir(parents=True)
    (folder / "dataset_type.txt").write_text("retrieval")
    (folder / "test" / "nshards.txt").write_text("1")
    with tarfile.open(folder / "test" / "0.tar", "w") as archive:
        for number in range(12):
            name, file = CLASSES[number].name, io.BytesIO()
            draw(name, "photo", number, 48).save(file, "PNG")
            add_member(archive, f"s{number}.png", file.getvalue())
            add_member(archive, f"s{number}.txt", f"a photo of a {name}\na {name}".encode())


def rows_of(folder, name):
    """Metrics of a model by test set, without the model's own columns."""
    with open(folder / "results/evaluations" / name / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        testset: {row["metric"]: (row["n"], row["correct"], row["value"]) for row in rows if row["testset"] == testset}
        for testset in {row["testset"] for row in rows}
    }


def test_every_kind_of_test_set_and_a_published_checkpoint(tiny_run, origin, tmp_path):
    folder = shutil.copytree(tiny_run, tmp_path / "clone", symlinks=True)
    write_captions(folder / "data/captions")
    weights = f"results/models/{MODEL}/open_clip_model.safetensors"
    more = {
        "testsets": {
            "fetched": {"retrieve": "mine"},
            "foggy": {"corrupt": {"kind": "fog", "severity": 3}},
            "captions": {"path": "data/captions", "task": "retrieval"},
        },
        "testset_origin": {"url": origin},
        "pretrained": {"own": {"model": "resources/architectures/mini_rn", "checkpoint": weights, "device": "cpu"}},
    }
    (folder / "more.yaml").write_text(yaml.safe_dump(more))
    targets = [f"results/evaluations/{name}/metrics.csv" for name in (MODEL, "own")]
    run_snakemake(folder, *targets, "--configfile", TINY, "more.yaml")
    before, after, own = rows_of(tiny_run, MODEL), rows_of(folder, MODEL), rows_of(folder, "own")
    assert set(after) == {*before, "fetched", "foggy", "captions"}
    assert {name: after[name] for name in before} == before
    # They were not computed again.
    parts = [run / "results/evaluations" / MODEL / "testsets" for run in (tiny_run, folder)]
    known = {path.name: path.stat().st_mtime_ns for path in parts[0].iterdir()}
    assert {f"{name}.parquet" for name in before} < known.keys()
    assert {path.name: path.stat().st_mtime_ns for path in parts[1].iterdir() if path.name in known} == known
    assert after["fetched"] == before["mini_v2"]
    assert after["foggy"]["top1"][0] == before["mini_imagenet"]["top1"][0] == "100"
    assert {metric: n for metric, (n, _, _) in after["captions"].items()} == {
        **{f"image_recall@{k}": "24" for k in (1, 5, 10)},
        **{f"text_recall@{k}": "12" for k in (1, 5, 10)},
    }
    # The same weights, whatever way they come.
    assert own == after
    # How they come, and defaults that are written out, make nothing again.
    more["testsets"]["foggy"]["corrupt"]["of"] = "mini_imagenet"
    more |= {"testset_origin": {"retries": 1, "url": origin}, "download": {"proxy": "http://proxy.site.org:3128"}}
    (folder / "more.yaml").write_text(yaml.safe_dump(reversed_keys(more), sort_keys=False))
    planned = run_snakemake(folder, *targets, "-n", "--configfile", TINY, "more.yaml").stdout
    assert "Nothing to be done" in planned, planned[-6000:]


def test_a_shift_is_a_classification(tiny_run, tmp_path):
    (tmp_path / "more.yaml").write_text("testsets: {mini_imagenet: {task: retrieval}}\n")
    result = run_snakemake(tiny_run, "-n", "--configfile", TINY, tmp_path / "more.yaml", check=False)
    assert result.returncode != 0
    assert "the reference (mini_imagenet) and at least one other must have the task classification" in result.stdout
