"""The files of the repository."""

import subprocess
from pathlib import Path

import pytest

from pages import ROOT


def repository_files() -> list[Path]:
    """Files that git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git does not know this folder, so the files of the repository are not known")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
