"""Whether the GPUs that an experiment asks for are there, and what to do where they are not."""

import os
import platform
from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/version")


class DeviceError(RuntimeError):
    """There are fewer GPUs than are asked for."""


def check_gpus(wanted: int) -> None:
    """Raise `DeviceError` where torch sees fewer than `wanted` GPUs: open_clip's trainer would train on the CPU."""
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
    """What to do where GPUs are missing: in a SLURM job another than elsewhere."""
    asked = os.environ
    if "SLURM_JOB_ID" in asked:
        names = ("SLURM_JOB_PARTITION", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES")
        given = ", ".join(f"{name}={asked.get(name, '')}" for name in names)
        return (
            f"Job {asked['SLURM_JOB_ID']} has {given}. Name a partition with GPUs (slurm_partition) or a kind of them "
            "(gpu_model) under set-resources in profiles/slurm/config.yaml, and see that the node has them as gres "
            "(scontrol show node) and that its driver works (nvidia-smi)."
        )
    return (
        "Run on a machine with as many, send the jobs to a cluster (--profile slurm), or set the architecture to "
        "{device: cpu, gpus: 0, precision: fp32}."
    )
