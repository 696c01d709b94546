"""Read the images of a shuffled list from local files in their form for shards, in blocks that fit in memory."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from testbed.local.files import TARS, way_out
from testbed.local.images import ImageFault, Storage, Stored, store_image
from testbed.records.manifest import problem, read_json
from testbed.shards.shard_files import ShardError

BLOCK_BYTES = 256 << 20
"""Bytes of images that are read together. Two blocks are in memory at a time."""

WORKERS = 8
"""Threads that read and encode images. They wait for the disk, or work in libraries without the lock of Python."""

IMAGES_PER_TASK = 64


class Tar(NamedTuple):
    """A tar file of the source, or the file of an image: where it is, and length and SHA-256 when it was indexed.

    Those of an image are in the list.
    """

    path: Path
    bytes: int | None = None
    sha256: str = ""


class Images(dict[str, Tar]):
    """The files of images, whose paths in the list are relative to the folder `base`."""

    def __init__(self, base: Path):
        super().__init__()
        self.base = base

    def __missing__(self, name: str) -> Tar:
        return Tar(self.base / name)


def located(counts: Mapping) -> Mapping[str, Tar]:
    """Return the files of a source by their names in its list. `counts` is the content of its counts.json."""
    if "base" in counts:
        return Images(Path(counts["base"]))
    return {tar["file"]: Tar(Path(tar["path"]), tar["bytes"], tar["sha256"]) for tar in counts["list"]}


def dicts_of(rows: pa.Table) -> Iterator[dict]:
    """Yield the rows of a table. By columns this takes half of the time of `to_pylist`."""
    names = rows.column_names
    for cells in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        yield dict(zip(names, cells, strict=True))


class Place(NamedTuple):
    """Where an image is in its file, and which row of the block it belongs to. `sha256` is that of a file of its own."""

    offset: int
    bytes: int
    row: int
    sha256: str | None = None


class Rows:
    """The rows of a shuffled list, by their places in the order. The list is in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.parts = read_json(folder / "manifest.json")["parts"]
        self.count = sum(part["rows"] for part in self.parts)
        self.part_size = max([1, *(part["rows"] for part in self.parts)])
        # A shard may begin in one part and end in the next.
        self.part = lru_cache(maxsize=2)(self.read_part)

    def read_part(self, number: int) -> pa.Table:
        if wrong := problem(self.folder, self.parts[number], content=False):
            raise ShardError(f"{wrong}. Delete {self.folder}/manifest.json and run the same command again.")
        return parquet.read_table(self.folder / self.parts[number]["name"])

    def between(self, start: int, stop: int) -> pa.Table:
        """Return the rows from place `start` up to `stop`, or up to the end of the list."""
        stop = min(stop, self.count)
        pieces = []
        while start < stop:
            number, place = divmod(start, self.part_size)
            piece = self.part(number).slice(place, stop - start)
            pieces.append(piece)
            start += len(piece)
        return pa.concat_tables(pieces) if pieces else self.part(0).slice(0, 0)

    def blocks(self, start: int) -> Iterator[list[dict]]:
        """Yield the rows from place `start` on, as many at a time as have `BLOCK_BYTES` of images."""
        block, size = [], 0
        while start < self.count:
            rows = self.between(start, start + 1000)
            start += len(rows)
            for row in dicts_of(rows):
                if block and size + row["file_bytes"] > BLOCK_BYTES:
                    yield block
                    block, size = [], 0
                block.append(row)
                size += row["file_bytes"]
        if block:
            yield block


def store_images(tar: Tar, places: list[Place], storage: Storage, results: list[Stored | str]) -> None:
    """Put images of a tar file in their form for shards, or the causes for which they are left out, into `results`.

    Raises `ShardError` if the tar, or the image's own file, has changed since it was indexed.
    """
    try:
        descriptor = os.open(tar.path, os.O_RDONLY)
        try:
            check_size(tar, os.fstat(descriptor).st_size)
            # Reading ahead would bring the images between two samples, too.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
            for place in places:
                image = os.pread(descriptor, place.bytes, place.offset)
                if len(image) < place.bytes:
                    raise OSError(f"it ends before byte {place.offset + place.bytes}")
                if place.sha256 and not is_file_of(place, image, os.fstat(descriptor).st_size):
                    raise OSError("it is another file than when it was indexed")
                results[place.row] = stored_or_cause(image, storage)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise not_usable(tar, error) from error


def is_file_of(place: Place, image: bytes, size: int) -> bool:
    """Return whether a file of `size` bytes that begins with `image` is the one that was indexed."""
    return size == place.bytes and hashlib.sha256(image).hexdigest() == place.sha256


def check_tar(tar: Tar) -> None:
    """Raise `ShardError` if a tar is missing, or has another length than when it was indexed."""
    try:
        check_size(tar, os.stat(tar.path).st_size)
    except OSError as error:
        raise not_usable(tar, error) from error


def check_size(tar: Tar, size: int) -> None:
    if tar.bytes not in (None, size):
        raise OSError(f"it has {size} bytes, and had {tar.bytes} when it was indexed")


def not_usable(tar: Tar, error: OSError) -> ShardError:
    rule = "index_files" if tar.bytes is None else "index_shards"
    if tar.path.is_relative_to(TARS):
        return ShardError(f"{tar.path}: cannot be used ({error}); {way_out(tar.path)}")
    return ShardError(
        f"{tar.path}: cannot be used ({error}). Bring it back, or run the same command again with --forcerun {rule} to "
        "index what there is. If the source was in shards already, set shards.shard_size, download.image_size, quality, "
        "minimum_size, seed and samples of the source back to what they were."
    )


def stored_or_cause(image: bytes, storage: Storage) -> Stored | str:
    """Return an image in its form for shards, or the cause for which it is left out."""
    try:
        return store_image(image, storage)
    except ImageFault as fault:
        return str(fault)


def store_block(
    block: list[dict], tars: Mapping[str, Tar], storage: Storage, workers: Executor
) -> list[tuple[dict, Stored | str]]:
    """Return the rows of a block, each with its image or the cause for which it is left out.

    Images are read in the order in which they lie on the disk.
    """
    results: list[Stored | str] = [""] * len(block)
    by_tar: dict[str, list[Place]] = {}
    own_files = isinstance(tars, Images)
    for number, row in enumerate(block):
        place = Place(row["file_offset"], row["file_bytes"], number, row["file_sha256"] if own_files else None)
        by_tar.setdefault(row["file"], []).append(place)
    tasks = []
    for name in sorted(by_tar):
        places = sorted(by_tar[name])
        for start in range(0, len(places), IMAGES_PER_TASK):
            part = places[start : start + IMAGES_PER_TASK]
            tasks.append(workers.submit(store_images, tars[name], part, storage, results))
    for task in tasks:
        task.result()
    return list(zip(block, results, strict=True))
