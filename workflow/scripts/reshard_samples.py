"""Write the samples that a filter keeps as shards of equal size, in order, by copying bytes.

Samples with another caption than in the source's shard are written anew, with the same image. A shard of the source is
linked if the new shard would have the same samples. Shards are written one by one, each with its own record. A restarted job
writes only the shards without a valid record.

In:  the table of the kept samples, and the shards of the source that have them
Out: a manifest like that of a source's shards; beside it NNNNNN.tar, NNNNNN.json (its record) and NNNNNN.npy (index)
"""

import io
import json
import logging
import tarfile
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from testbed.experiment.experiment import Experiment
from testbed.local.tar_members import name_in
from testbed.records.locks import locked
from testbed.records.log import PROGRESS, log_to
from testbed.records.manifest import digest, problem, read_json, write_json
from testbed.records.parts import PROGRESS_SECONDS, parts_of, read_parts, recorded
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.shards.index import index_path, publish_shard, read_index, write_index
from testbed.shards.samples import BLOCK, merge_ranges
from testbed.shards.shard_files import (
    WRITE_BYTES,
    HashedFile,
    ShardError,
    copy_ranges,
    end_archive,
    link,
    remove_surplus,
    write_errors,
)
from testbed.shards.shard_writer import METADATA, TarWriter

if TYPE_CHECKING:
    from snakemake.script import snakemake

COLUMNS = ["uid", "sha256", "shard", "offset", "bytes"]
KEY = "file_key"
"""Column with the name of a sample in a tar that is linked as it is. In other shards it is the uid."""

CAPTIONS = ["caption", "original_caption"]
"""Columns of the table if captions were replaced. The second is the caption in the source's shard."""


def columns_of(samples: Path, as_is: bool) -> list[str]:
    """Return the columns of the table that shards are written from, of tars that are linked `as_is` or of other shards."""
    first = next(iter(parts_of(samples).values()))
    found = [name for name in CAPTIONS if CAPTIONS[1] in parquet.read_schema(samples / first["name"]).names]
    return [*COLUMNS, *found, *([KEY] if as_is else [])]


def is_recaptioned(row: dict) -> bool:
    """Return whether the sample has another caption than in the source's shard."""
    return row.get("original_caption") != row.get("caption")


def samples_by_shard(samples: Path, shard_size: int, as_is: bool = False) -> Iterator[pa.Table]:
    """Yield the kept samples, as many at a time as a shard has."""
    waiting = None
    for part in read_parts(samples, columns_of(samples, as_is)):
        waiting = part if waiting is None else pa.concat_tables([waiting, part])
        while len(waiting) >= shard_size:
            yield waiting.slice(0, shard_size)
            waiting = waiting.slice(shard_size).combine_chunks()
    if waiting is not None and len(waiting):
        yield waiting


def runs_of(content: pa.Table) -> Iterator[tuple[str, list[dict]]]:
    """Yield the rows of a new shard, grouped by the source shard that has them, in order."""
    return ((name, list(rows)) for name, rows in groupby(content.to_pylist(), key=lambda row: row["shard"]))


def copy_samples(folder: Path, name: str, rows: list[dict], target: io.BufferedWriter) -> None:
    """Append the samples `rows` of the shard `name` in `folder` to `target`. Raises `ShardError` if it has other samples."""
    with open(folder / name, "rb", buffering=0) as source:
        for row in rows:
            check_place(source, row)
        copy_ranges(source, merge_ranges([row["offset"] for row in rows], [row["bytes"] for row in rows]), target)


def name_of(row: dict) -> str:
    """Return the name of the members of a sample in its shard, without their suffixes."""
    return row.get(KEY, row["uid"])


def check_place(source: io.RawIOBase, row: dict) -> None:
    """Raise `ShardError` if the sample `row` does not begin at its offset in the shard `source`."""
    source.seek(row["offset"])
    stem, _, suffix = name_in(source.read(BLOCK)).rpartition(".")
    if stem != name_of(row) or suffix.lower() not in ("jpg", "jpeg"):
        raise ShardError(
            f"{source.name}: sample {name_of(row)} is not at byte {row['offset']}. Run `snakemake verify`, delete the files "
            "that it names, and run the same command again."
        )


def rewrite_samples(folder: Path, name: str, rows: list[dict], target: io.BufferedWriter) -> None:
    """Append the samples `rows` of the shard `name` in `folder` to `target` with their new captions."""
    archive = TarWriter(target)
    with open(folder / name, "rb", buffering=0) as source:
        for row in rows:
            check_place(source, row)
            source.seek(row["offset"])
            content, stem = source.read(row["bytes"]), name_of(row)
            try:
                with tarfile.open(fileobj=io.BytesIO(content + bytes(2 * BLOCK))) as sample:
                    image, *others = sample
                    image = sample.extractfile(image).read()
                    metadata = [sample.extractfile(one).read() for one in others if one.name.lower().endswith(".json")]
                # A tar that is linked as it is may have no metadata.
                facts = json.loads(metadata[0]) if metadata else {"uid": row["uid"]}
            except (tarfile.TarError, ValueError) as error:
                raise ShardError(
                    f"{folder / name}: sample {stem} cannot be read ({error}). Run `snakemake verify`, delete the files "
                    "that it names, and run the same command again."
                ) from error
            archive.add(f"{stem}.jpg", image)
            archive.add(f"{stem}.json", METADATA.encode(facts | {key: row[key] for key in CAPTIONS}).encode("utf-8"))
            archive.add(f"{stem}.txt", row["caption"].encode("utf-8"))


def write_shard(path: Path, content: pa.Table, folder: Path) -> dict:
    """Write the samples `content` of the shards in `folder` as a shard at `path`, and return its record."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb", buffering=0) as file:
        hashed = HashedFile(file)
        with io.BufferedWriter(hashed, WRITE_BYTES) as buffered:
