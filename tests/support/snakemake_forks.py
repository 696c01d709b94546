"""Runs of Snakemake in forks of a process that has imported it. The import takes longer than most dry runs."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["snakemake.cli", "snakemake_executor_plugin_slurm", "snakemake_forks"])


def fork_snakemake(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess:
    """What ``python -m snakemake ARGUMENTS`` says and returns in `folder`, with the environment of this process."""
    with tempfile.TemporaryFile("w+b") as output:
        place = f"/proc/{os.getpid()}/fd/{output.fileno()}"
        process = SERVER.Process(target=run, args=(list(arguments), str(folder), dict(os.environ), place))
        process.start()
        process.join()
        output.seek(0)
        said = output.read().decode(errors="replace")
    return subprocess.CompletedProcess(["snakemake", *arguments], process.exitcode, said)


def run(arguments: list[str], folder: str, environment: Mapping[str, str], output: str) -> None:
    """Run Snakemake with its output in the file `output`."""
    os.environ.clear()
    os.environ.update(environment)
    with open(output, "ab", buffering=0) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    sys.argv[:] = ["snakemake", *arguments]
    sys.path.insert(0, folder)
    runpy.run_module("snakemake", run_name="__main__", alter_sys=False)
