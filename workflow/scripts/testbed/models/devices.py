"""A check that the GPUs of an experiment are available, and advice for when they are not."""

import os
import platform
from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/version")


class DeviceError(RuntimeError):
    """There are fewer GPUs than the experiment needs."""


def check_gpus(wanted: int) -> None:
    """Raise `DeviceError` if torch finds fewer than `wanted` GPUs: open_clip's trainer would train on the CPU."""
    import torch

    found = torch.cuda.device_count()
    if found >= wanted:
        return
    driver = DRIVER.read_text().splitlines()[0] if DRIVER.is_file() else "none is loaded"
    raise DeviceError(
        f"device: cuda, gpus: {wanted}, but torch sees {found or 'no'} GPU{'s' * (found > 1)} on {platform.node()}. "
        f"Driver: {driver}; torch {torch.__version__} needs one for CUDA {torch.version.cuda or '(it is built without)'}. "
        f"{advice()}"
    )


def advice() -> str:
    """Advice for when GPUs are missing, inside or outside of a SLURM job."""
    if "SLURM_JOB_ID" in os.environ:
        names = ("SLURM_JOB_PARTITION", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES")
        given = ", ".join(f"{name}={os.environ.get(name, '')}" for name in names)
        return (
            f"Job {os.environ['SLURM_JOB_ID']} has {given}. Name a partition with GPUs (slurm_partition) or a kind of them "
            "(gpu_model) under set-resources in profiles/slurm/config.yaml, and see that the node has them as gres "
            "(scontrol show node) and that its driver works (nvidia-smi)."
        )
    return (
        "Run on a machine with as many, send the jobs to a cluster (--profile slurm), or set the architecture to "
        "{device: cpu, gpus: 0, precision: fp32}."
    )
