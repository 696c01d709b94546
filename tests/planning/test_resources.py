"""What jobs ask for."""

import pytest

from testbed.planning.resources import download_memory, training_resources

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
