"""What jobs ask for: memory, cores and GPUs, by the experiment's settings."""

import re
from collections.abc import Mapping

from testbed.training.launch import processes_of, threads_of


def download_memory(options: Mapping) -> int:
    """MB of a download job, by the experiment's `download` section.

    Its process takes 700, because img2dataset imports torch. To these come the bodies that threads and queue hold at most,
    and one image that is being decoded.
    """
    bodies = 2 * options["threads"] * options["max_bytes"]
    # An image with transparency is blended in double precision.
    decoding = 64 * options["max_pixels"]
    return 1500 + (bodies + decoding) // 1_000_000


def gpu_model_problem(name: str, architecture: Mapping, set_resources: Mapping[str, Mapping]) -> str | None:
    """Return the error for a `gpu_model` of trainings on several nodes, in the resources that a profile or an option sets.

    The SLURM plugin asks for it with ``--gpus=<model>:1`` beside the ``--gres`` of each node, which SLURM refuses. A
    `gpu_model` that is an expression may be empty for these trainings, so it is not an error.
    """
    resource = set_resources.get("train_clip", {}).get("gpu_model")
    model = str((resource and resource.raw) or "")
    nodes, gpus = architecture["nodes"], architecture["gpus"]
    if nodes == 1 or not gpus or not re.fullmatch(r"[\w.]+", model):
        return None
    return (
        f"architectures.{name}.nodes: {nodes}: SLURM refuses a training on several nodes with gpu_model: {model} in "
        f'set-resources of train_clip. Write gres: "gpu:{model}:{gpus}" there instead (docs/slurm.md).'
    )


def training_resources(architecture: Mapping) -> dict:
    """Snakemake's resources of a training, and its `threads` on each node; None for what it does not ask for.

    The processes of a training on several nodes are started by SLURM, so its job is one of the MPI kind, with GPUs by node
    (`gres`) and cores by process (`cpus_per_task`).
    """
    gpus, is_spread = architecture["gpus"], architecture["nodes"] > 1
    return {
        "threads": threads_of(architecture) * max(1, gpus),
        "gpu": None if is_spread else gpus,
        "gres": f"gpu:{gpus}" if is_spread and gpus else None,
        "mpi": "srun" if is_spread else None,
        "tasks": processes_of(architecture) if is_spread else None,
        "cpus_per_task": threads_of(architecture) if is_spread else None,
    }
