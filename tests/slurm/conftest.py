"""A cluster for the tests of this folder, and the data that their trainings share."""

import shutil
import tempfile
from pathlib import Path

import pytest
from cluster import PACKAGES, Cluster, missing

from runs import CLUSTER, copy_workflow, run_snakemake


@pytest.fixture(scope="session")
def cluster():
    if missing():
        pytest.skip(f"SLURM is not here ({', '.join(missing())}); apt-get install {PACKAGES}")
    # Paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def trainset(tmp_path_factory) -> Path:
    """A folder in which the trainset of 220 samples of mini_yfcc was made, without SLURM. Tests copy it."""
    folder = copy_workflow(tmp_path_factory.mktemp("trainset") / "clone")
    run_snakemake(folder, "results/trainsets/mini_yfcc/220/manifest.json", "--configfile", CLUSTER)
    return folder
