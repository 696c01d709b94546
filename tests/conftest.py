"""Fixtures that tests of more than one kind share."""

import os
from pathlib import Path

import pytest

from experiments import ROOT
from runs import TINY, copy_workflow, run_snakemake


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
