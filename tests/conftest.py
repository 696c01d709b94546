"""The tiers of tests, their distribution over processes, and fixtures that tests of more than one folder share."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Before numpy and torch read it: threads of several tests that wait for one another in a loop take the processors.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from xdist.scheduler import LoadGroupScheduling

from chromium import Page, find_chromium, open_browser
from experiments import DEMO, ROOT, load
from link_trainset import link_trainset
from mini_parts import write_shards
from processes import helper
from runs import TINY, copy_workflow, run_snakemake
from testbed.miniweb.scenes import draw
from testbed.miniweb.world import CLASSES
from testbed.records.manifest import write_json

WHOLE_RUNS = ("slurm", "faults", "workflow")
"""Folders of tests that run the workflow, in the order in which they begin: those that wait longest come first."""

EXPENSIVE = ("cluster", "tiny_run", "run_model", "fetch", "browser")
"""Fixtures that take long: tests with one are slow, and all tests with it run in the same process, where it is made once."""

WORKERS = 2
"""Processes on a machine with two cores. With four, a job of the SLURM cluster ran twice, because its node was too busy."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Several processes for a tier, none where a path is named, because each process takes seconds to start."""
    return WORKERS if config.args_source == config.ArgsSource.TESTPATHS else 0


class FilesAndGroups(LoadGroupScheduling):
    """Gives a group of tests to one process, and the tests of a file that are in no group, which share its fixtures."""

    def _split_scope(self, nodeid: str) -> str:
        return super()._split_scope(nodeid).split("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> FilesAndGroups | None:
    return FilesAndGroups(config, log) if config.option.dist == "loadgroup" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark quick tests and groups. Several processes begin with the longest tests, so that none is left to the end."""
    for item in items:
        fixture = next((name for name in EXPENSIVE if name in item.fixturenames), None)
        if fixture:
            item.add_marker(pytest.mark.xdist_group(fixture))
        if fixture or folder_of(item) in WHOLE_RUNS:
            item.add_marker("slow")
        elif not item.get_closest_marker("slow"):
            item.add_marker("quick")
    if hasattr(config, "workerinput"):
        items.sort(key=duration_class)


def folder_of(item: pytest.Item) -> str:
    return item.path.parent.name


def duration_class(item: pytest.Item) -> int:
    """The place of a test among kinds of tests, the longest first."""
    if folder_of(item) in WHOLE_RUNS:
        return WHOLE_RUNS.index(folder_of(item))
    return len(WHOLE_RUNS) + (item.get_closest_marker("quick") is not None)


@pytest.fixture(scope="session")
def scripts_environment() -> dict[str, str]:
    """Environment of child processes that import the scripts; one thread each, which is what Snakemake gives them."""
    # Tokens and proxies of whoever runs the tests are none of theirs.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING_FACE_")) and not name.lower().endswith("_proxy")
    }
    return {**kept, "PYTHONPATH": str(ROOT / "workflow" / "scripts"), "OMP_NUM_THREADS": "1"}


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
def browser() -> Iterator[Page]:
    """A page of a real browser, without a network; see chromium.py."""
    program = find_chromium()
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with open_browser(program) as page:
        yield page


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
    assert answer["value"]["samples_seen"] == 7 * 16
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
