"""Read a released list in Arrow batches, whatever its format: what its rows are judged by, and its own columns."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from testbed.lists.batches import Batch, Load, batch_of
from testbed.lists.json_batches import REDCAPS_COLUMNS, json_batches
from testbed.lists.json_stream import NotPlainError
from testbed.lists.list_files import PIECE, Tap, reading
from testbed.lists.pairs import ListError
from testbed.lists.released import Format, check_columns, read_header, read_parquet_schema, read_rows
from testbed.records.processes import in_order

BATCH = 16_384
"""Rows that are judged together, but for JSON, which is cut by bytes."""

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


def parquet_batches(path: Path, format: Format, own: dict[str, pa.DataType]) -> Iterator[Load]:
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
