"""Read a released list in Arrow batches, whatever its format: what its rows are judged by, and its own columns."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import compress, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from pyarrow import parquet

from testbed.json_stream import BETWEEN, NotPlainError, member_pieces
from testbed.pairs import ListError
from testbed.released import (
    PIECE,
    Format,
    Tap,
    cells_of,
    check_columns,
    opened,
    read_header,
    read_parquet_schema,
    read_rows,
    reading,
)
from testbed.work import in_order

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


@dataclass(frozen=True)
class Batch:
    """Rows of a list: what they are judged by, and which of them are malformed.

    `url` and `caption` are texts, which may be null; `value` is what `Format.only` asks for, or None. `own_of` gives the
    list's own columns at the rows that a mask chooses.
    """

    url: pa.StringArray
    caption: pa.StringArray
    value: pa.StringArray | None
    malformed: np.ndarray
    own_of: Callable[[np.ndarray], list[pa.Array]]

    def __len__(self) -> int:
        return len(self.malformed)


Load = Callable[[], Batch]
"""Makes a batch of what has been read, in whatever thread."""

T = TypeVar("T")


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


def map_batches(
    function: Callable[[Batch], T],
    files: list[Path],
    format: Format,
    own: dict[str, pa.DataType],
    pool: Executor | None = None,
    tap_of: Callable[[Path], Tap] | None = None,
) -> Iterator[tuple[Path, T]]:
    """Each batch's file and what `function` makes of the batch, in order; `own` as from `own_columns`.

    Batches are made and given to `function` in the threads of `pool`. `tap_of` gives for each file what is given its bytes,
    piece by piece, and has had all of them at the end: those of a text list on the way; a parquet file, which is not
    read from front to back, is read once more. Raises `ListError` where a file does not fit.
    """

    def loads() -> Iterator[tuple[Path, Load]]:
        for file in files:
            for load in read_batches(file, format, own, tap_of and tap_of(file)):
                yield file, load

    def work(item: tuple[Path, Load]) -> tuple[Path, int | None, T | None]:
        file, load = item
        try:
            batch = load()
        except NotPlainError:
            return file, None, None
        return file, len(batch), function(batch)

    done: Counter[Path] = Counter()
    otherwise = set()
    for file, count, result in in_order(pool, work, loads()):
        if count is not None and file not in otherwise:
            done[file] += count
            yield file, result
        elif file not in otherwise:
            # A file of JSON that is not written as RedCaps' are is read value by value from here on.
            otherwise.add(file)
            rest = islice(read_rows(file, format, list(own)), done[file], None)
            yield from ((file, function(load())) for load in row_batches(rest, own))


def read_batches(path: Path, format: Format, own: dict[str, pa.DataType], tap: Tap | None = None) -> Iterator[Load]:
    """What makes the batches of one file of a list, one after another; see `map_batches`."""
    if format.container == "json":
        return json_batches(path, format, own, tap)
    if format.container != "parquet":
        return row_batches(read_rows(path, format, list(own), tap), own)
    if tap:
        with reading(path), open(path, "rb") as file:
            while piece := file.read(PIECE):
                tap(piece)
    return parquet_batches(path, format, own)


def row_batches(rows: Iterator[Sequence | None], own: dict[str, pa.DataType]) -> Iterator[Load]:
    """Batches of rows as `read_rows` gives them."""
    while batch := list(islice(rows, BATCH)):
        yield partial(batch_of, batch, own)


def batch_of(rows: list[Sequence | None], own: dict[str, pa.DataType]) -> Batch:
    """Rows as `read_rows` gives them, together."""

    def own_of(kept: np.ndarray) -> list[pa.Array]:
        cells = list(zip(*compress(rows, kept), strict=True))[3:] or [()] * len(own)
        return [array_of(column, kind) for column, kind in zip(cells, own.values(), strict=True)]

    try:
        texts = first_texts(rows)
    except UnicodeEncodeError:
        rows = [row if row and all(map(is_text, row[:3])) else None for row in rows]
        texts = first_texts(rows)
    return Batch(*texts, np.array([row is None for row in rows]), own_of)


def first_texts(rows: list[Sequence | None]) -> list[pa.StringArray]:
    """The first three columns of rows; raises UnicodeEncodeError where a cell holds half a surrogate pair."""
    return [pa.array([row and row[place] for row in rows], pa.string()) for place in range(3)]


def is_text(cell: str | None) -> bool:
    """Whether a cell is empty or a text that can be written."""
    try:
        return cell is None or cell.encode() is not None
    except UnicodeEncodeError:
        return False


def json_batches(path: Path, format: Format, own: dict[str, pa.DataType], tap: Tap | None) -> Iterator[Load]:
    """Batches of a file of RedCaps; the one that is asked for at a place that is not written as those files are raises."""
    with reading(path), opened(path, tap) as file:
        try:
            for piece in member_pieces(file):
                yield partial(read_piece, piece, format, own)
        except NotPlainError:
            yield not_plain


def not_plain() -> Batch:
    """Stands for batches that no pieces were cut off for."""
    raise NotPlainError


def read_piece(piece: memoryview, format: Format, own: dict[str, pa.DataType]) -> Batch:
    """A piece of a JSON list, all at once where its values are of the right kinds, which Python would take long for.

    Raises `NotPlainError` where it holds no whole members.
    """
    with suppress(pa.ArrowException):
        return arrow_batch(piece, format, own)
    try:
        entries = json.loads(f"[{str(piece, 'utf-8', 'surrogateescape')}]")
    except (json.JSONDecodeError, RecursionError) as error:
        raise NotPlainError from error
    return batch_of([cells_of(entry, format, list(own)) for entry in entries], own)


def arrow_batch(piece: memoryview, format: Format, own: dict[str, pa.DataType]) -> Batch:
    """Members of a JSON list that Arrow reads; raises its exceptions where it does not, or where a text is missing."""
    # Arrow ends the process where the first row is null.
    if piece[0] != ord("{"):
        raise pa.ArrowInvalid("no object")
    schema = pa.schema([(format.url, pa.string()), (format.caption, pa.string()), *own.items()])
    # A line for each: where what separates members is in a text, that is broken and does not parse.
    lines = np.array(piece)
    ends = np.flatnonzero(lines[: -len(BETWEEN)] == BETWEEN[0])
    for place, mark in enumerate(BETWEEN):
        ends = ends[lines[ends + place] == mark]
    lines[ends + 1] = ord("\n")
    table = pyarrow.json.read_json(
        pa.BufferReader(pa.py_buffer(lines)),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    url, caption, *columns = (column.combine_chunks() for column in table.select(schema.names).columns)
    if len(table) != len(ends) + 1 or url.null_count or caption.null_count:
        raise pa.ArrowInvalid("not plainly members of a list")
    table.validate(full=True)

    def own_of(kept: np.ndarray) -> list[pa.Array]:
        return columns if kept.all() else [column.filter(pa.array(kept)) for column in columns]

    return Batch(url, caption, None, np.zeros(len(table), dtype=bool), own_of)


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
    with fitting(path), parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH, columns=list(dict.fromkeys([*asked, *own]))):
            yield partial(parquet_batch, path, batch, asked, own)


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Turn the errors of reading a parquet list into a `ListError` that names it."""
    try:
        with reading(path):
            yield
    except pa.ArrowException as error:
        raise ListError(
            f"{path}: does not fit the list's first file, or is damaged ({error}); download it again"
        ) from error


def parquet_batch(path: Path, batch: pa.RecordBatch, asked: list[str], own: dict[str, pa.DataType]) -> Batch:
    """A batch of a parquet list, of which the columns `asked` are URL, caption and what `Format.only` asks for."""
    with fitting(path):
        columns = [batch[name].cast(kind) for name, kind in own.items()]
        texts = [batch[name].cast(pa.string()) for name in asked]
        valid = valid_rows([*columns, *texts], len(batch))

    def own_of(kept: np.ndarray) -> list[pa.Array]:
        return [column.filter(pa.array(kept)) for column in columns]

    url, caption, value = [*(column if valid.all() else without(column, ~valid) for column in texts), None][:3]
    return Batch(url, caption, value, ~valid, own_of)


def without(texts: pa.StringArray, mask: np.ndarray) -> pa.StringArray:
    """The texts, null where the mask is set."""
    return pc.if_else(pa.array(mask), pa.scalar(None, pa.string()), texts)


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
    """Which rows have texts that are UTF-8; others could not be read by DuckDB."""
    valid = np.ones(count, dtype=bool)
    for column in columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            valid &= [value != b"" for value in decoded(column)]
    return valid
