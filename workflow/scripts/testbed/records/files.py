"""Atomic writes of files, their digests, and tar files whose bytes depend on their content alone."""

import hashlib
import io
import os
import tarfile
from pathlib import Path


def publish(temporary: Path | str, path: Path | str) -> None:
    """Rename the finished file `temporary` to `path`, durably: sync the file, rename it, sync the folder."""
    sync(temporary)
    os.replace(temporary, path)
    sync(Path(path).parent)


def sync(path: Path | str) -> None:
    """Wait until the content of a file, or the entries of a folder, are on disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a file to `archive` with fixed metadata (no time, no owner), so that equal content gives equal bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644
    archive.addfile(member, io.BytesIO(content))
