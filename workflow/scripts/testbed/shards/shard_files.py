"""WebDataset shards on disk: hashed as they are written, linked, and removed where they are too many."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

WRITE_BYTES = 1 << 20
"""Written at once; a sample is three small files and their headers."""


class ShardError(RuntimeError):
    """Samples are not what their manifests say, or are too few, or have no room."""


class HashedFile(io.RawIOBase):
    """A file to write to that hashes what it is given."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.file.tell()

    def write(self, content: memoryview) -> int:
        written = self.file.write(content)
        self.hash.update(content[:written])
        return written


@contextmanager
def room_for(shard: str) -> Iterator[None]:
    """Say what to do where the disk does not take a shard."""
    try:
        yield
    except OSError as error:
        raise ShardError(
            f"shard {shard}: cannot be written ({error}). Make room and run the same command again: the shards before this "
            "one are kept."
        ) from error


def link(target: Path, path: Path) -> None:
    """Make `path` a relative link to `target`, replacing what is there at once."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, path.parent))
    temporary.replace(path)


def remove_surplus(folder: Path, count: int) -> None:
    """Remove the shards that an earlier run with more samples or smaller shards left behind."""
    for path in folder.glob("[0-9][0-9][0-9][0-9][0-9][0-9].*"):
        if int(path.stem) >= count:
            path.unlink()
