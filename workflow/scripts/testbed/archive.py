"""Tar files whose bytes depend on nothing but their content."""

import io
import tarfile


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a file to `archive` with fixed metadata (no time, no owner), so that equal content gives equal bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644
    archive.addfile(member, io.BytesIO(content))
