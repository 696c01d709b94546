"""Files that are whole or not there, their digests, and tar files whose bytes depend on nothing but their content."""

import hashlib
import io
import os
import tarfile
from pathlib import Path


def publish(temporary: Path | str, path: Path | str) -> None:
    """Give the finished file `temporary` its name `path`, durably: file to disk, rename, folder to disk."""
    sync(temporary)
    os.replace(temporary, path)
    sync(Path(path).parent)


def sync(path: Path | str) -> None:
    """Wait until a file's content, or a folder's entries, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a file to `archive` with fixed metadata (no time, no owner), so that equal content gives equal bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644
    archive.addfile(member, io.BytesIO(content))
