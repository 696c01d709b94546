"""What jobs ask for: memory, cores and GPUs, by the experiment's settings."""

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
