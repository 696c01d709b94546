"""Rewrite the samples of a source's tars or files as WebDataset shards of equal size, in the source's shuffled order.

The order scatters the samples of a shard over all tars. So samples are read in blocks that fit in memory: within a block
each tar is read from front to back, and several tars at once, so that disks and networks of any kind get many requests to
choose from. While a block is written, the next one is read. Images that are fit for training stay as they are.

Shards are written one by one. The record of a shard has the rows of the list that it was made of, so a restarted job writes
only the shards without a valid record.

In:  the source's shuffled list, and the tars that it names
Out: a manifest with the images that were encoded anew or left out, by cause; beside it NNNNNN.tar with <uid>.jpg,
     <uid>.txt, <uid>.json of each sample, NNNNNN.json (record) and NNNNNN.npy (index)
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from testbed.experiment.experiment import Experiment
from testbed.local.images import Storage, Stored, original_size, storage_of
from testbed.local.reading import WORKERS, Images, Rows, Tar, check_tar, dicts_of, located, store_block
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import ManifestError, digest, problem, read_json, write_json
from testbed.records.processes import in_order, terminate_with_parent
from testbed.records.progress import Progress
from testbed.records.provenance import made_from
from testbed.shards.listing import list_shard
from testbed.shards.shard_files import ShardError, complete_shards, longer_list, remove_surplus, write_errors
from testbed.shards.shard_writer import write_samples

if TYPE_CHECKING:
    from snakemake.script import snakemake


def stored_samples(
    rows: Rows, start: int, tars: Mapping[str, Tar], storage: Storage
) -> Iterator[tuple[dict, Stored | str]]:
    """Yield the rows from place `start` on, each with its image or the cause for which it is left out."""
    with ThreadPoolExecutor(WORKERS) as workers, ThreadPoolExecutor(1) as reader:
        store = partial(store_block, tars=tars, storage=storage, workers=workers)
        for block in in_order(reader, store, rows.blocks(start), ahead=1):
            yield from block


class Shard:
    """A shard that is made of the next `wanted` samples that have an image, and what became of the `rows` that it took."""

    def __init__(self, samples: Iterator[tuple[dict, Stored | str]], wanted: int):
        self.samples = samples
        self.wanted = wanted
        self.rows = 0
        self.dropped: Counter = Counter()
        self.encoded: Counter = Counter()

    def contents(self) -> Iterator[tuple[bytes, dict]]:
        """Yield image and metadata of each sample."""
        taken = 0
        while taken < self.wanted and (sample := next(self.samples, None)):
            row, stored = sample
            self.rows += 1
            if isinstance(stored, str):
                self.dropped[stored] += 1
                continue
            if stored.change:
                self.encoded[stored.change] += 1
            taken += 1
            yield stored.content, row | stored.facts | original_size(row, stored.facts)


def request_of(rows: pa.Table, tars: Mapping[str, Tar], shard_size: int, storage: Storage) -> str:
    """Return the digest of what a shard is made of: its rows, the tars that they are in, and how images are stored."""
    if isinstance(tars, Images):
        # Their own columns come from a list or from files beside the image, so that no hash covers them.
        hashes = json.dumps(rows.to_pylist())
    else:
        hashes = [tars[name].sha256 for name in rows["file"].to_pylist()]
    stored = [storage.image_size, storage.quality, storage.minimum_size, storage.rotate]
    return digest([rows["uid"].to_pylist(), hashes, rows["file_offset"].to_pylist(), shard_size, stored])


def valid_record(folder: Path, name: str, start: int, rows: Rows, shard_size: int, request: partial) -> dict | None:
    """Return the record of the valid shard `name` that begins at place `start` of the list, or None."""
    try:
        entry = read_json(folder / f"{name}.json")
    except ManifestError:
        return None
    if entry.get("start") != start or entry["stop"] > rows.count or problem(folder, entry["file"], content=False):
        return None
    # The last shard of a shorter list has more samples now.
    if entry["file"]["samples"] < shard_size and entry["stop"] < rows.count:
        return None
    return entry if entry["request"] == request(rows.between(start, entry["stop"])) else None


def check_longer(source: str, folder: Path, samples: int, tars: Mapping[str, Tar]) -> None:
    """Raise `ShardError` if shards in `folder` have samples behind the `samples` of the list and cannot be made again."""
    longer = [entry for entry in complete_shards(folder) if entry.get("stop", 0) > samples]
    for tar in needed_files(folder, longer, tars):
        try:
            check_tar(tar)
        except ShardError as error:
            raise longer_list(source, samples, folder, longer, f"{tar.path} is missing or has changed") from error


def needed_files(folder: Path, entries: list[dict], tars: Mapping[str, Tar]) -> Iterator[Tar]:
    """Yield the files that shards with the records `entries` need to be made again: the images in them, or all `tars`."""
    if not isinstance(tars, Images):
        yield from tars.values() if entries else ()
        return
    own = {"file": ("file", pa.string()), "file_bytes": ("file_bytes", pa.int64())}
    for entry in entries:
        for row in dicts_of(list_shard(folder, entry["file"], own).select(list(own))):
            yield Tar(tars[row["file"]].path, row["file_bytes"])


def write_shard(folder: Path, name: str, shard: Shard) -> dict | None:
    """Write `shard` into `folder`, and return the record of its file; None if no sample is left for it."""
    contents = shard.contents()
    first = next(contents, None)
    # The record is removed before its file is replaced, so that it never describes another file.
    (folder / f"{name}.json").unlink(missing_ok=True)
    with write_errors(name):
        return first and write_samples(folder / f"{name}.tar", chain([first], contents))


def rewrite_shards(
    source: str,
    shuffled: Path,
    tars: Mapping[str, Tar],
    folder: Path,
    shard_size: int,
    needed: int,
    storage: Storage,
) -> dict:
    """Write the samples of the list in `shuffled` as shards of `shard_size` samples into `folder`; return the manifest.

    `tars` are those of the source by their names in the list. Raises `ShardError` if a tar is not as it was indexed, if
    there are fewer than `needed` samples, or if shards of a longer list would be lost.
    """
    rows = Rows(shuffled)
    check_longer(source, folder, rows.count, tars)
    request = partial(request_of, tars=tars, shard_size=shard_size, storage=storage)
    progress = Progress(rows.count, "samples")
    records, start, samples = [], 0, None
    while start < rows.count:
        name = f"{len(records):06d}"
        entry = valid_record(folder, name, start, rows, shard_size, request)
        if entry is None:
            if samples is None:
                # Before any shard is replaced that could not be made again.
                for tar in tars.values():
                    check_tar(tar)
                samples = stored_samples(rows, start, tars, storage)
            shard = Shard(samples, shard_size)
            file = write_shard(folder, name, shard)
            stop = start + shard.rows
            counts = {"dropped": dict(shard.dropped), "encoded": dict(shard.encoded)}
            entry = {
                "request": request(rows.between(start, stop)),
                "start": start,
                "stop": stop,
                "file": file,
                **counts,
            }
            if file:
                write_json(folder / f"{name}.json", entry)
                logging.info("shard %s: %d of %d samples written", name, stop, rows.count)
        elif samples:
            samples.close()
            samples = None
        records.append(entry)
        start = entry["stop"]
        progress.update(start)
    if samples:
        samples.close()
    return manifest_of(source, folder, shard_size, needed, records)


def manifest_of(source: str, folder: Path, shard_size: int, needed: int, records: list[dict]) -> dict:
    """Return the manifest of the shards with `records`. Raises `ShardError` if they have fewer than `needed` samples."""
    files = [entry["file"] for entry in records if entry["file"]]
    dropped, encoded = (
        dict(sorted(sum((Counter(entry[key]) for entry in records), Counter()).items()))
        for key in ("dropped", "encoded")
    )
    samples = sum(file["samples"] for file in files)
    if samples < needed:
        raise ShardError(
            f"source {source}: {samples} samples on disk have an image, but the largest trainset needs {needed}. Lower "
            f"the sizes that use it. Left out: {told(dropped)}; counts.json in results/metadata/{source} has the rest."
        )
    if encoded or dropped:
        logging.warning("source %s: images encoded anew: %s; left out: %s", source, told(encoded), told(dropped))
    remove_surplus(folder, len(files))
    facts = {"source": source, "samples": samples, "shard_size": shard_size}
    return facts | {"encoded": encoded, "dropped": dropped, "files": files}


def told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{cause} {count:,}" for cause, count in counts.items()) or "none"


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = rewrite_shards(
            snakemake.wildcards.source,
            Path(snakemake.input.shuffled).parent,
            located(read_json(snakemake.input.counts)),
            folder,
            int(snakemake.params.shard_size),
            Experiment(snakemake.config).needed(snakemake.wildcards.source),
            storage_of(snakemake.config["download"]),
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(snakemake.input.shuffled)})
