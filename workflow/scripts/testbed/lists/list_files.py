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
_SUFFIXES = {
    "lines": _TEXT_SUFFIXES,
    "csv": _TEXT_SUFFIXES,
    "json": (".json",),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet",),
    "yfcc100m": (".sql", ".sqlite", ".db", *_TEXT_SUFFIXES),
}
_PACKED = ("", ".gz", ".bz2", ".zst")
_BINARY = {
    b"PK\x03\x04": "is a zip archive: unpack it, and write the folder as path",
    b"PAR1": "is a parquet file: choose the format parquet, laion or datacomp",
}


def find_files(path: Path | str, container: str) -> list[Path]:
    """Return the files of a list in sorted order. `path` is a file, a glob or a folder.

    In a folder and the folders in it (``year=2020/``), these are the files with the usual suffixes of the `container`,
    without hidden ones. Raises `ListError` if there is none.
    """
    text = os.path.expanduser(path)
    if os.path.isdir(text):
        suffixes = tuple(suffix + packed for suffix in _SUFFIXES[container] for packed in _PACKED)
        names = [name for name in files_below(text) if name.endswith(suffixes)]
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


def files_below(folder: str) -> Iterator[str]:
    """Yield the files in a folder and the folders in it, without hidden ones and without those that Spark writes beside.

    Links to folders are followed, but not to a folder that is above them.
    """
    for path, folders, names in os.walk(folder, followlinks=True):
        above = os.path.realpath(path)
        folders[:] = [
            name
            for name in folders
            if name[0] not in "._" and not f"{above}/".startswith(f"{os.path.realpath(os.path.join(path, name))}/")
        ]
        yield from (os.path.join(path, name) for name in names if name[0] != ".")


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


def unpacked(file: io.BufferedReader, start: bytes) -> io.BufferedReader | gzip.GzipFile | bz2.BZ2File:
    """Return the decompressed content of `file`, which begins with the bytes `start`."""
    if start[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file)
    if start[:3] == b"BZh":
        return bz2.BZ2File(file)
    if start != b"\x28\xb5\x2f\xfd":
        return file
    # Arrow takes a moment to load. Python's own module for Zstandard comes with 3.14.
    from pyarrow import CompressedInputStream

    return io.BufferedReader(CompressedInputStream(file, "zstd"), PIECE)


def check_encoding(path: Path, start: bytes) -> None:
    """Raise `ListError` if a text that begins with the bytes `start` is in UTF-16 or UTF-32, with or without a mark."""
    marks = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
    name = next((name for mark, name in marks.items() if start.startswith(mark)), None)
    zeros = [byte == 0 for byte in start]
    # Without a mark, the zero bytes of ASCII tell.
    name = name or {(False, True) * 2: "UTF-16LE", (True, False) * 2: "UTF-16BE"}.get(tuple(zeros))
    if name:
        raise ListError(
            f"{path}: is in {name}, but lists are read in UTF-8; unpack it if it is packed, and convert it: "
            f"iconv -f {name} -t UTF-8 {path.name} > new_{path.name}"
        )


@contextmanager
def open_list(path: Path, on_read: OnRead | None = None) -> Iterator[BinaryIO]:
    """Context that gives the decompressed content of a file. `on_read` gets the bytes as they are on the disk."""
    with open(path, "rb") as file:
        start = file.read(4)
        if start in _BINARY:
            raise ListError(f"{path}: {_BINARY[start]}")
        file.seek(0)
        raw = io.BufferedReader(_ObservedFile(file, on_read), PIECE) if on_read else file
        content = unpacked(raw, start)
        check_encoding(path, content.peek(4)[:4])
        yield content
        # The SHA-256 covers bytes after the end of the text too. Its reader may have closed the buffer.
        while on_read and (piece := file.read(PIECE)):
            on_read(piece)
