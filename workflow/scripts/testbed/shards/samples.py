"""What is known of the samples of a pool: a table in parts, which filters read in place of the shards.

Each row has the pair (uid, url, caption), the list's own columns, the facts of the image, and where the sample lies: its
shard, the place of its first byte there, and how many bytes it takes. Rows are in the pool's order. The table of a filtered
pool has rows of its parent's and the columns that say why they were kept, and speaks of the same shards: those of the
source that the filters begin with.
"""

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from testbed.records.manifest import problem

PAIR = {"uid": pa.string(), "url": pa.string(), "caption": pa.string()}
FACTS = {
    "sha256": pa.string(),
    "width": pa.int64(),
    "height": pa.int64(),
    "original_width": pa.int64(),
    "original_height": pa.int64(),
}
"""Of the image: SHA-256 of the stored file, its size in pixels, and that of the image as it was fetched."""

PLACE = {"shard": pa.string(), "offset": pa.int64(), "bytes": pa.int64()}
REASONS = {"clip_score": pa.float32(), "reference_class": pa.string(), "keep_probability": pa.float64()}
"""What filters say of the samples that they keep."""

BLOCK = tarfile.BLOCKSIZE


class SampleError(RuntimeError):
    """A shard does not hold the samples that it should."""


def own_columns(rows: pa.Schema) -> dict[str, tuple[str, pa.DataType]]:
    """Name and type in the table of samples of each column that the list has besides the pair.

    A name that the table has for something else, whatever its case, gets a prefix: SQL does not tell case apart. Types that
    JSON does not know are texts.
    """
    taken = {*PAIR, *FACTS, *PLACE, *REASONS}
    columns = {}
    for field in rows:
        if field.name in PAIR:
            continue
        name = field.name
        while name.lower() in taken:
            name = f"source_{name.lower()}"
        taken.add(name.lower())
        columns[field.name] = (name, field.type if is_json(field.type) else pa.string())
    return columns


def no_samples(rows: pa.Schema) -> pa.Table:
    """A table without rows that has all columns which the samples of a list with the columns `rows` may have."""
    own = dict(kept for original, kept in own_columns(rows).items() if original not in FACTS)
    return pa.schema(list((PAIR | own | FACTS | PLACE | REASONS).items())).empty_table()


def is_json(kind: pa.DataType) -> bool:
    """Whether values of a type are the same after they went through JSON."""
    if pa.types.is_list(kind):
        return is_json(kind.value_type)
    plain = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_string,
        pa.types.is_large_string,
    )
    return any(check(kind) for check in plain)


def list_shard(folder: Path, entry: dict, own: dict[str, tuple[str, pa.DataType]]) -> pa.Table:
    """The table of the samples in the shard that `entry` records; raises `SampleError` where they are not there."""
    if wrong := problem(folder, entry, content=False):
        raise SampleError(f"{wrong}. Delete {folder}/manifest.json and run the same command again.")
    rows, offsets, ends = [], [], []
    try:
        with tarfile.open(folder / entry["name"], "r:") as archive:
            for member in archive:
                if member.name.endswith(".jpg"):
                    offsets.append(member.offset)
                elif member.name.endswith(".json"):
                    rows.append(json.loads(archive.extractfile(member).read()))
                else:
                    ends.append(member.offset_data + -(-member.size // BLOCK) * BLOCK)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise SampleError(
            f"{folder / entry['name']}: cannot be read ({error}). Delete it and the manifest.json beside "
            "it, and run the same command again."
        ) from error
    if not len(rows) == len(offsets) == len(ends) == entry["samples"]:
        raise SampleError(
            f"{folder / entry['name']}: holds {len(rows)} samples, and its record says {entry['samples']}. "
            "Delete it and the manifest.json beside it, and run the same command again."
        )
    # The facts took the place of columns of the same name when the shard was written.
    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in (PAIR | FACTS).items()}
    for original, (name, kind) in own.items():
        if original not in FACTS:
            columns[name] = pa.array([as_text(row.get(original), kind) for row in rows], kind)
    sizes = [end - start for start, end in zip(offsets, ends, strict=True)]
    places = {"shard": [entry["name"]] * len(rows), "offset": offsets, "bytes": sizes}
    return pa.table(columns | {name: pa.array(places[name], kind) for name, kind in PLACE.items()})


def as_text(value: object, kind: pa.DataType) -> object:
    """`value`, as a text where `kind` is one and the value, of a type that only texts can hold, is none."""
    return json.dumps(value) if pa.types.is_string(kind) and not isinstance(value, str | None) else value


def with_columns(table: pa.Table, columns: dict[str, pa.Array]) -> pa.Table:
    """`table` with more columns; those that it has are replaced."""
    table = table.drop_columns([name for name in columns if name in table.column_names])
    for name, values in columns.items():
        table = table.append_column(name, values.cast(REASONS[name]))
    return table


def read_image(shard, offset: int) -> bytes:
    """The JPEG of the sample that begins at `offset` of an open shard; raises `SampleError` where none does."""
    shard.seek(offset)
    try:
        member = tarfile.TarInfo.frombuf(shard.read(BLOCK), "utf-8", "strict")
    except tarfile.TarError as error:
        raise SampleError(
            f"{shard.name}: no sample begins at byte {offset} ({error}). Run `snakemake verify`."
        ) from error
    return shard.read(member.size)


def joined(offsets: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """The byte ranges (start, length) of samples in order, with those that follow one another as one."""
    ranges: list[list[int]] = []
    for offset, size in zip(offsets, sizes, strict=True):
        if ranges and sum(ranges[-1]) == offset:
            ranges[-1][1] += size
        else:
            ranges.append([offset, size])
    return [(start, length) for start, length in ranges]
