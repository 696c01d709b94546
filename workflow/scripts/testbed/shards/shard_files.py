"""WebDataset shards on disk: hashed while they are written, linked, and removed when they are no longer needed."""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from testbed.records.manifest import ManifestError, problem, read_json

WRITE_BYTES = 1 << 20
"""Bytes per write. A sample is three small files and their headers, so writes are buffered."""

COPY_BYTES = 8 << 20


class ShardError(RuntimeError):
    """Samples differ from their manifests, are too few, or cannot be written."""


class HashedFile(io.RawIOBase):
    """A file opened for writing that computes the SHA-256 of its content."""

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
def write_errors(shard: str) -> Iterator[None]:
    """Context that converts errors of writing `shard` to a `ShardError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise ShardError(
            f"shard {shard}: cannot be written ({error}). Free disk space and run the same command again: the shards "
            "before this one are kept."
        ) from error


def copy_ranges(source: BinaryIO, ranges: Iterable[tuple[int, int]], target: BinaryIO) -> None:
    """Append byte ranges (start, length) of the shard `source` to `target`. Raises `ShardError` if it ends before them."""
    for start, length in ranges:
        source.seek(start)
        while length:
            piece = source.read(min(length, COPY_BYTES))
            if not piece:
                raise ShardError(
                    f"{source.name}: is truncated. Run `snakemake verify`, delete it, and run the same command again."
                )
            target.write(piece)
            length -= len(piece)


def end_archive(target: BinaryIO) -> None:
    """Write the end of a tar file: two empty blocks, and zeros up to a whole record."""
    end = target.tell() + 2 * tarfile.BLOCKSIZE
    target.write(bytes(2 * tarfile.BLOCKSIZE + -end % tarfile.RECORDSIZE))


def link(target: Path, path: Path) -> None:
    """Make `path` a relative symlink to `target`, replacing an existing file atomically."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, path.parent))
    temporary.replace(path)


def complete_shards(folder: Path) -> list[dict]:
    """Return the records of the shards in `folder` that are whole, in order."""
    entries = []
    for path in sorted(folder.glob("[0-9][0-9][0-9][0-9][0-9][0-9].json")):
        try:
            entry = read_json(path)
        except ManifestError:
            continue
        if not problem(folder, entry["file"], content=False):
            entries.append(entry)
    return entries


def longer_list(source: str, samples: int, folder: Path, entries: list[dict], cause: str) -> ShardError:
    """Return the error that the shards with the records `entries` would be lost, because the list has fewer samples now."""
    names = [entry["file"]["name"] for entry in entries]
    return ShardError(
        f"source {source}: its list gives at most {samples} samples now. Shards {names[0]} to {names[-1]} in {folder} are "
        f"of a longer list and could not be made again, because {cause}. If sources.{source}.samples was lowered, set it "
        "back: smaller sizes take the first samples of the same shards. If the list itself became shorter and these shards "
        "are no longer needed, delete them."
    )


def remove_surplus(folder: Path, count: int) -> None:
    """Remove shards of an earlier run with more samples or smaller shards."""
    for path in folder.glob("[0-9][0-9][0-9][0-9][0-9][0-9].*"):
        if int(path.stem) >= count:
            path.unlink()
