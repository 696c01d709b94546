"""Fetch the images of one part of a source's shuffled list.

img2dataset's downloader, resizer and writer do the fetching, a chunk of rows at a time. What they leave to the caller is
done here: a chunk is written aside, its product is checked against its outcome table (one row per URL, success or
cause), and only then gets its name and its record. A restarted job fetches the chunks that have no valid record.

In:  one part of the shuffled list (parquet: uid, url, caption, ...)
Out: a manifest; beside it NNNNN.tar (images), NNNNN.parquet (outcomes) and NNNNN.json (record) of each chunk
"""

import logging
import os
import shutil
import sys
import tarfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as parquet

from testbed.log import log_to
from testbed.manifest import ManifestError, digest, problem, publish, read_json, record, write_json
from testbed.work import follow_parent, locked

if TYPE_CHECKING:
    from snakemake.script import snakemake

LIST_COLUMNS = ["uid", "url", "caption"]
STORAGE_OPTIONS = ["image_size", "quality", "minimum_size"]
TOP_CAUSES = 5
FEW_ROWS = 20
"""A shorter last chunk is too few URLs to tell a dead network from a few dead links."""


class DownloadError(RuntimeError):
    """Too few images came back, or img2dataset's product is not whole."""


def import_img2dataset():
    """The three parts of img2dataset that work on one shard.

    Its writer imports webdataset, which imports torch if it can, for nothing that is used here: 4 s and 700 MB per job.
    Its resizer imports albumentations, which asks a server for updates unless told not to.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    sys.modules.setdefault("torch", None)
    from img2dataset.downloader import Downloader
    from img2dataset.resizer import Resizer
    from img2dataset.writer import WebDatasetSampleWriter

    return Downloader, Resizer, WebDatasetSampleWriter


def make_downloader(folder: Path, options: dict):
    """An img2dataset downloader that writes into `folder`; `options` is the experiment's `download` section."""
    downloader, resizer, writer = import_img2dataset()
    return downloader(
        sample_writer_class=writer,
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
        output_folder=str(folder),
        column_list=LIST_COLUMNS,
        timeout=options["timeout"],
        number_sample_per_shard=options["chunk_size"],
        oom_shard_count=5,
        compute_hash="sha256",
        verify_hash_type=None,
        encode_format="jpg",
        retries=options["retries"],
        user_agent_token=options["user_agent"],
        disallowed_header_directives=["noai", "noimageai", "noindex", "noimageindex"],
    )


@contextmanager
def through_proxy(address: str | None) -> Iterator[None]:
    """Send the requests made meanwhile through the HTTP proxy at `address`, or straight to the web if None."""
    names = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    before = {name: os.environ.pop(name) for name in names if address and name in os.environ}
    if address:
        os.environ.update(http_proxy=address, https_proxy=address)
    # urllib, which img2dataset fetches with, reads the environment once and keeps what it found; this makes it look again.
    urllib.request.install_opener(None)
    try:
        yield
    finally:
        urllib.request.install_opener(None)
        if address:
            del os.environ["http_proxy"], os.environ["https_proxy"]
            os.environ.update(before)


def open_proxy(proxy: str, pages: list[str]):
    """Context that gives the proxy's address: none, the mini-web's own server over `pages`, or the address as given."""
    if proxy != "miniweb":
        return nullcontext(None if proxy == "none" else proxy)
    from testbed.miniweb.server import running

    return running(pages)


def request_of(rows: pa.Table, options: dict) -> str:
    """Digest of what a chunk is asked for: which pairs, and how their images are stored."""
    return digest([rows["uid"].to_pylist(), [options[name] for name in STORAGE_OPTIONS]])


def read_record(folder: Path, chunk: str, request: str) -> dict | None:
    """The record of a chunk that answers `request` and is whole, or None."""
    try:
        entry = read_json(folder / f"{chunk}.json")
    except ManifestError:
        return None
    if entry["request"] != request or any(problem(folder, file, content=False) for file in entry["files"]):
        return None
    return entry


def check_outcomes(scratch: Path, chunk: str, rows: pa.Table) -> pa.Table:
    """The outcome table of a freshly fetched chunk; raises `DownloadError` unless it and the images are whole."""
    try:
        outcomes = parquet.read_table(
            scratch / f"{chunk}.parquet", columns=["key", "uid", "url", "status", "error_message"]
        )
        with tarfile.open(scratch / f"{chunk}.tar") as tar:
            images = sum(name.endswith(".jpg") for name in tar.getnames())
    except (OSError, pa.ArrowException, tarfile.TarError) as error:
        raise DownloadError(
            f"chunk {chunk}: img2dataset left no whole product ({error}). Run the same command again."
        ) from error
    successes = outcomes["status"].to_pylist().count("success")
    if sorted(outcomes["uid"].to_pylist()) != sorted(rows["uid"].to_pylist()) or successes != images:
        raise DownloadError(
            f"chunk {chunk}: {len(rows)} URLs gave {len(outcomes)} outcomes, {successes} successes and {images} images. "
            "Run the same command again; if it stays so, look at the messages above."
        )
    return outcomes


def causes_of(outcomes: pa.Table) -> Counter:
    """How many URLs ended in each cause ("success" among them)."""
    endings = zip(outcomes["status"].to_pylist(), outcomes["error_message"].to_pylist(), strict=True)
    # Some of Python's errors have no words, so that an empty message is no sign of success.
    return Counter("success" if status == "success" else cause or status for status, cause in endings)


def check_success(outcomes: pa.Table, minimum: float, chunk: str) -> None:
    """Raise `DownloadError`, naming the top causes and hosts, where less than `minimum` of a chunk's URLs gave an image."""
    failed = outcomes.filter(pa.compute.not_equal(outcomes["status"], "success"))
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


def fetch_chunk(downloader, folder: Path, scratch: Path, number: int, rows: pa.Table, options: dict) -> dict:
    """Fetch `rows` (uid, url, caption) as chunk `number`, check the product, move it into `folder`; gives its record."""
    chunk = f"{number:05d}"
    request_file = scratch / f"{chunk}.feather"
    with pa.ipc.new_file(request_file, rows.schema) as file:
        file.write_table(rows)
    downloader((number, str(request_file)))
    outcomes = check_outcomes(scratch, chunk, rows)
    if len(rows) >= min(FEW_ROWS, options["chunk_size"]):
        check_success(outcomes, options["minimum_success"], chunk)
    files = [f"{chunk}.tar", f"{chunk}.parquet"]
    # The record of the files that are replaced goes first, so that it never speaks of others.
    (folder / f"{chunk}.json").unlink(missing_ok=True)
    for file in files:
        publish(scratch / file, folder / file)
    causes = causes_of(outcomes)
    entry = {
        "request": request_of(rows, options),
        "rows": len(rows),
        "successes": causes["success"],
        "causes": dict(sorted(causes.items())),
        "files": [record(folder / file) for file in files],
    }
    write_json(folder / f"{chunk}.json", entry)
    return entry


def download_images(part: Path, folder: Path, options: dict, pages: list[str]) -> dict:
    """Fetch every row of the parquet file `part` into `folder`, keeping the chunks that are already there.

    `options` is the experiment's `download` section, `pages` the mini-web's pages (used with proxy "miniweb" alone).
    Returns the manifest. Raises `DownloadError` where a chunk's product is not whole or too few of its URLs gave an image.
    """
    table = parquet.read_table(part, columns=LIST_COLUMNS)
    chunk_size = options["chunk_size"]
    slices = [table.slice(start, chunk_size) for start in range(0, len(table), chunk_size)]
    entries = {
        number: read_record(folder, f"{number:05d}", request_of(rows, options)) for number, rows in enumerate(slices)
    }
    missing = [number for number, entry in entries.items() if entry is None]
    logging.info("%s: %d rows in %d chunks, %d to fetch", part, len(table), len(slices), len(missing))
    if missing:
        scratch = folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        with open_proxy(options["proxy"], pages) as address, through_proxy(address):
            downloader = make_downloader(scratch, options)
            for number in missing:
                started = time.monotonic()
                entries[number] = entry = fetch_chunk(downloader, folder, scratch, number, slices[number], options)
                logging.info(
                    "chunk %05d: %d of %d URLs gave an image, %.0f URLs/s",
                    number,
                    entry["successes"],
                    entry["rows"],
                    entry["rows"] / (time.monotonic() - started),
                )
        shutil.rmtree(scratch)
    chunks = [entries[number] for number in sorted(entries)]
    causes = sum((Counter(entry["causes"]) for entry in chunks), Counter())
    return {
        "rows": len(table),
        "successes": causes["success"],
        "causes": dict(sorted(causes.items())),
        "files": [file for entry in chunks for file in entry["files"]],
    }


if __name__ == "__main__":
    log_to(snakemake.log[0])
    follow_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = download_images(
            Path(snakemake.params.part), folder, dict(snakemake.params.options), list(snakemake.params.pages)
        )
        write_json(snakemake.output.manifest, manifest)
