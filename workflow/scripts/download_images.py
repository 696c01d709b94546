"""Fetch the images of one part of a source's shuffled list.

img2dataset's downloader and resizer do the work, a chunk of rows at a time; the bytes come through `testbed.web`,
which bounds what a request may take. What they leave to the caller is done here: a chunk is written aside, its product is
checked against its outcome table (one row per URL, success or cause), and only then gets its name and its record. A
restarted job fetches the chunks that have no valid record.

In:  one part of the shuffled list (parquet: uid, url, caption, ...)
Out: a manifest; beside it, of each chunk, NNNNN.parquet (outcomes), NNNNN.tar (images, until they are in shards) and
     NNNNN.json (record). A second pass over failures adds NNNNN-1.tar and replaces the outcomes by NNNNN-1.parquet.
"""

import io
import logging
import os
import shutil
import signal
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as parquet

from testbed.archive import add_member
from testbed.log import PROGRESS, log_to
from testbed.manifest import ManifestError, digest, problem, publish, read_json, record, write_json
from testbed.web.fetch import Fetcher, Limits
from testbed.work import follow_parent, is_forced, locked

if TYPE_CHECKING:
    from snakemake.script import snakemake

LIST_COLUMNS = ["uid", "url", "caption"]
SIZES = ("width", "height", "original_width", "original_height")
OUTCOMES = pa.schema(
    [(name, pa.string()) for name in ("uid", "url", "cause", "tar", "key", "sha256")]
    + [(name, pa.int32()) for name in SIZES]
)
"""One row per URL: the cause is "success" where there is an image, which has `key` in `tar`; sha256 is of what came."""

STORAGE_OPTIONS = ["image_size", "quality", "minimum_size"]
REFUSED = {"image too small"}
"""What img2dataset's resizer says in words of its own; anything else is OpenCV's."""

NETWORK_CAUSES = {"unknown host", "name lookup failed", "no connection", "proxy", "out of time"}
"""Causes that, where no other is met, speak of the network and not of the URLs."""

TOP_CAUSES = 5
FEW_ROWS = 20
"""A shorter last chunk is too few URLs to tell a dead network from a few dead links."""

PROGRESS_SECONDS = 30.0


class DownloadError(RuntimeError):
    """Too few images came back, or the product is not whole."""


def import_img2dataset():
    """img2dataset's downloader module and its resizer.

    Its resizer imports albumentations, which asks a server for updates unless told not to, and silences OpenCV by opening
    /dev/null twice for each image, which between many threads takes 8 % of the time; log_to takes what OpenCV prints.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    from img2dataset import downloader, resizer

    resizer.SuppressStdoutStderr = nullcontext
    return downloader, resizer.Resizer


class Chunks:
    """Fetches chunks into the folder `scratch` with img2dataset's downloader, whose requests `fetcher` makes.

    `options` is the experiment's `download` section.
    """

    def __init__(self, scratch: Path, options: dict, fetcher: Fetcher):
        module, resizer = import_img2dataset()
        self.scratch = scratch
        self.fetcher = fetcher
        self.seconds = options["chunk_deadline"]
        self.outcomes: list[dict] = []
        self.faults: list[OSError] = []
        self.done = 0
        chunks = self

        class Writer:
            """What img2dataset's downloader gives a resized image or a failure to; see its WebDatasetSampleWriter.

            Captions and metadata stay in the list. The downloader would go on after a full disk, and lose the samples.
            """

            def __init__(self, number: int, folder: str, *_):
                chunks.outcomes = []
                path = Path(folder) / f"{number:05d}.tar"
                self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

            def write(self, image: bytes | None, key: str, caption: str, outcome: dict) -> None:
                try:
                    if image is not None:
                        add_member(self.tar, f"{key}.jpg", image)
                    chunks.outcomes.append(outcome)
                except OSError as error:
                    chunks.faults.append(error)
                    fetcher.end = 0.0

            def close(self) -> None:
                self.tar.close()

        def fetch(row: tuple[int, str], **_) -> tuple[int, io.BytesIO | None, str | None]:
            key, url = row
            body, cause = fetcher.fetch(url)
            self.done += 1
            return key, None if body is None else io.BytesIO(body), cause

        module.download_image_with_retry = fetch
        self.downloader = module.Downloader(
            sample_writer_class=Writer,
            resizer=resizer(
                image_size=options["image_size"],
                resize_mode="keep_ratio",
                resize_only_if_bigger=True,
                encode_quality=options["quality"],
                min_image_size=options["minimum_size"],
            ),
            thread_count=options["threads"],
            save_caption=True,
            extract_exif=False,
            output_folder=str(scratch),
            column_list=LIST_COLUMNS,
            timeout=options["timeout"],
            number_sample_per_shard=options["chunk_size"],
            oom_shard_count=5,
            compute_hash="sha256",
            verify_hash_type=None,
            encode_format="jpg",
            retries=options["retries"],
            user_agent_token=options["user_agent"],
            disallowed_header_directives=None,
        )

    def fetch(self, number: int, rows: pa.Table) -> list[dict]:
        """Fetch `rows` (uid, url, caption) as chunk `number`: its images into a tar in `scratch`, and what became of each.

        Raises `DownloadError` where the disk is full.
        """
        chunk = f"{number:05d}"
        request_file = self.scratch / f"{chunk}.feather"
        try:
            with pa.ipc.new_file(request_file, rows.schema) as file:
                file.write_table(rows)
            self.fetcher.end = time.monotonic() + self.seconds
            self.downloader.download_shard((number, str(request_file)))
        except OSError as error:
            self.faults.append(error)
        if self.faults:
            raise DownloadError(
                f"chunk {chunk}: cannot be written ({self.faults[0]}). Make room and run the same command again: the "
                "chunks before this one are kept."
            )
        return self.outcomes


def open_proxy(proxy: str, pages: list[str]):
    """Context that gives the proxy's address: none, the mini-web's own server over `pages`, or the address as given."""
    if proxy != "miniweb":
        return nullcontext(None if proxy == "none" else proxy)
    from testbed.miniweb.server import running

    return running(pages)


def storage_of(options: dict) -> dict:
    """How images are stored."""
    return {name: options[name] for name in STORAGE_OPTIONS}


def request_of(rows: pa.Table, options: dict) -> str:
    """Digest of what a chunk is asked for: which pairs, and how their images are stored."""
    return digest([rows["uid"].to_pylist(), storage_of(options)])


def read_record(folder: Path, chunk: str, rows: pa.Table, options: dict) -> dict | None:
    """The record of a chunk of `rows` that is whole, or None; a longer list may have added rows behind those it is of.

    Images that are in shards by now (shard_samples notes it in the record) need not be there. Raises `DownloadError`
    where such images are asked for in another way: they would all have to be fetched again.
    """
    try:
        entry = read_json(folder / f"{chunk}.json")
    except ManifestError:
        return None
    sharded = entry.get("sharded")
    if entry["request"] != request_of(rows.slice(0, entry["rows"]), options) or entry["rows"] > len(rows):
        if sharded:
            raise DownloadError(
                f"{folder}: chunk {chunk} is in shards already, and its images are now asked for in another way. Set "
                "download.image_size, quality, minimum_size, chunk_size, shuffle.part_size, seed and the source's samples "
                f"back to what they were, or delete {folder.parent} to fetch the whole source again."
            )
        return None
    files = [file for file in entry["files"] if not (file.get("passing") and sharded)]
    return None if any(problem(folder, file, content=False) for file in files) else entry


def tabulate(outcomes: list[dict], scratch: Path, chunk: str, rows: pa.Table, tar: str) -> pa.Table:
    """What img2dataset says became of `rows`, in their order (`OUTCOMES`), with images to be kept in `tar`.

    Raises `DownloadError` unless every row has one outcome and every success an image.
    """
    entries = {}
    for outcome in outcomes:
        success = outcome["status"] == "success"
        # Some errors have no words, so that an empty message is no sign of success.
        cause = "success" if success else outcome["error_message"] or outcome["status"]
        if outcome["status"] == "failed_to_resize" and cause not in REFUSED:
            cause = "cannot be decoded"
        place = {"cause": cause, "key": outcome["key"] if success else None, "tar": tar if success else None}
        entries[outcome["uid"]] = outcome | place
    keys = {entry["key"] for entry in entries.values() if entry["key"]}
    try:
        with tarfile.open(scratch / f"{chunk}.tar") as archive:
            images = {name.removesuffix(".jpg") for name in archive.getnames()}
    except (OSError, tarfile.TarError) as error:
        raise DownloadError(
            f"chunk {chunk}: its images are not whole ({error}). Run the same command again."
        ) from error
    uids = rows["uid"].to_pylist()
    if len(outcomes) != len(uids) or set(entries) != set(uids) or images != keys:
        raise DownloadError(
            f"chunk {chunk}: {len(uids)} URLs gave {len(outcomes)} outcomes, {len(keys)} successes and {len(images)} "
            "images. Run the same command again; if it stays so, look at the rule's log."
        )
    ordered = [{name: entries[uid][name] for name in OUTCOMES.names} for uid in uids]
    return pa.Table.from_pylist(ordered, OUTCOMES)


def causes_of(outcomes: pa.Table) -> Counter:
    """How many URLs ended in each cause ("success" among them)."""
    return Counter(outcomes["cause"].to_pylist())


def check_success(outcomes: pa.Table, minimum: float, chunk: str) -> None:
    """Raise `DownloadError`, naming the top causes and hosts, where less than `minimum` of a chunk's URLs gave an image."""
    failed = outcomes.filter(pa.compute.not_equal(outcomes["cause"], "success"))
    success = 1 - len(failed) / len(outcomes)
    if success >= minimum:
        return
    causes = ", ".join(f"{cause} ({count})" for cause, count in causes_of(failed).most_common(TOP_CAUSES))
    hosts = Counter(urlsplit(url).hostname for url in failed["url"].to_pylist())
    names = ", ".join(f"{host} ({count})" for host, count in hosts.most_common(TOP_CAUSES))
    raise DownloadError(
        f"chunk {chunk}: only {success:.1%} of {len(outcomes)} URLs gave an image, less than download.minimum_success "
        f"({minimum:.1%}). Causes: {causes}. Hosts: {names}. Check the network and run the same command again, or lower "
        "download.minimum_success. The chunks before this one are kept."
    )


def keep_chunk(folder: Path, scratch: Path, name: str, outcomes: pa.Table, entry: dict) -> dict:
    """Move the tar `name` from `scratch` into `folder`, write the outcomes and the chunk's record; returns the record.

    `entry` is what the record says besides; its `files` are those of earlier passes. The record of files that are
    replaced must be gone already, so that it never speaks of others.
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
    """Rows of a chunk to be fetched, and what to do with the outcomes: check, move, record; gives the record."""

    number: int
    rows: pa.Table
    finish: Callable[[list[dict]], dict]


def first_pass(folder: Path, scratch: Path, number: int, rows: pa.Table, options: dict) -> Task:
    """The task to fetch all `rows` of chunk `number`."""
    chunk = f"{number:05d}"

    def finish(fetched: list[dict]) -> dict:
        outcomes = tabulate(fetched, scratch, chunk, rows, f"{chunk}.tar")
        if len(rows) >= min(FEW_ROWS, options["chunk_size"]):
            check_success(outcomes, options["minimum_success"], chunk)
        (folder / f"{chunk}.json").unlink(missing_ok=True)
        return keep_chunk(folder, scratch, chunk, outcomes, {"request": request_of(rows, options)})

    return Task(number, rows, finish)


def failures_to_retry(entry: dict, causes: list[str]) -> set[str]:
    """Those of `causes` that some URLs of a chunk ended in and that no pass has tried again, unless the user forces one."""
    tried = set() if is_forced("download_images") else set(entry.get("retried", []))
    return (set(causes) & set(entry["causes"])) - tried - {"success"}


def further_pass(
    folder: Path, scratch: Path, number: int, rows: pa.Table, entry: dict, causes: set[str], options: dict
) -> Task:
    """The task to fetch those of `rows` that ended in one of `causes` or are new; `entry` is the chunk's record so far.

    Raises `DownloadError` where the chunk's images are in shards already, whose samples would then have to move.
    """
    chunk = f"{number:05d}"
    if causes and entry.get("sharded"):
        raise DownloadError(
            f"{folder}: its images are in shards already, so that no further ones can be added between them. Take "
            f"download.retry_failed out again, or delete {folder.parent} to fetch the whole source again."
        )
    old = [folder / file["name"] for file in entry["files"] if not file.get("passing")]
    before = parquet.read_table(old[0])
    failed = pa.compute.is_in(before["cause"], pa.array(sorted(causes), pa.string()))
    again = pa.concat_tables([rows.slice(0, len(before)).filter(failed), rows.slice(len(before))])
    passes = entry.get("passes", 0) + 1
    name = f"{chunk}-{passes}"
    retried = sorted({*entry.get("retried", []), *causes})

    def finish(fetched: list[dict]) -> dict:
        after = tabulate(fetched, scratch, chunk, again, f"{name}.tar")
        met = set(after["cause"].to_pylist())
        if len(after) >= FEW_ROWS and met <= NETWORK_CAUSES:
            raise DownloadError(
                f"chunk {chunk}: none of {len(after)} URLs could be asked again ({', '.join(sorted(met))}). Check the "
                "network and run the same command again. What was there is kept."
            )
        os.replace(scratch / f"{chunk}.tar", scratch / f"{name}.tar")
        place = {uid: place for place, uid in enumerate([*before["uid"].to_pylist(), *after["uid"].to_pylist()])}
        outcomes = pa.concat_tables([before, after]).take([place[uid] for uid in rows["uid"].to_pylist()])
        # The old record and outcomes hold until the new record is there.
        facts = {"request": request_of(rows, options), "passes": passes, "retried": retried}
        new = keep_chunk(folder, scratch, name, outcomes, entry | facts)
        for path in old:
            path.unlink()
        return new

    return Task(number, again, finish)


def run_tasks(tasks: list[Task], chunks: Chunks) -> Iterator[tuple[int, dict]]:
    """Number and record of each chunk. While one is checked and hashed, the next is being fetched."""
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
def told(chunks: Chunks, urls: int, images: Counter) -> Iterator[None]:
    """Context that says every half minute how far the `urls` to fetch are; `images` counts the causes so far."""
    started = time.monotonic()
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(PROGRESS_SECONDS):
            rate = chunks.done / (time.monotonic() - started)
            tried = images.total()
            success = f"{images['success'] / tried:.1%} gave an image" if tried else "no chunk done yet"
            left = f"{(urls - chunks.done) / rate / 60:.0f} min left" if rate else "no answer yet"
            logging.log(PROGRESS, "%d of %d URLs, %.0f per s, %s, %s", chunks.done, urls, rate, success, left)

    teller = threading.Thread(target=tell, daemon=True, name="teller")
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def limits_of(options: dict) -> Limits:
    """The limits that the experiment's `download` section sets on each request."""
    return Limits(**{field.name: options[field.name] for field in fields(Limits)})


def download_images(part: Path, folder: Path, options: dict, pages: list[str]) -> dict:
    """Fetch every row of the parquet file `part` into `folder`, keeping the chunks that are already there.

    `options` is the experiment's `download` section, `pages` the mini-web's pages (used with proxy "miniweb" alone).
    Returns the manifest. Raises `DownloadError` where a chunk's product is not whole or too few of its URLs gave an image.
    """
    table = parquet.read_table(part, columns=LIST_COLUMNS)
    chunk_size = options["chunk_size"]
    slices = [table.slice(start, chunk_size) for start in range(0, len(table), chunk_size)]
    entries = {number: read_record(folder, f"{number:05d}", rows, options) for number, rows in enumerate(slices)}
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
        fetched = Counter()
        with open_proxy(options["proxy"], pages) as address:
            chunks = Chunks(scratch, options, Fetcher(limits_of(options), address))
            with told(chunks, sum(len(task.rows) for task in tasks), fetched):
                for number, entry in run_tasks(tasks, chunks):
                    entries[number] = entry
                    fetched.update(entry["causes"])
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
    """Remove what no record speaks of: outcomes of earlier passes, and chunks of an earlier and longer part."""
    known = {file["name"] for entry in entries.values() for file in entry["files"]}
    known |= {f"{number:05d}.json" for number in entries}
    for path in folder.glob("[0-9][0-9][0-9][0-9][0-9]*.*"):
        if path.name not in known:
            path.unlink()


if __name__ == "__main__":
    log_to(snakemake.log[0], prints=True)
    follow_parent()
    # img2dataset's loop would wait for ever for its threads when Ctrl-C breaks it; dying loses the chunk under way alone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = download_images(
            Path(snakemake.params.part), folder, dict(snakemake.params.options), list(snakemake.params.pages)
        )
        write_json(snakemake.output.manifest, manifest)
