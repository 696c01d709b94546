"""Fetch the images of one part of a source's shuffled list.

img2dataset's downloader and resizer process one chunk of rows at a time. `testbed.web` makes the requests, and limits each.
This script makes chunks durable: it writes a chunk to a temporary folder, checks its images against its outcome table (one
row per URL, success or cause), and only then renames it and writes its record. A restarted job fetches the chunks without a
valid record.

In:  one part of the shuffled list (parquet: uid, url, caption, expected_sha256 or expected_md5 if the list has it, ...)
Out: a manifest; beside it, of each chunk, NNNNN.parquet (outcomes), NNNNN.tar (images, until they are in shards) and
     NNNNN.json (record). A second pass over failures adds NNNNN-1.tar and replaces the outcomes by NNNNN-1.parquet.
"""

import logging
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as parquet

from testbed.miniweb.server import open_proxy
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import ManifestError, digest, problem, read_json, record, write_json
from testbed.records.processes import is_forced, terminate_with_parent
from testbed.records.progress import SHOWN_SECONDS, Progress
from testbed.records.warm_worker import run_warm
from testbed.web.chunks import LIST_COLUMNS, Chunks, DownloadError, chunk_size_of, keep_from_updates, limits_of
from testbed.web.fetch import Fetcher
from testbed.web.hashes import expected_column, hash_in
from testbed.web.outcomes import causes_of, check_success, tabulate
from testbed.web.rate_limit import share_of_job

if TYPE_CHECKING:
    from snakemake.script import snakemake

STORAGE_OPTIONS = ["image_size", "quality", "minimum_size"]
NETWORK_CAUSES = {"unknown host", "name lookup failed", "no connection", "proxy", "out of time"}
"""If all URLs end in these causes, the fault is in the network, not in the URLs."""

FEW_ROWS = 20
"""A chunk with fewer rows is too short to distinguish a dead network from a few dead URLs."""


def storage_of(options: dict) -> dict:
    """Return the options that say how images are stored. `rotate` is left out if it is off, as in older records."""
    return {name: options[name] for name in STORAGE_OPTIONS} | ({"rotate": True} if options["rotate"] else {})


def request_of(rows: pa.Table, options: dict) -> str:
    """Return the digest of a chunk's request: its pairs, how their images are stored, and the hashes that they must have."""
    expected = [rows[name].to_pylist() for name in rows.column_names if name not in LIST_COLUMNS]
    return digest([rows["uid"].to_pylist(), storage_of(options), *expected])


def read_record(folder: Path, chunk: str, rows: pa.Table, options: dict) -> dict | None:
    """Return the record of a valid chunk of `rows`, or None. `rows` may have more rows at the end, from a longer list.

    Images that are already in shards (the record says so) may be missing. Raises `DownloadError` if such images are
    requested with other settings or not at all, and for any images if `rotate` alone has changed: all would have to be
    fetched again.
    """
    try:
        entry = read_json(folder / f"{chunk}.json")
    except ManifestError:
        return None
    sharded, begun = entry.get("sharded"), rows.slice(0, entry["rows"])
    if entry["request"] != request_of(begun, options) or entry["rows"] > len(rows):
        if entry["request"] == request_of(begun, options | {"rotate": not options["rotate"]}):
            raise DownloadError(
                f"{folder}: chunk {chunk} was fetched with download.rotate: {'false' if options['rotate'] else 'true'}. Set "
                f"it back to that, or delete {folder.parent} to fetch the whole source again."
            )
        if sharded:
            raise DownloadError(
                f"{folder}: chunk {chunk} is already in shards, but its images are now requested with other settings, or "
                "fewer rows are. Set samples of the source, download.image_size, quality, minimum_size, rotate, "
                "verify_hashes, shuffle.part_size and seed back to what they were, or delete "
                f"{folder.parent} to fetch the whole source again."
            )
        return None
    files = [file for file in entry["files"] if not (file.get("passing") and sharded)]
    return None if any(problem(folder, file, content=False) for file in files) else entry


def keep_chunk(folder: Path, scratch: Path, name: str, outcomes: pa.Table, entry: dict) -> dict:
    """Move the tar `name` from `scratch` into `folder`, write the outcomes and the chunk's record, and return the record.

    `entry` has the other facts of the record; its `files` are those of earlier passes. The caller removes the record of
    files that are replaced first, so that it never describes other files.
    """
    parquet.write_table(outcomes, scratch / f"{name}.parquet", compression="zstd")
    for kind in ("tar", "parquet"):
        publish(scratch / f"{name}.{kind}", folder / f"{name}.{kind}")
    causes = causes_of(outcomes)
    entry = entry | {
        "rows": len(outcomes),
        "successes": causes["success"],
        "causes": dict(sorted(causes.items())),
        "files": [
            *(file for file in entry.get("files", []) if file.get("passing")),
            record(folder / f"{name}.tar", passing=True),
            record(folder / f"{name}.parquet"),
        ],
    }
    write_json(folder / f"{name.partition('-')[0]}.json", entry)
    return entry


@dataclass(frozen=True)
class Task:
    """Rows of a chunk to fetch. `finish` checks, moves and records the outcomes, and returns the record."""

    number: int
    rows: pa.Table
    finish: Callable[[list[dict]], dict]


def first_pass(folder: Path, scratch: Path, number: int, rows: pa.Table, options: dict) -> Task:
    """Return the task to fetch all `rows` of chunk `number`."""
    chunk = f"{number:05d}"

    def finish(fetched: list[dict]) -> dict:
        outcomes = tabulate(fetched, scratch, chunk, rows, f"{chunk}.tar")
        if len(rows) >= min(FEW_ROWS, options["chunk_size"]):
            check_success(outcomes, options["minimum_success"], chunk)
        (folder / f"{chunk}.json").unlink(missing_ok=True)
        facts = {"request": request_of(rows, options), "chunk_size": options["chunk_size"]}
        return keep_chunk(folder, scratch, chunk, outcomes, facts)

    return Task(number, rows, finish)


def failures_to_retry(entry: dict, causes: list[str]) -> set[str]:
    """Return those of `causes` that some URLs of a chunk have and that were not retried. A forced rule retries all."""
    tried = set() if is_forced("download_images") else set(entry.get("retried", []))
    return (set(causes) & set(entry["causes"])) - tried - {"success"}


def further_pass(
    folder: Path, scratch: Path, number: int, rows: pa.Table, entry: dict, causes: set[str], options: dict
) -> Task:
    """Return the task to fetch those of `rows` that failed by one of `causes` or are new. `entry` is the chunk's record.

    Raises `DownloadError` if the chunk's images are already in shards, because their samples would have to move.
    """
    chunk = f"{number:05d}"
    if causes and entry.get("sharded"):
        raise DownloadError(
            f"{folder}: its images are already in shards, so no image can be added between them. Remove "
            f"download.retry_failed, or delete {folder.parent} to fetch the whole source again."
        )
    old = [folder / file["name"] for file in entry["files"] if not file.get("passing")]
    before = parquet.read_table(old[0])
    failed = pa.compute.is_in(before["cause"], pa.array(sorted(causes), pa.string()))
    retried_rows = pa.concat_tables([rows.slice(0, len(before)).filter(failed), rows.slice(len(before))])
    passes = entry.get("passes", 0) + 1
    name = f"{chunk}-{passes}"
    retried = sorted({*entry.get("retried", []), *causes})

    def finish(fetched: list[dict]) -> dict:
        after = tabulate(fetched, scratch, chunk, retried_rows, f"{name}.tar")
        causes_after = set(after["cause"].to_pylist())
        if len(after) >= FEW_ROWS and causes_after <= NETWORK_CAUSES:
            raise DownloadError(
                f"chunk {chunk}: none of {len(after)} URLs could be requested ({', '.join(sorted(causes_after))}). "
                "Check the network and run the same command again. Existing images are kept."
            )
        os.replace(scratch / f"{chunk}.tar", scratch / f"{name}.tar")
        position = {
            uid: position for position, uid in enumerate([*before["uid"].to_pylist(), *after["uid"].to_pylist()])
        }
        outcomes = pa.concat_tables([before, after]).take([position[uid] for uid in rows["uid"].to_pylist()])
        # The old record and outcomes stay valid until the new record is written.
        facts = {"request": request_of(rows, options), "passes": passes, "retried": retried}
        new = keep_chunk(folder, scratch, name, outcomes, entry | facts)
        for path in old:
            path.unlink()
        return new

    return Task(number, retried_rows, finish)


def run_tasks(tasks: list[Task], chunks: Chunks) -> Iterator[tuple[int, dict]]:
    """Yield the number and record of each chunk. While one is checked and hashed, the next is fetched."""
    with ThreadPoolExecutor(1, thread_name_prefix="finish") as finisher:
        waiting: tuple[int, Future] | None = None
        for task in tasks:
            fetched = chunks.fetch(task.number, task.rows)
            if waiting:
                yield waiting[0], waiting[1].result()
            waiting = task.number, finisher.submit(task.finish, fetched)
        if waiting:
            yield waiting[0], waiting[1].result()


@contextmanager
def shown(chunks: Chunks, urls: int) -> Iterator[None]:
    """Context that shows each second how far the `urls` to fetch are."""
    progress, started, ended = Progress(urls, "URLs"), time.monotonic(), threading.Event()

    def show() -> None:
        while not ended.wait(SHOWN_SECONDS):
            rate = chunks.images / (time.monotonic() - started)
            success = f"{chunks.images / chunks.done:.0%}" if chunks.done else "no"
            progress.update(chunks.done, f"{rate:.3g} images/s, {success} success")

    thread = threading.Thread(target=show, daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def download_images(part: Path, folder: Path, options: dict, pages: list[str]) -> dict:
    """Fetch every row of the parquet file `part` into `folder`, and return the manifest. Valid chunks are kept.

    `options` is the experiment's `download` section, `pages` are the mini-web's pages (only used with proxy "miniweb").
    Raises `DownloadError` if a chunk's images are incomplete or too few of its URLs gave an image.
    """
    hash = hash_in(parquet.read_schema(part).names) if options["verify_hashes"] else None
    table = parquet.read_table(part, columns=[*LIST_COLUMNS, *([expected_column(hash)] if hash else [])])
    chunk_size = chunk_size_of(folder, options["chunk_size"])
    options = options | {"chunk_size": chunk_size}
    slices = [table.slice(start, chunk_size) for start in range(0, len(table), chunk_size)]
    entries = {number: read_record(folder, f"{number:05d}", rows, options) for number, rows in enumerate(slices)}
    for path in folder.glob("[0-9]*.json"):
        if int(path.stem) >= len(slices):
            # Its chunk would be removed, which is an error if its images are in shards.
            read_record(folder, path.stem, table.slice(0, 0), options)
    scratch = folder / "scratch"
    tasks = []
    for number, rows in enumerate(slices):
        entry = entries[number]
        if entry is None:
            tasks.append(first_pass(folder, scratch, number, rows, options))
            continue
        causes = failures_to_retry(entry, options["retry_failed"])
        if causes or entry["rows"] < len(rows):
            tasks.append(further_pass(folder, scratch, number, rows, entry, causes, options))
    logging.info("%s: %d rows in %d chunks, %d to fetch", part, len(table), len(slices), len(tasks))
    shutil.rmtree(scratch, ignore_errors=True)
    if tasks:
        scratch.mkdir()
        with open_proxy(options["proxy"], pages) as proxy:
            chunks = Chunks(scratch, options, Fetcher(limits_of(options), None if proxy == "none" else proxy))
            with shown(chunks, sum(len(task.rows) for task in tasks)):
                for number, entry in run_tasks(tasks, chunks):
                    entries[number] = entry
                    logging.info("chunk %05d: %d of %d URLs gave an image", number, entry["successes"], entry["rows"])
        shutil.rmtree(scratch)
    remove_surplus(folder, entries)
    records = [entries[number] for number in sorted(entries)]
    causes = sum((Counter(entry["causes"]) for entry in records), Counter())
    return {
        "rows": len(table),
        "successes": causes["success"],
        "causes": dict(sorted(causes.items())),
        "storage": storage_of(options),
        "files": [file for entry in records for file in entry["files"]],
    }


def remove_surplus(folder: Path, entries: dict[int, dict]) -> None:
    """Remove files that are in no record: outcomes of earlier passes, and chunks of an earlier, longer part."""
    known = {file["name"] for entry in entries.values() for file in entry["files"]}
    known |= {f"{number:05d}.json" for number in entries}
    for path in folder.glob("[0-9][0-9][0-9][0-9][0-9]*.*"):
        if path.name not in known:
            path.unlink()


if __name__ == "__main__":
    keep_from_updates()
    run_warm("img2dataset.downloader", "img2dataset.resizer")
    log_to(snakemake.log[0], prints=True)
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        pages = list(snakemake.params.pages)
        options = share_of_job(snakemake.config["download"]) | snakemake.params.options
        # The mini-web's own server serves the images of mini-sources, and none of them lies on its side.
        options |= {"proxy": "miniweb", "rotate": False} if pages else {}
        manifest = download_images(Path(snakemake.params.part), folder, options, pages)
        write_json(snakemake.output.manifest, manifest)
