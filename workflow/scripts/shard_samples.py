"""Rewrite the fetched images of a source as WebDataset shards of equal size, in the source's shuffled order.

The outcome tables say which rows of the list have an image, so the content of every shard is known before any image is
read. Shards are written one by one, each with its own record. A restarted job writes the shards without a valid record.
When a shard has been verified on disk, the downloads that no later shard needs are deleted. So a source never takes much
more disk space than its shards. Parts are read one after the other, so memory does not grow with the source.

In:  the manifests of the source's download parts, and the parts of its shuffled list
Out: a manifest; beside it NNNNNN.tar with <uid>.jpg, <uid>.txt, <uid>.json of each sample,
     NNNNNN.json (record) and NNNNNN.npy (index)
"""

import hashlib
import io
import logging
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as parquet

from testbed.experiment.experiment import Experiment
from testbed.records.locks import locked
from testbed.records.log import PROGRESS, log_to
from testbed.records.manifest import digest, problem, read_json, write_json
from testbed.records.parts import recorded
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.shards.shard_files import ShardError, complete_shards, longer_list, remove_surplus, write_errors
from testbed.shards.shard_writer import write_samples

if TYPE_CHECKING:
    from snakemake.script import snakemake

FACTS = ("sha256", "width", "height", "original_width", "original_height")
"""Columns of an outcome table that describe an image; they go into the sample's metadata."""

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PROGRESS_SECONDS = 30.0


@dataclass(frozen=True)
class Part:
    """One part of a source: its rows of the shuffled list and the folder of its downloads."""

    rows: Path
    downloads: Path


@dataclass(frozen=True)
class Chunk:
    """One chunk of a part's downloads: how images are stored, the outcomes, and the SHA-256 of each tar with images."""

    part: Part
    name: str
    storage: dict
    outcomes: Path
    tars: dict[str, str]

    def freeze(self) -> None:
        """Record that the chunk's images are in shards: they must not be fetched again, and none can be added."""
        path = self.part.downloads / f"{self.name}.json"
        entry = read_json(path)
        if not entry.get("sharded"):
            write_json(path, entry | {"sharded": True})

    def release(self) -> None:
        """Delete the downloaded images, which are in shards now."""
        for tar in self.tars:
            (self.part.downloads / tar).unlink(missing_ok=True)


def chunks_of(part: Part) -> list[Chunk]:
    """Return the chunks of a part in the order of the list. Raises `ShardError` if an outcome table is not as recorded."""
    files: dict[str, list[dict]] = {}
    manifest = read_json(part.downloads / "manifest.json")
    for file in manifest["files"]:
        files.setdefault(file["name"][:5], []).append(file)
    chunks = []
    for name, entries in sorted(files.items()):
        outcomes = next(entry for entry in entries if not entry.get("passing"))
        if wrong := problem(part.downloads, outcomes, content=False):
            raise ShardError(f"{wrong}. Delete {part.downloads}/manifest.json and run the same command again.")
        tars = {entry["name"]: entry["sha256"] for entry in entries if entry.get("passing")}
        chunks.append(Chunk(part, name, manifest["storage"], part.downloads / outcomes["name"], tars))
    return chunks


def read_successes(chunk: Chunk, number: int) -> pa.Table:
    """Return the rows of a chunk's outcomes that have an image, in list order: uid, key, tar, facts, and `chunk`."""
    table = parquet.read_table(chunk.outcomes, columns=["uid", "cause", "tar", "key", *FACTS])
    table = table.filter(pa.compute.equal(table["cause"], "success")).drop_columns(["cause"])
    return table.append_column("chunk", pa.repeat(pa.scalar(number, pa.int64()), len(table)))


def without_duplicates(samples: pa.Table, last: str | None) -> pa.Table:
    """Return `samples` without repeated uids. `last` is the uid before them.

    The list is sorted by a hash of the uid, so equal uids are adjacent.
    """
    uids = samples["uid"].to_pylist()
    return samples.filter(
        pa.array([uid != before for uid, before in zip(uids, [last, *uids], strict=False)], pa.bool_())
    )


def samples_by_shard(chunks: list[Chunk], shard_size: int) -> Iterator[tuple[pa.Table, int]]:
    """Yield the samples of each shard, and the number of the first chunk that later shards need.

    The chunks of an incomplete last shard count as needed, because a longer list would complete it.
    """
    waiting, last = None, None
    for number, chunk in enumerate(chunks):
        samples = without_duplicates(read_successes(chunk, number), last)
        if len(samples):
            last = samples["uid"][-1].as_py()
        waiting = samples if waiting is None else pa.concat_tables([waiting, samples])
        while len(waiting) >= shard_size:
            content, waiting = waiting.slice(0, shard_size), waiting.slice(shard_size)
            yield content, waiting["chunk"][0].as_py() if len(waiting) else number + 1
    if waiting is not None and len(waiting):
        yield waiting, waiting["chunk"][0].as_py()


@lru_cache(maxsize=2)
def read_rows(path: Path) -> tuple[pa.Table, dict[str, int]]:
    """Return the rows of a part of the shuffled list, and the position of each uid."""
    rows = parquet.read_table(path)
    return rows, {uid: place for place, uid in enumerate(rows["uid"].to_pylist())}


def read_images(path: Path, sha256: str, keys: set[str]) -> dict[str, bytes]:
    """Return the images with `keys` in a downloaded tar. Raises `ShardError` if the tar is not as recorded."""
    images: dict[str, bytes] = {}
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise tarfile.ReadError("its SHA-256 is not the recorded one")
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                key, _, extension = member.name.partition(".")
                if extension == "jpg" and key in keys:
                    images[key] = archive.extractfile(member).read()
    except (OSError, tarfile.TarError) as error:
        raise ShardError(
            f"{path}: cannot be used ({error}). Delete it and its part's manifest.json, and run again."
        ) from error
    broken = [key for key, image in images.items() if image[:2] != JPEG_START or image[-2:] != JPEG_END]
    if len(images) != len(keys) or broken:
        raise ShardError(
            f"{path}: has {len(images) - len(broken)} of {len(keys)} images. Delete it and its part's manifest.json, and "
            "run again."
        )
    return images


def check_downloads(shard: str, samples: pa.Table, chunks: list[Chunk]) -> None:
    """Raise `ShardError` if downloads for a shard that must be written are missing. The message says what to do."""
    needed = [chunks[number] for number in dict.fromkeys(samples["chunk"].to_pylist())]
    missing = [chunk for chunk in needed if not all((chunk.part.downloads / tar).is_file() for tar in chunk.tars)]
    if missing:
        files = sorted(
            {str(chunk.part.downloads / name) for chunk in missing for name in ("manifest.json", f"{chunk.name}.json")}
        )
        raise ShardError(
            f"shard {shard} must be written, but its images are missing: downloads are deleted once they are in shards. "
            "If samples of the source was lowered, or shards.shard_size changed, set it back. If the shard was lost, delete "
            f"{' '.join(files)} and run the same command again to fetch its images again. If the web has changed since, "
            "other shards must be written too. Then it is faster to fetch the whole source again: delete "
            f"{missing[0].part.downloads.parent}."
        )


def read_samples(samples: pa.Table, chunk: Chunk) -> Iterator[tuple[bytes, dict]]:
    """Yield the image and metadata of each of `samples`, which are all from `chunk`."""
    tars, keys = samples["tar"].to_pylist(), samples["key"].to_pylist()
    needed: dict[str, set[str]] = {}
    for tar, key in zip(tars, keys, strict=True):
        needed.setdefault(tar, set()).add(key)
    images = {tar: read_images(chunk.part.downloads / tar, chunk.tars[tar], needed[tar]) for tar in needed}
    rows, position = read_rows(chunk.part.rows)
    metadata = rows.take([position[uid] for uid in samples["uid"].to_pylist()]).to_pylist()
    facts = samples.select(FACTS).to_pylist()
    for tar, key, row, fact in zip(tars, keys, metadata, facts, strict=True):
        yield images[tar][key], row | fact


def write_shard(path: Path, samples: pa.Table, chunks: list[Chunk]) -> dict:
    """Write `samples` as a WebDataset shard at `path`, and return its record.

    Raises `ShardError` if a download is not as recorded, or if the disk returns other bytes than were written.
    """
    numbers = samples["chunk"].to_numpy()

    def contents() -> Iterator[tuple[bytes, dict]]:
        for number in dict.fromkeys(numbers.tolist()):
            yield from read_samples(samples.filter(pa.array(numbers == number)), chunks[number])

    return write_samples(path, contents())


def request_of(samples: pa.Table, chunks: list[Chunk]) -> str:
    """Return the digest of what a shard is made of: its samples, their images, and how images are stored."""
    # It covers neither the paths of the downloads nor the bytes of their tars: moved results stay valid, and images that
    # are fetched again for a lost shard do not invalidate other shards.
    storage = [chunks[number].storage for number in dict.fromkeys(samples["chunk"].to_pylist())]
    return digest([samples["uid"].to_pylist(), samples["sha256"].to_pylist(), storage])


def check_surplus(source: str, parts: list[Part], folder: Path, count: int, samples: int) -> None:
    """Raise `ShardError` if shards from number `count` on are of a longer list, and their downloads are gone."""
    surplus = [entry for entry in complete_shards(folder) if int(Path(entry["file"]["name"]).stem) >= count]
    for part in parts if surplus else []:
        # If images of the list are no longer on the web, their shards may go.
        listed = parquet.read_table(part.rows, columns=["uid"])["uid"]
        firsts = pa.array([entry["file"]["first_uid"] for entry in surplus], listed.type)
        known = pa.compute.is_in(firsts, value_set=listed).to_pylist()
        surplus = [entry for entry, is_listed in zip(surplus, known, strict=True) if not is_listed]
    if not surplus:
        return
    kept = 0
    for path in parts[0].downloads.parent.glob("[0-9]*/[0-9]*.json"):
        if path.parent not in [part.downloads for part in parts]:
            chunk = read_json(path)
            tars = [path.parent / file["name"] for file in chunk["files"] if file.get("passing")]
            kept += chunk["successes"] * all(tar.is_file() for tar in tars)
    if kept < sum(entry["file"]["samples"] for entry in surplus):
        raise longer_list(source, samples, folder, surplus, "their downloads were deleted when they were in shards")


def check_enough(source: str, samples: int, needed: int) -> None:
    if samples < needed:
        raise ShardError(
            f"source {source}: {samples} samples were fetched, but the largest trainset needs {needed}. Raise "
            f"sources.{source}.samples if the list has more rows, or lower the sizes."
        )


def shard_samples(
    source: str, parts: list[Part], folder: Path, shard_size: int, needed: int, keep_downloads: bool = False
) -> dict:
    """Write the fetched samples of `parts` as shards of `shard_size` samples into `folder`, and return the manifest.

    Downloads are deleted when they are no longer needed, or kept with `keep_downloads`. Raises `ShardError` if a download
    is not as recorded, if there are fewer than `needed` samples, or if shards of a longer list would be lost.
    """
    fetched = sum(read_json(part.downloads / "manifest.json")["successes"] for part in parts)
    check_enough(source, fetched, needed)
    check_surplus(source, parts, folder, -(-fetched // shard_size), fetched)
    chunks = [chunk for part in parts for chunk in chunks_of(part)]
    files, samples, released, reported = [], 0, 0, time.monotonic()
    for number, (content, first_needed) in enumerate(samples_by_shard(chunks, shard_size)):
        name = f"{number:06d}"
        request = request_of(content, chunks)
        entry = recorded(folder, name, request)
        samples += len(content)
        if entry is None:
            check_downloads(name, content, chunks)
            # The record is removed before its file is replaced, so that it never describes another file.
            (folder / f"{name}.json").unlink(missing_ok=True)
            with write_errors(name):
                entry = {"request": request, "file": write_shard(folder / f"{name}.tar", content, chunks)}
                write_json(folder / f"{name}.json", entry)
            logging.info("shard %s: %d of at most %d samples written", name, samples, fetched)
        files.append(entry["file"])
        if not keep_downloads and len(content) == shard_size:
            for chunk in chunks[released : content["chunk"][-1].as_py() + 1]:
                chunk.freeze()
            for chunk in chunks[released:first_needed]:
                chunk.release()
            released = first_needed
        if time.monotonic() - reported > PROGRESS_SECONDS:
            reported = time.monotonic()
            logging.log(PROGRESS, "%s: %d of at most %d samples in shards", source, samples, fetched)
    check_enough(source, samples, needed)
    check_surplus(source, parts, folder, len(files), samples)
    remove_surplus(folder, len(files))
    return {"source": source, "samples": samples, "shard_size": shard_size, "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = shard_samples(
            snakemake.wildcards.source,
            [Part(Path(rows), Path(downloads)) for rows, downloads in snakemake.params.parts],
            folder,
            snakemake.params.shard_size,
            Experiment(snakemake.config).needed(snakemake.wildcards.source),
            snakemake.config["shards"]["keep_downloads"],
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(snakemake.input.shuffled)})
