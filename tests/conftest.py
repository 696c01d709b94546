"""Fixtures that tests of more than one folder share."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments import DEMO, ROOT, load
from link_trainset import link_trainset
from mini_parts import write_shards
from processes import helper
from runs import TINY, copy_workflow, run_snakemake
from testbed.miniweb.scenes import draw
from testbed.miniweb.world import CLASSES
from testbed.records.manifest import write_json


@pytest.fixture(scope="session")
def scripts_environment() -> dict[str, str]:
    """Environment of child processes that import the scripts; one thread each, which is what Snakemake gives them."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "workflow" / "scripts"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def workflow_copy(tmp_path: Path) -> Path:
    return copy_workflow(tmp_path / "clone")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny experiment has run undisturbed, from lists to plots; run.log has what it printed.

    Tests leave it as it is.
    """
    folder = copy_workflow(tmp_path_factory.mktemp("tiny") / "clone")
    (folder / "run.log").write_text(run_snakemake(folder, "--configfile", TINY).stdout)
    return folder


@pytest.fixture(scope="session")
def fetch(scripts_environment) -> Iterator[Callable[..., dict]]:
    """A function that runs download_images on a mini-web of its own; see fetch_parts.py."""
    with helper("fetch_parts.py", scripts_environment) as ask:
        yield lambda **request: ask(request)


@pytest.fixture(scope="session")
def run_model(scripts_environment) -> Iterator[Callable[..., dict]]:
    """A function that trains and evaluates; see model_runs.py."""
    with helper("model_runs.py", scripts_environment) as ask:
        yield lambda name, **arguments: ask([name, arguments])


@pytest.fixture(scope="session")
def trainset(tmp_path_factory) -> Path:
    """A trainset of 60 images of the mini-web in shards of 16, the last of them cut."""
    samples = []
    for number in range(64):
        label, file = CLASSES[number % len(CLASSES)].name, io.BytesIO()
        draw(label, "photo", number, 40).save(file, "JPEG")
        samples.append({"jpg": file.getvalue(), "json": b"{}", "txt": f"a photo of a {label}".encode()})
    folder = tmp_path_factory.mktemp("trainset")
    write_shards(folder / "shards", "mine", samples, 16)
    (folder / "60").mkdir()
    write_json(folder / "60" / "manifest.json", link_trainset({"mine": 60}, {"mine": folder / "shards"}, folder / "60"))
    return folder / "60"


@pytest.fixture(scope="session")
def architecture() -> dict:
    """The demo's architecture, trained for two epochs of four steps."""
    return load(DEMO).config["architectures"]["mini_rn"] | {"epochs": 2, "batch_size": 16}


@pytest.fixture(scope="session")
def model(run_model, architecture, trainset, tmp_path_factory) -> Path:
    """The folder of a model that was trained undisturbed with seed 0. Tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("model")
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=folder)
    assert answer["value"]["samples_seen"] == 2 * 64
    return folder


@pytest.fixture(scope="session")
def decode(run_model, model, tmp_path_factory) -> Callable[..., list[Path]]:
    """A function that decodes a test set for the model; its folder and that of the decoded images."""

    def decode(testset, **more):
        folder = tmp_path_factory.mktemp("decoded")
        answer = run_model("decode", testset=testset, model=model, folder=folder, **more)
        assert "value" in answer, answer
        return [testset, folder]

    return decode
