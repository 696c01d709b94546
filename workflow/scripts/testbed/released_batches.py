"""Read a released list in Arrow batches, whatever its format: what its rows are judged by, and its own columns."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from testbed.pairs import ListError
from testbed.released import PIECE, Format, Tap, check_columns, read_header, read_parquet_schema, read_rows, reading

BATCH = 16_384
"""Rows in memory at once, and rows of a row group."""

REDCAPS_COLUMNS = {
    "image_id": pa.string(),
    "author": pa.string(),
    "raw_caption": pa.string(),
    "subreddit": pa.string(),
    "score": pa.int64(),
    "created_utc": pa.int64(),
    "permalink": pa.string(),
    "crosspost_parents": pa.list_(pa.string()),
}
"""The columns of RedCaps's annotations; one that an annotation lacks, or that is of another kind there, is null."""

Batch = tuple[list[Sequence | None], Callable[[list[int]], list[pa.Array]]]
"""What each row is judged by (None: malformed), and a function that gives the list's own columns at some places."""


def own_columns(path: Path, format: Format) -> dict[str, pa.DataType]:
    """The columns that the list has besides URL and caption, and their types, from its first file."""
    if format.container == "parquet":
        types = {column.name: column.type for column in read_parquet_schema(path, format)}
    elif format.container == "json":
        types = REDCAPS_COLUMNS
    else:
        types = dict.fromkeys(format.columns or read_header(path, format), pa.string())
    return {name: plain_kind(kind) for name, kind in types.items() if name not in (format.url, format.caption)}


def plain_kind(kind: pa.DataType) -> pa.DataType:
    """The type that a column is kept in: DuckDB knows neither dictionaries nor columns without a type."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.string() if pa.types.is_null(kind) else kind


def read_batches(path: Path, format: Format, own: dict[str, pa.DataType], tap: Tap | None = None) -> Iterator[Batch]:
    """Batches of one file of a list; `own` as from `own_columns`. Raises `ListError` where the file does not fit.

    `tap` is given the bytes of the file, piece by piece, and has had all of them when the batches are at an end: those of
    a text list on the way; a parquet file, which is not read from front to back, is read once more.
    """
    if format.container != "parquet":
        return row_batches(path, format, own, tap)
    if tap:
        with reading(path), open(path, "rb") as file:
            while piece := file.read(PIECE):
                tap(piece)
    return parquet_batches(path, format, own)


def row_batches(path: Path, format: Format, own: dict[str, pa.DataType], tap: Tap | None = None) -> Iterator[Batch]:
    """Batches of a text or JSON list; `tap` is given its bytes."""

    def own_of(kept: list[int]) -> list[pa.Array]:
        cells = list(zip(*(batch[place] for place in kept), strict=True))[3:]
        return [array_of(column, kind) for column, kind in zip(cells, own.values(), strict=True)]

    rows = read_rows(path, format, list(own), tap)
    while batch := list(islice(rows, BATCH)):
        yield [row and row[:3] for row in batch], own_of


def array_of(cells: Sequence[object], kind: pa.DataType) -> pa.Array:
    """The cells as an Arrow array; what is not of the kind becomes null, see `as_kind`."""
    python = list if pa.types.is_list(kind) else int if pa.types.is_integer(kind) else str
    # Arrow would make numbers of truth values and of the like.
    if {*map(type, cells)} <= {python, type(None)}:
        with suppress(pa.ArrowException, UnicodeEncodeError, OverflowError):
            return pa.array(cells, kind)
    return pa.array([as_kind(cell, kind) for cell in cells], kind)


def as_kind(value: object, kind: pa.DataType) -> object:
    """`value` if it is of the kind, else null; half surrogate pairs in texts become question marks."""
    if pa.types.is_list(kind):
        return [as_kind(member, kind.value_type) for member in value] if isinstance(value, list) else None
    if pa.types.is_integer(kind):
        return value if type(value) is int and -(2**63) <= value < 2**63 else None
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def parquet_batches(path: Path, format: Format, own: dict[str, pa.DataType]) -> Iterator[Batch]:
    """Batches of a parquet list.

    Raises `ListError` where the file lacks a column of the list's first file, or holds another kind of values in it.
    """
    check_columns(path, read_parquet_schema(path, format).names, format, list(own))
    asked = [format.url, format.caption, *(format.only or ())[:1]]

    def own_of(kept: list[int]) -> list[pa.Array]:
        return [column.take(pa.array(kept)) for column in columns]

    try:
        with reading(path), parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH, columns=list(dict.fromkeys([*asked, *own]))):
                texts = [decoded(batch[name]) for name in asked] + [[None] * len(batch)] * (3 - len(asked))
                columns = [batch[name].cast(kind) for name, kind in own.items()]
                valid = valid_rows(columns, len(batch))
                yield [row if ok and b"" not in row else None for *row, ok in zip(*texts, valid, strict=True)], own_of
    except pa.ArrowException as error:
        raise ListError(
            f"{path}: does not fit the list's first file, or is damaged ({error}); download it again"
        ) from error


def decoded(column: pa.Array) -> list[str | bytes | None]:
    """The texts of a column; ``b""`` stands for bytes that are not UTF-8, which parquet files may hold as texts."""
    texts = []
    for value in column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist():
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            texts.append(b"")
    return texts


def valid_rows(columns: list[pa.Array], count: int) -> np.ndarray:
    """Which rows have own texts that are UTF-8; others could not be read by DuckDB."""
    valid = np.ones(count, dtype=bool)
    for column in columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            valid &= [value != b"" for value in decoded(column)]
    return valid
