"""The table of the samples of a pool, in parts. Filters read it instead of the shards.

Each row has the pair (uid, url, caption), the list's own columns, the facts of the image, and the location of the sample:
its shard, the offset of its first byte, and its number of bytes. Rows are in the pool's order. The table of a filtered pool
has a part of its parent's rows, and columns with the reasons for keeping them. Its locations are in the same shards: those
of the source that the pool is derived from.
"""

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

PAIR = {"uid": pa.string(), "url": pa.string(), "caption": pa.string()}
FACTS = {
    "sha256": pa.string(),
    "width": pa.int64(),
    "height": pa.int64(),
    "original_width": pa.int64(),
    "original_height": pa.int64(),
}
"""Facts of the image: SHA-256 of the stored file, its size in pixels, and the size of the fetched image."""

LOCATION = {"shard": pa.string(), "offset": pa.int64(), "bytes": pa.int64()}
REASONS = {
    "clip_score": pa.float32(),
    "reference_class": pa.string(),
    "keep_probability": pa.float64(),
    "original_caption": pa.string(),
}
"""Columns that filters add to the samples that they keep."""

MATCHED = "_matched"
"""Column beside those of a user's table: whether the sample has a row there."""

BLOCK = tarfile.BLOCKSIZE


class SampleError(RuntimeError):
    """A shard does not have the samples that its record says."""


def table_path(shard: Path) -> Path:
    """Return where the rows of the tar file `shard` are, if it is a user's tar that is linked as it is."""
    return shard.with_suffix(".parquet")


def own_columns(rows: pa.Schema) -> dict[str, tuple[str, pa.DataType]]:
    """Return the name and type, in the table of samples, of each column of the list other than those of the pair.

    A name that the table already has gets a prefix. Case is ignored, as in SQL. Types that JSON does not have become text.
    """
    taken = {*PAIR, *FACTS, *LOCATION, *REASONS}
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
    """Return an empty table with all columns that the samples of a list with the columns `rows` may have."""
    own = dict(kept for original, kept in own_columns(rows).items() if original not in FACTS)
    return pa.schema(list((PAIR | own | FACTS | LOCATION | REASONS).items())).empty_table()


def is_json(kind: pa.DataType) -> bool:
    """Return whether JSON preserves the values of a type."""
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


def as_text(value: object, kind: pa.DataType) -> object:
    """Return `value`, as JSON text if `kind` is a string and the value is not."""
    return json.dumps(value) if pa.types.is_string(kind) and not isinstance(value, str | None) else value


def with_columns(table: pa.Table, columns: dict[str, pa.Array]) -> pa.Table:
    """Return `table` with `columns` added; columns of the same name are replaced."""
    table = table.drop_columns([name for name in columns if name in table.column_names])
    for name, values in columns.items():
        table = table.append_column(name, values.cast(REASONS[name]))
    return table


def read_image(shard, offset: int) -> bytes:
    """Return the JPEG of the sample at `offset` of an open shard. Raises `SampleError` if no sample begins there."""
    shard.seek(offset)
    try:
        member = tarfile.TarInfo.frombuf(shard.read(BLOCK), "utf-8", "strict")
    except tarfile.TarError as error:
        raise SampleError(
            f"{shard.name}: no sample begins at byte {offset} ({error}). Run `snakemake verify`."
        ) from error
    return shard.read(member.size)


def merge_ranges(offsets: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the byte ranges (start, length) of samples in order. Adjacent ranges are merged."""
    ranges: list[list[int]] = []
    for offset, size in zip(offsets, sizes, strict=True):
        if ranges and sum(ranges[-1]) == offset:
            ranges[-1][1] += size
        else:
            ranges.append([offset, size])
    return [(start, length) for start, length in ranges]
