"""Rewrite the fetched images of a source as WebDataset shards of equal size, in the source's shuffled order.

The outcome tables say which rows of the list have an image, so the content of every shard is known before the first
image is read. Shards are written one by one, each with its own record; a restarted job writes those that are not whole.

In:  the manifests of the source's download parts, and the parts of its shuffled list
Out: a manifest; beside it NNNNNN.tar with <uid>.jpg, <uid>.txt, <uid>.json of each sample, and NNNNNN.json (record)
"""

import json
import logging
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as parquet

from testbed.archive import add_member
from testbed.log import log_to
from testbed.manifest import ManifestError, digest, problem, publish, read_json, record, write_json
from testbed.work import follow_parent, locked

if TYPE_CHECKING:
    from snakemake.script import snakemake

SIZES = ("width", "height", "original_width", "original_height")
IMAGE_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("uid", "key", "tar", "tar_sha256", "sha256")]
    + [(name, pa.int32()) for name in SIZES]
)


class ShardError(RuntimeError):
    """The downloads are not what their manifests say, or are too few."""


@dataclass(frozen=True)
class Part:
    """One part of a source: its rows of the shuffled list and the folder of its downloads."""

    rows: Path
    downloads: Path


def fetched(part: Part) -> pa.Table:
    """The rows of a part that have an image, in list order, with the list's columns, the outcome's, and `tar`.

    Raises `ShardError` where a download is not as its manifest says.
    """
    files = read_json(part.downloads / "manifest.json")["files"]
    for file in files:
        wrong = problem(part.downloads, file, content=False)
        if wrong:
            raise ShardError(f"{wrong}. Delete {part.downloads}/manifest.json and run the same command again.")
    hashes = {part.downloads / file["name"]: file["sha256"] for file in files}
    outcomes = [path for path in hashes if path.suffix == ".parquet"]
    successes = [read_successes(path, hashes[path.with_suffix(".tar")]) for path in outcomes]
    images = pa.concat_tables([IMAGE_SCHEMA.empty_table(), *successes])
    rows = parquet.read_table(part.rows)
    place = {uid: number for number, uid in enumerate(rows["uid"].to_pylist())}
    images = images.append_column("row", pa.array([place[uid] for uid in images["uid"].to_pylist()], pa.int64()))
    images = images.sort_by("row")
    samples = rows.take(images["row"])
    for column in images.drop_columns(["uid", "row"]).column_names:
        if column in samples.column_names:
            samples = samples.drop_columns([column])
        samples = samples.append_column(column, images[column])
    return samples


def read_successes(outcomes: Path, tar_sha256: str) -> pa.Table:
    """The rows of an outcome table that have an image, with the columns of `IMAGE_SCHEMA`."""
    table = parquet.read_table(outcomes)
    table = table.filter(pa.compute.equal(table["status"], "success"))
    for column, value in {"tar": str(outcomes.with_suffix(".tar")), "tar_sha256": tar_sha256}.items():
        table = table.append_column(column, pa.repeat(pa.scalar(value, pa.string()), len(table)))
    return table.select(IMAGE_SCHEMA.names).cast(IMAGE_SCHEMA)


def without_repeats(tables: list[pa.Table]) -> pa.Table:
    """All `tables` in order, each uid once."""
    samples = pa.concat_tables(tables, promote_options="default")
    seen: set[str] = set()
    first = [not (uid in seen or seen.add(uid)) for uid in samples["uid"].to_pylist()]
    return samples.filter(pa.array(first, pa.bool_()))


def read_images(tar: str, keys: set[str]) -> dict[str, bytes]:
    """The images with `keys` in a downloaded tar; raises `ShardError` if one is not there or the tar is cut."""
    images: dict[str, bytes] = {}
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                key, _, extension = member.name.partition(".")
                if extension == "jpg" and key in keys:
                    images[key] = archive.extractfile(member).read()
    except (OSError, tarfile.TarError) as error:
        raise ShardError(
            f"{tar}: cannot be read ({error}). Delete it and its part's manifest.json, and run again."
        ) from error
    if len(images) != len(keys):
        raise ShardError(
            f"{tar}: holds {len(images)} of {len(keys)} images. Delete it and its part's manifest.json, and run again."
        )
    return images


def write_shard(path: Path, samples: pa.Table) -> None:
    """Write `samples` (uid, caption, key, tar and metadata) as a WebDataset shard at `path`."""
    keys: dict[str, set[str]] = {}
    for tar, key in zip(samples["tar"].to_pylist(), samples["key"].to_pylist(), strict=True):
        keys.setdefault(tar, set()).add(key)
    images = {(tar, key): image for tar in keys for key, image in read_images(tar, keys[tar]).items()}
    temporary = path.with_name(f".{path.name}.tmp")
    with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
        for sample in samples.to_pylist():
            uid, image = sample["uid"], images[sample.pop("tar"), sample.pop("key")]
            del sample["tar_sha256"]
            metadata = json.dumps(sample, sort_keys=True, ensure_ascii=False, default=str)
            add_member(archive, f"{uid}.jpg", image)
            add_member(archive, f"{uid}.json", metadata.encode("utf-8"))
            add_member(archive, f"{uid}.txt", sample["caption"].encode("utf-8"))
    publish(temporary, path)


def request_of(samples: pa.Table) -> str:
    """Digest of all that a shard is made of: its rows, and the downloads that hold their images."""
    # Not where the downloads lie, so that a moved results folder stays valid.
    rows = samples.drop_columns(["tar"]).to_pylist()
    return digest([json.dumps(row, sort_keys=True, default=str) for row in rows])


def read_record(folder: Path, shard: str, request: str) -> dict | None:
    """The record of a shard that holds what `request` asks for and is whole, or None."""
    try:
        entry = read_json(folder / f"{shard}.json")
    except ManifestError:
        return None
    return None if entry["request"] != request or problem(folder, entry["file"], content=False) else entry


def shard_samples(source: str, parts: list[Part], folder: Path, shard_size: int, needed: int) -> dict:
    """Write the fetched samples of `parts` as shards of `shard_size` samples into `folder`; returns the manifest.

    Raises `ShardError` where a download is not whole, or where fewer than `needed` samples came back.
    """
    samples = without_repeats([fetched(part) for part in parts])
    if len(samples) < needed:
        raise ShardError(
            f"source {source}: {len(samples)} samples came back, and the largest trainset needs {needed}. Raise "
            f"sources.{source}.samples if the list has more rows, or lower the sizes."
        )
    files = []
    for number, start in enumerate(range(0, len(samples), shard_size)):
        name = f"{number:06d}"
        content = samples.slice(start, shard_size)
        uids = content["uid"].to_pylist()
        request = request_of(content)
        entry = read_record(folder, name, request)
        if entry is None:
            write_shard(folder / f"{name}.tar", content)
            facts = {"samples": len(uids), "first_uid": uids[0], "last_uid": uids[-1]}
            entry = {"request": request, "file": record(folder / f"{name}.tar", **facts)}
            write_json(folder / f"{name}.json", entry)
            logging.info("shard %s: %d of %d samples written", name, start + len(uids), len(samples))
        files.append(entry["file"])
    return {"source": source, "samples": len(samples), "shard_size": shard_size, "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    follow_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = shard_samples(
            snakemake.wildcards.source,
            [Part(Path(rows), Path(downloads)) for rows, downloads in snakemake.params.parts],
            folder,
            snakemake.params.shard_size,
            snakemake.params.needed,
        )
        write_json(snakemake.output.manifest, manifest)
