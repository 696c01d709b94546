"""Read a released list of any format in Arrow batches: the columns that are validated, and its own columns."""

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
from testbed.lists.json_stream import LayoutError
from testbed.lists.list_files import PIECE, OnRead, list_errors
from testbed.lists.pairs import ListError
from testbed.lists.released import Format, check_columns, read_header, read_parquet_schema, read_rows
from testbed.records.processes import in_order

BATCH = 16_384
"""Rows per batch. JSON is split by bytes instead."""

T = TypeVar("T")


def own_columns(path: Path, format: Format) -> dict[str, pa.DataType]:
    """Return the columns of the list other than URL and caption, and their types, from its first file."""
    if format.container == "parquet":
        types = {column.name: column.type for column in read_parquet_schema(path, format)}
    elif format.container == "json":
        types = REDCAPS_COLUMNS
    else:
        types = dict.fromkeys(format.columns or read_header(path, format), pa.string())
    return {name: plain_kind(kind) for name, kind in types.items() if name not in (format.url, format.caption)}


def plain_kind(kind: pa.DataType) -> pa.DataType:
    """Return the type to store a column in. DuckDB reads neither dictionaries nor columns of the type null."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.string() if pa.types.is_null(kind) else kind


def map_batches(
    function: Callable[[Batch], T],
    files: list[Path],
    format: Format,
    own: dict[str, pa.DataType],
    pool: Executor | None = None,
    on_read_of: Callable[[Path], OnRead] | None = None,
) -> Iterator[tuple[Path, T]]:
    """Yield the file of each batch and the result of `function` for the batch, in order. `own` is from `own_columns`.

    The threads of `pool` make the batches and call `function`. `on_read_of` returns for each file the callback that gets
    its bytes. Text lists are read once for both. A parquet file is not read from front to back, so it is read a second time
    for the callback. Raises `ListError` if a file has other columns than the first.
    """

    def loads() -> Iterator[tuple[Path, Load]]:
        for file in files:
            for load in read_batches(file, format, own, on_read_of and on_read_of(file)):
                yield file, load

    def work(item: tuple[Path, Load]) -> tuple[Path, int | None, T | None]:
        file, load = item
        try:
            batch = load()
        except LayoutError:
            return file, None, None
        return file, len(batch), function(batch)

    done: Counter[Path] = Counter()
    other_layouts = set()
    for file, count, result in in_order(pool, work, loads()):
        if count is not None and file not in other_layouts:
            done[file] += count
            yield file, result
        elif file not in other_layouts:
            # The rest of a JSON file that does not have RedCaps' layout is read value by value.
            other_layouts.add(file)
            rest = islice(read_rows(file, format, list(own)), done[file], None)
            yield from ((file, function(load())) for load in row_batches(rest, own))


def read_batches(
    path: Path, format: Format, own: dict[str, pa.DataType], on_read: OnRead | None = None
) -> Iterator[Load]:
    """Yield functions that return the batches of one file of a list, in order; see `map_batches`."""
    if format.container == "json":
        return json_batches(path, format, own, on_read)
    if format.container != "parquet":
        return row_batches(read_rows(path, format, list(own), on_read), own)
    if on_read:
        with list_errors(path), open(path, "rb") as file:
            while piece := file.read(PIECE):
                on_read(piece)
    return parquet_batches(path, format, own)


def row_batches(rows: Iterator[Sequence | None], own: dict[str, pa.DataType]) -> Iterator[Load]:
    """Yield functions that return batches of `rows`, which are as `read_rows` yields them."""
    while batch := list(islice(rows, BATCH)):
        yield partial(batch_of, batch, own)


def parquet_batches(path: Path, format: Format, own: dict[str, pa.DataType]) -> Iterator[Load]:
    """Yield functions that return the batches of a parquet file.

    Raises `ListError` if the file lacks a column of the list's first file, or has another type there.
    """
    check_columns(path, read_parquet_schema(path, format).names, format, list(own))
    needed = [format.url, format.caption, *(format.only or ())[:1]]
    with parquet_errors(path), parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH, columns=list(dict.fromkeys([*needed, *own]))):
            yield partial(parquet_batch, path, batch, needed, own)


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Context that converts errors of reading a parquet list to a `ListError` that names it."""
    try:
        with list_errors(path):
            yield
    except pa.ArrowException as error:
        raise ListError(
            f"{path}: differs in its columns from the list's first file, or is damaged ({error}); download it again"
        ) from error


def parquet_batch(path: Path, batch: pa.RecordBatch, needed: list[str], own: dict[str, pa.DataType]) -> Batch:
    """Return a batch of a parquet list. `needed` names the columns of URL, caption and, if set, that of `Format.only`."""
    with parquet_errors(path):
        columns = [batch[name].cast(kind) for name, kind in own.items()]
        texts = [batch[name].cast(pa.string()) for name in needed]
        valid = valid_rows([*columns, *texts], len(batch))

    def own_of(kept: np.ndarray) -> list[pa.Array]:
        return [column.filter(pa.array(kept)) for column in columns]

    url, caption, value = [*(column if valid.all() else without(column, ~valid) for column in texts), None][:3]
    return Batch(url, caption, value, ~valid, own_of)


def without(texts: pa.StringArray, mask: np.ndarray) -> pa.StringArray:
    """Return the texts, null where the mask is set."""
    return pc.if_else(pa.array(mask), pa.scalar(None, pa.string()), texts)


def decoded(column: pa.Array) -> list[str | bytes | None]:
    """Return the texts of a column. ``b""`` stands for invalid UTF-8, which text columns of parquet files may have."""
    texts = []
    for value in column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist():
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            texts.append(b"")
    return texts


def valid_rows(columns: list[pa.Array], count: int) -> np.ndarray:
    """Return a mask of the rows whose texts are UTF-8. DuckDB could not read the others."""
    valid = np.ones(count, dtype=bool)
    for column in columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            valid &= [value != b"" for value in decoded(column)]
    return valid
