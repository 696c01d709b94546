"""What jobs ask for."""

import pytest
from snakemake.resources import Resources

from testbed.planning.resources import download_memory, gpu_model_problem, training_resources

PLAIN = {"gpus": 1, "nodes": 1, "workers": 3, "cpus_per_gpu": 0}
NONE = {"gres": None, "mpi": None, "tasks": None, "cpus_per_task": None}


def test_a_download_has_room_for_bodies_and_one_image():
    options = {"threads": 16, "max_bytes": 20_000_000, "max_pixels": 100_000_000}
    assert download_memory(options) == 1500 + 2 * 16 * 20 + 64 * 100
    assert download_memory(options | {"threads": 17}) == download_memory(options) + 40


@pytest.mark.parametrize(
    ("changes", "resources"),
    [
        ({}, {"threads": 4, "gpu": 1}),
        ({"gpus": 0, "workers": 0}, {"threads": 1, "gpu": 0}),
        ({"gpus": 4}, {"threads": 16, "gpu": 4}),
        ({"cpus_per_gpu": 7, "gpus": 2}, {"threads": 14, "gpu": 2}),
        (
            {"nodes": 2, "gpus": 4},
            {"threads": 16, "gpu": None, "gres": "gpu:4", "mpi": "srun", "tasks": 8, "cpus_per_task": 4},
        ),
        # Two nodes without GPUs: a process on each.
        ({"nodes": 2, "gpus": 0}, {"threads": 4, "gpu": None, "mpi": "srun", "tasks": 2, "cpus_per_task": 4}),
    ],
)
def test_a_training_asks_for_its_devices_by_its_nodes(changes, resources):
    assert training_resources(PLAIN | changes) == NONE | resources


def set_resources(**resources):
    """As Snakemake reads them from a profile."""
    lines = [f"{name}={value}" for name, value in resources.items()]
    return {"train_clip": Resources.parse(lines, allow_expressions=True)}


def test_a_gpu_model_of_a_training_on_several_nodes_is_an_error():
    spread = {**PLAIN, "nodes": 2, "gpus": 8}
    problem = gpu_model_problem("big", spread, set_resources(gpu_model="a100"))
    assert problem.startswith("architectures.big.nodes: 2: SLURM refuses") and "gpu_model: a100" in problem
    assert 'Write gres: "gpu:a100:8" there instead' in problem


@pytest.mark.parametrize(
    ("nodes", "resources"),
    [
        (1, {"gpu_model": "a100"}),
        (2, {"gres": "gpu:a100:8"}),
        (2, {"gpu_model": "'' if wildcards.architecture == 'big' else 'a100'"}),
        (2, {}),
    ],
)
def test_a_gpu_model_elsewhere_is_none(nodes, resources):
    assert gpu_model_problem("big", PLAIN | {"nodes": nodes}, set_resources(**resources)) is None
    assert gpu_model_problem("big", PLAIN | {"nodes": nodes}, {}) is None
