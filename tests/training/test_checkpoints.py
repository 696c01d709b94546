"""Checkpoints that cannot be read or written, or would have weights that are not finite: those before them stay."""

import resource

import pytest
import torch

from testbed.training.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from testbed.training.recipe import RUN


def test_a_checkpoint_is_not_given_up_for_lack_of_memory(tmp_path, monkeypatch):
    for step in (1, 2):
        write_checkpoint(tmp_path, step, {"step": step, "weights": torch.ones(3)})

    def fail(*_, **__):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127]\ndata. DefaultCPUAllocator: can't allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "load", fail)
        with pytest.raises(CheckpointError, match=r"step_2.pt: is whole and does not load .*memory_mb.* It is kept"):
            read_checkpoint(tmp_path)
    assert read_checkpoint(tmp_path)["step"] == 2


def test_a_checkpoint_that_the_disk_does_not_take_leaves_those_before(tmp_path):
    write_checkpoint(tmp_path, 1, {"step": 1, "weights": torch.ones(3)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"step_2.pt: cannot be written .* quota.* goes on at step 1"):
            write_checkpoint(tmp_path, 2, {"step": 2, "weights": torch.ones(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_1.pt"]


def test_a_training_that_diverges_ends_at_its_next_checkpoint(run_model, architecture, trainset, tmp_path):
    """Its last checkpoint has finite weights."""
    diverging = architecture | {"learning_rate": 1e30, "epochs": 4, "checkpoint_steps": 1, "log_every": 1}
    answer = run_model("train", architecture=diverging, trainset=trainset, seed=0, folder=tmp_path)
    assert answer["error"] == "CheckpointError"
    assert "before step 2, weights are not finite" in answer["message"] and "has diverged" in answer["message"]
    left = read_checkpoint(tmp_path / RUN)
    assert left["step"] == 1 and all(tensor.isfinite().all() for tensor in left["model"].values())
