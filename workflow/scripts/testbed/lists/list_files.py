"""Find the files of a released list, and read them as they are packed."""

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

Tap = Callable[[bytes], None]
"""Is given the bytes of a list as they are read, for its SHA-256."""

PIECE = 1 << 20
"""Bytes of a list that are read at once."""

_TEXT_SUFFIXES = (".tsv", ".csv", ".txt")
_SUFFIXES = {"lines": _TEXT_SUFFIXES, "csv": _TEXT_SUFFIXES, "json": (".json",), "parquet": (".parquet",)}
_NO_TEXT = {
    b"PK\x03\x04": "is a zip archive: unpack it, and point at the folder",
    b"PAR1": "is a parquet file: choose the format parquet or laion",
}


def find_files(path: Path | str, container: str) -> list[Path]:
    """The files of a list in sorted order; `path` is one file, a glob or a folder.

    Of a folder, the files with the usual endings of the `container` are taken, hidden ones left out. Raises
    `ListError` where there is none.
    """
    text = os.path.expanduser(path)
    if os.path.isdir(text):
        endings = tuple(suffix + pack for suffix in _SUFFIXES[container] for pack in ("", ".gz", ".bz2"))
        names = [name for name in os.listdir(text) if name.endswith(endings) and not name.startswith(".")]
        names = [os.path.join(text, name) for name in names]
        problem = f"holds no file that ends in {', '.join(_SUFFIXES[container])}"
    else:
        names = [text] if os.path.isfile(text) else glob.glob(text, recursive=True)
        problem = "there is no such file"
    # A glob may find a file by several ways. Links to nowhere stay in, so that opening them fails and no part of a list
    # is left out unseen.
    files = [Path(name) for name in sorted(set(names)) if not os.path.isdir(name)]
    if not files:
        raise ListError(f"{path}: {problem}; put the list there, or correct the path")
    return files


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the errors of reading a file, packed or not, into a `ListError` that names it."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ListError(f"{path}: is cut or damaged ({error}); download it again") from error
    except OSError as error:
        raise ListError(f"{path}: cannot be read ({error}); check the file, or download it again") from error


class _Tapped(io.RawIOBase):
    """An open file that hands on its bytes as they are read."""

    def __init__(self, file: BinaryIO, tap: Tap):
        self.file = file
        self.tap = tap

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = self.file.readinto(buffer)
        self.tap(memoryview(buffer)[:count])
        return count


@contextmanager
def opened(path: Path, tap: Tap | None = None) -> Iterator[BinaryIO]:
    """Context that gives the text of a file, packed or not; its bytes as they lie on the disk are given to `tap`."""
    with open(path, "rb") as file:
        start = file.read(4)
        if start in _NO_TEXT:
            raise ListError(f"{path}: {_NO_TEXT[start]}")
        file.seek(0)
        raw = io.BufferedReader(_Tapped(file, tap), PIECE) if tap else file
        if start[:2] == b"\x1f\x8b":
            yield gzip.GzipFile(fileobj=raw)
        elif start[:3] == b"BZh":
            yield bz2.BZ2File(raw)
        else:
            yield raw
        # What lies behind the end of the text belongs to the file, too; who read the text may have closed its buffer.
        while tap and (piece := file.read(PIECE)):
            tap(piece)
