"""Find the files of a released list, and read them, compressed or not."""

import bz2
import glob
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from testbed.lists.pairs import ListError

OnRead = Callable[[bytes], None]
"""Callback that gets the bytes of a file as they are read, for its SHA-256."""

PIECE = 1 << 20
"""Bytes of a list that are read at once."""

_TEXT_SUFFIXES = (".tsv", ".csv", ".txt")
_SUFFIXES = {"lines": _TEXT_SUFFIXES, "csv": _TEXT_SUFFIXES, "json": (".json",), "parquet": (".parquet",)}
_BINARY = {
    b"PK\x03\x04": "is a zip archive: unpack it, and write the folder as path",
    b"PAR1": "is a parquet file: choose the format parquet or laion",
}


def find_files(path: Path | str, container: str) -> list[Path]:
    """Return the files of a list in sorted order. `path` is a file, a glob or a folder.

    In a folder, these are the files with the usual suffixes of the `container`, without hidden files. Raises `ListError` if
    there is none.
    """
    text = os.path.expanduser(path)
    if os.path.isdir(text):
        suffixes = tuple(suffix + packed for suffix in _SUFFIXES[container] for packed in ("", ".gz", ".bz2"))
        names = [name for name in os.listdir(text) if name.endswith(suffixes) and not name.startswith(".")]
        names = [os.path.join(text, name) for name in names]
        problem = f"has no file that ends in {', '.join(_SUFFIXES[container])}"
    else:
        names = [text] if os.path.isfile(text) else glob.glob(text, recursive=True)
        problem = "there is no such file"
    # A glob may find a file twice. Broken links are kept: opening them fails, so that no part of a list is skipped
    # silently.
    files = [Path(name) for name in sorted(set(names)) if not os.path.isdir(name)]
    if not files:
        raise ListError(f"{path}: {problem}; put the list there, or correct the path")
    return files


@contextmanager
def list_errors(path: Path) -> Iterator[None]:
    """Context that converts errors of reading the file `path` to a `ListError` that names it."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ListError(f"{path}: is truncated or damaged ({error}); download it again") from error
    except OSError as error:
        raise ListError(f"{path}: cannot be read ({error}); check the file, or download it again") from error


class _ObservedFile(io.RawIOBase):
    """An open file that passes its bytes to a callback as they are read."""

    def __init__(self, file: BinaryIO, on_read: OnRead):
        self.file = file
        self.on_read = on_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = self.file.readinto(buffer)
        self.on_read(memoryview(buffer)[:count])
        return count


@contextmanager
def open_list(path: Path, on_read: OnRead | None = None) -> Iterator[BinaryIO]:
    """Context that gives the decompressed content of a file. `on_read` gets the bytes as they are on the disk."""
    with open(path, "rb") as file:
        start = file.read(4)
        if start in _BINARY:
            raise ListError(f"{path}: {_BINARY[start]}")
        file.seek(0)
        raw = io.BufferedReader(_ObservedFile(file, on_read), PIECE) if on_read else file
        if start[:2] == b"\x1f\x8b":
            yield gzip.GzipFile(fileobj=raw)
        elif start[:3] == b"BZh":
            yield bz2.BZ2File(raw)
        else:
            yield raw
        # The SHA-256 covers bytes after the end of the text too. Its reader may have closed the buffer.
        while on_read and (piece := file.read(PIECE)):
            on_read(piece)
