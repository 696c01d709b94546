"""Where results come from: the files, the code, the packages and the machine.

What a file was made from is the same in every run that makes the same bytes, and may stand in any manifest. Code,
packages, machine and times are not: they belong into the records of models and evaluations alone.
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
    """The records of files that a stage was made from: path, size in bytes and SHA-256.

    Paths are relative to the working directory, and those of files that the workflow ships to the workflow's folder.
    """
    return [{"path": shipped_name(path), "bytes": os.stat(path).st_size, "sha256": sha256(path)} for path in paths]


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def run_environment(device: str, packages: Iterable[str]) -> dict:
    """What a run on `device` (cpu or cuda) that begins now is under: time, code, versions of `packages`, and machine."""
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
    """The versions of Python and of those of `packages` that are installed."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            logging.info("%s is not installed", package)
    return versions


def code_revision(file: Path | str = __file__) -> dict:
    """The git revision that `file` belongs to, and whether tracked files differ from it; both None without git.

    A copy of the workflow inside of another repository, which does not track it, has no revision either.
    """
    revision = None
    if ask_git(file, "ls-files", "--error-unmatch", Path(file).name) is not None:
        revision = ask_git(file, "rev-parse", "HEAD")
    if revision is None:
        return {"revision": None, "changed": None}
    return {"revision": revision, "changed": ask_git(file, "status", "--porcelain", "--untracked-files=no") != ""}


def ask_git(file: Path | str, *arguments: str) -> str | None:
    """What git says in the folder of `file`, or None where it is not there or fails."""
    command = ["git", "-C", str(Path(file).resolve().parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        logging.info("%s: %s", " ".join(command), error)
        return None


def cpu_name(information: Path | str = "/proc/cpuinfo") -> str:
    """The processor's model as Linux names it, or else its architecture."""
    try:
        lines = Path(information).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def gpu_names() -> list[str]:
    """The names of the GPUs that this process may use; none where the driver's nvidia-smi cannot be asked."""
    # Not torch: it would take memory on a GPU in a process that only starts the trainer's.
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        command.append(f"--id={visible}")
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        logging.info("the names of the GPUs are not known: %s", error)
        return []
    return [line.strip() for line in listed.splitlines() if line.strip()]
