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
            for name, run in runs_of(content):
                for is_new, rows in groupby(run, key=is_recaptioned):
                    (rewrite_samples if is_new else copy_samples)(folder, name, list(rows), buffered)
            end_archive(buffered)
    # The hash was computed while writing: reading the file again would double the time.
    entry = {"name": path.name, "bytes": temporary.stat().st_size, "sha256": hashed.hash.hexdigest()}
    publish_shard(temporary, path)
    return entry | facts_of(content)


def facts_of(content: pa.Table) -> dict:
    uids = content["uid"]
    return {"samples": len(content), "first_uid": uids[0].as_py(), "last_uid": uids[-1].as_py()}


def whole_shard(content: pa.Table, entries: dict[str, dict]) -> dict | None:
    """Return the record of the source's shard that has exactly the samples `content`, or None."""
    if CAPTIONS[1] in content.column_names and not content["caption"].equals(content[CAPTIONS[1]]):
        return None
    entry = entries[content["shard"][0].as_py()]
    is_whole = facts_of(content) == {key: entry[key] for key in ("samples", "first_uid", "last_uid")}
    # The rows of a tar that is linked as it is are beside it, and not beside a link to it.
    copied = {key: value for key, value in entry.items() if key != "table"}
    return copied if is_whole and len(content["shard"].unique()) == 1 else None


def check_enough(name: str, manifest: dict, needed: int) -> None:
    """Raise `ShardError` if a filter keeps fewer samples than the largest trainset needs."""
    if manifest["samples"] < needed:
        raise ShardError(
            f"filter {name}: keeps {manifest['samples']} of the {manifest['of']} samples of {manifest['from']}, but the "
            f"largest trainset needs {needed}. Lower the sizes that use it (filters.{name}.sizes), or relax the filter."
        )


def reshard_samples(samples: Path, shards: Path, folder: Path, shard_size: int, needed: int) -> dict:
    """Write the samples in the table in the folder `samples` as shards into `folder`, and return the manifest.

    `shards` is the folder of the source's shards. Raises `ShardError` if there are fewer samples than `needed`, or if a
    shard of the source is not as recorded.
    """
    kept = read_json(samples / "manifest.json")
    check_enough(folder.name, kept, needed)
    source = read_json(shards / "manifest.json")
    entries = {entry["name"]: entry for entry in source["files"]}
    files, done, reported = [], 0, time.monotonic()
    for number, content in enumerate(samples_by_shard(samples, shard_size, source.get("as_is", False))):
        name = f"{number:06d}"
        # Also what is copied or linked: the same samples may come to lie in another shard.
        copied = [entries[shard]["sha256"] for shard in content["shard"].unique().to_pylist()]
        columns = [column for column in content.column_names if column != "bytes"]
        request = digest([copied, *(content[column].to_pylist() for column in columns)])
        entry = recorded(folder, name, request)
        if entry is None:
            for shard in content["shard"].unique().to_pylist():
                if wrong := problem(shards, entries[shard], content=False):
                    raise ShardError(f"{wrong}. Delete {shards}/manifest.json and run the same command again.")
            # The record is removed before its file is replaced, so that it never describes another file.
            (folder / f"{name}.json").unlink(missing_ok=True)
            path = folder / f"{name}.tar"
            with write_errors(name):
                if whole := whole_shard(content, entries):
                    link(shards / whole["name"], path)
                    write_index(index_path(path), read_index(shards / whole["name"], whole["samples"]))
                    file = whole | {"name": path.name}
                else:
                    file = write_shard(path, content, shards)
                entry = {"request": request, "file": file}
                write_json(folder / f"{name}.json", entry)
        files.append(entry["file"])
        done += len(content)
        if time.monotonic() - reported > PROGRESS_SECONDS:
            reported = time.monotonic()
            logging.log(PROGRESS, "%s: %d of %d samples in shards", folder.name, done, kept["samples"])
    remove_surplus(folder, len(files))
    return {"source": folder.name, "samples": done, "shard_size": shard_size, "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = reshard_samples(
            Path(snakemake.input.samples).parent,
            Path(snakemake.input.shards).parent,
            folder,
            shard_size=int(snakemake.params.shard_size),
            needed=Experiment(snakemake.config).needed(snakemake.wildcards.filter),
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
