"""The processes of a training on several devices, and the signals that announce the end of its job.

On one node torchrun starts a process for each device. On several nodes SLURM's srun does, from inside the job.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TERMINATION_SECONDS = 10.0
"""Time for the trainer's processes to exit, well below SLURM's usual 30 s between SIGTERM and SIGKILL."""


class Interrupted(SystemExit):
    """This process got a signal to end; `name` is that of the signal."""

    def __init__(self, number: int):
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


@contextmanager
def interruptible() -> Iterator[None]:
    """Context in which SIGTERM and SIGUSR1, which SLURM sends before it ends a job, raise `Interrupted`."""

    def interrupt(number: int, _) -> None:
        # What follows in the context is not cut short when the signal comes again: from the process group, and Snakemake.
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def processes_of(architecture: dict) -> int:
    """Number of processes of a training: one for each GPU of each node, or one per node without GPUs."""
    return architecture["nodes"] * max(1, architecture["gpus"])


def threads_of(architecture: dict) -> int:
    """CPU cores of each process: `cpus_per_gpu`, or one for the trainer and one for each data loading process."""
    return architecture["cpus_per_gpu"] or 1 + architecture["workers"]


def launch_command(architecture: dict, module: str, request: Path) -> list[str]:
    """The command that runs ``python -m module request`` once for each device."""
    devices = max(1, architecture["gpus"])
    if architecture["nodes"] == 1:
        torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
        return [sys.executable, "-m", *torchrun, "-m", module, str(request)]
    srun = [
        "srun",
        "--kill-on-bad-exit=1",
        f"--nodes={architecture['nodes']}",
        f"--ntasks={processes_of(architecture)}",
    ]
    srun += [f"--ntasks-per-node={devices}", f"--cpus-per-task={threads_of(architecture)}"]
    if architecture["gpus"]:
        srun += [f"--gres=gpu:{devices}"]
    return [*srun, sys.executable, "-m", module, str(request)]


def environment() -> dict[str, str]:
    """The environment variables of the trainer's processes; the main process is on this node."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    return os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": socket.gethostname(),
        "MASTER_PORT": str(port),
    }


def run_processes(command: list[str], log: Path | None) -> int:
    """Run `command` with its output appended to `log`; returns the exit status. An exception terminates the command."""
    with open(log or os.devnull, "a", encoding="utf-8") as output:
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=subprocess.STDOUT)
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(TERMINATION_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
