"""Tables in parts. Each part has its own record, so that a restarted job writes only the missing parts."""

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
    """A part of a table differs from its record in the manifest."""


def make_parts(folder: Path, requests: Mapping[str, object], make: Callable[[str], pa.Table], label: str) -> list[dict]:
    """Write the parts of a table into `folder`, and return their records. Valid parts are kept.

    `requests` gives for each part (six digits) what it is derived from. `make` makes a part if its record has another
    request, or if its file is missing or has another size. `label` names the work in progress messages.
    """
    files, reported = [], time.monotonic()
    for number, (name, request) in enumerate(requests.items(), 1):
        request_digest = digest(request)
        entry = recorded(folder, name, request_digest)
        if entry is None:
            # The record is removed before its file is replaced, so that it never describes another file.
            (folder / f"{name}.json").unlink(missing_ok=True)
            table = make(name)
            temporary = folder / f".{name}.parquet.tmp"
            parquet.write_table(table, temporary, compression="zstd")
            publish(temporary, folder / f"{name}.parquet")
            entry = {"request": request_digest, "file": record(folder / f"{name}.parquet", rows=len(table))}
            write_json(folder / f"{name}.json", entry)
        files.append(entry["file"])
        if time.monotonic() - reported > PROGRESS_SECONDS:
            reported = time.monotonic()
            log(PROGRESS, "%s: %d of %d parts", label, number, len(requests))
    for path in folder.glob("[0-9][0-9][0-9][0-9][0-9][0-9].*"):
        if path.stem not in requests:
            path.unlink()
    return files


def recorded(folder: Path, name: str, request: str) -> dict | None:
    """Return the record of a valid part whose request has the digest `request`, or None."""
    try:
        entry = read_json(folder / f"{name}.json")
    except ManifestError:
        return None
    return None if entry["request"] != request or problem(folder, entry["file"], content=False) else entry


def parts_of(folder: Path) -> dict[str, dict]:
    """Return the records of the parts of a finished table, by the parts' names."""
    return {Path(file["name"]).stem: file for file in read_json(folder / "manifest.json")["files"]}


def read_part(folder: Path, file: dict, columns: list[str] | None = None) -> pa.Table:
    """Return the part of a table that `file` records, or `columns` of it. Raises `PartError` if it is not as recorded."""
    if wrong := problem(folder, file, content=False):
        raise PartError(f"{wrong}. Delete {folder}/manifest.json and run the same command again.")
    return parquet.read_table(folder / file["name"], columns=columns)


def read_parts(folder: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the parts of a finished table, in order."""
    for file in parts_of(folder).values():
        yield read_part(folder, file, columns)
