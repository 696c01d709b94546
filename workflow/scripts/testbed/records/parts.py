"""Tables in parts, each with a record of its own, so that a job that was killed makes only those that are missing."""

import time
from collections.abc import Callable, Iterator, Mapping
from logging import log
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from testbed.records.files import publish
from testbed.records.log import PROGRESS
from testbed.records.manifest import ManifestError, digest, problem, read_json, record, write_json

PROGRESS_SECONDS = 30.0


class PartError(RuntimeError):
    """A part of a table is not as its manifest says."""


def make_parts(folder: Path, requests: Mapping[str, object], make: Callable[[str], pa.Table], words: str) -> list[dict]:
    """Make the parts of a table in `folder`, those that are there already left as they are; returns their records.

    `requests` says for each part (six digits) what it is made from: a part is made by `make` where its record does not
    say the same, or where its file is not whole. `words` tell who watches what is done.
    """
    files, told = [], time.monotonic()
    for number, (name, request) in enumerate(requests.items(), 1):
        asked = digest(request)
        entry = recorded(folder, name, asked)
        if entry is None:
            # The record of a file that is replaced goes first, so that it never speaks of another.
            (folder / f"{name}.json").unlink(missing_ok=True)
            table = make(name)
            temporary = folder / f".{name}.parquet.tmp"
            parquet.write_table(table, temporary, compression="zstd")
            publish(temporary, folder / f"{name}.parquet")
            entry = {"request": asked, "file": record(folder / f"{name}.parquet", rows=len(table))}
            write_json(folder / f"{name}.json", entry)
        files.append(entry["file"])
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            log(PROGRESS, "%s: %d of %d parts", words, number, len(requests))
    for path in folder.glob("[0-9][0-9][0-9][0-9][0-9][0-9].*"):
        if path.stem not in requests:
            path.unlink()
    return files


def recorded(folder: Path, name: str, request: str) -> dict | None:
    """The record of a part that is whole and was made from what `request` is the digest of, or None."""
    try:
        entry = read_json(folder / f"{name}.json")
    except ManifestError:
        return None
    return None if entry["request"] != request or problem(folder, entry["file"], content=False) else entry


def parts_of(folder: Path) -> dict[str, dict]:
    """The records of the parts of a finished table, by their names."""
    return {Path(file["name"]).stem: file for file in read_json(folder / "manifest.json")["files"]}


def read_part(folder: Path, file: dict, columns: list[str] | None = None) -> pa.Table:
    """The part of a table that `file` records, or `columns` of it; raises `PartError` where it is not whole."""
    if wrong := problem(folder, file, content=False):
        raise PartError(f"{wrong}. Delete {folder}/manifest.json and run the same command again.")
    return parquet.read_table(folder / file["name"], columns=columns)


def read_parts(folder: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The parts of a finished table, one after the other."""
    for file in parts_of(folder).values():
        yield read_part(folder, file, columns)
