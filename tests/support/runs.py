"""A copy of the workflow, and Snakemake run in it as a user would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from snakemake_forks import fork_snakemake

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "config" / "tiny.yaml"
CLUSTER = ROOT / "tests" / "config" / "slurm.yaml"
PARTS = ("Snakefile", "workflow", "config", "profiles", "resources", "envs", "slurm")


def copy_workflow(folder: Path) -> Path:
    """Copy what a clone holds, but for tests and results, to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_symlink():
            (folder / part).symlink_to(os.readlink(source))
        elif source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return folder


def snakemake_command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "snakemake", *map(str, arguments)]


def run_snakemake(folder: Path, *arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    """Run Snakemake in `folder`; with `check`, a failure fails the test and shows what Snakemake said."""
    result = fork_snakemake(folder, [str(argument) for argument in arguments])
    if check and result.returncode:
        pytest.fail(
            f"snakemake {' '.join(map(str, arguments))} ended with {result.returncode}:\n{result.stdout[-6000:]}"
        )
    return result
