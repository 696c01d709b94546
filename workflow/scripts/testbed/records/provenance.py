"""The provenance of results: input files, code, packages and machine.

Input files are the same in every run that writes the same bytes, so any manifest may record them. Code, packages, machine
and times differ between such runs: only the records of models and evaluations have them.
"""

import logging
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from testbed.records.files import sha256
from testbed.records.shipped import shipped_name


def made_from(*paths: Path | str) -> list[dict]:
    """Return the records of the files that a result is derived from: path, size in bytes and SHA-256.

    Paths are relative to the working directory, or of files that the workflow ships, to the folder of the workflow.
    """
    return [{"path": shipped_name(path), "bytes": os.stat(path).st_size, "sha256": sha256(path)} for path in paths]


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def run_environment(device: str, packages: Iterable[str]) -> dict:
    """Return the environment of a run that starts now on `device` (cpu or cuda): time, code, package versions, machine."""
    return {
        "started": now(),
        "code": code_revision(),
        "versions": versions_of(packages),
        "hardware": {
            "device": device,
            "node": platform.node(),
            "cpu": cpu_name(),
            "gpus": gpu_names() if device == "cuda" else [],
        },
    }


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of those `packages` that are installed."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            logging.info("%s is not installed", package)
    return versions


def code_revision(file: Path | str = __file__) -> dict:
    """Return the git revision of `file`, and whether tracked files differ from it. Both are None without git.

    Both are also None for a copy of the workflow inside another repository that does not track it.
    """
    revision = None
    if run_git(file, "ls-files", "--error-unmatch", Path(file).name) is not None:
        revision = run_git(file, "rev-parse", "HEAD")
    if revision is None:
        return {"revision": None, "changed": None}
    return {"revision": revision, "changed": run_git(file, "status", "--porcelain", "--untracked-files=no") != ""}


def run_git(file: Path | str, *arguments: str) -> str | None:
    """Return the output of git in the folder of `file`, or None if git is missing or fails."""
    command = ["git", "-C", str(Path(file).resolve().parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        logging.info("%s: %s", " ".join(command), error)
        return None


def cpu_name(information: Path | str = "/proc/cpuinfo") -> str:
    """Return the model name of the processor from /proc/cpuinfo, or else its architecture."""
    try:
        lines = Path(information).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def gpu_names() -> list[str]:
    """Return the names of the GPUs that this process may use; an empty list if nvidia-smi cannot run."""
    # Not by torch: it would take GPU memory in a process that only starts the trainer.
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        command.append(f"--id={visible}")
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        logging.info("the names of the GPUs are unknown: %s", error)
        return []
    return [line.strip() for line in listed.splitlines() if line.strip()]
