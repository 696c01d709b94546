"""Read a released list of any format in Arrow batches: the columns that are validated, and its own columns."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from testbed.lists.batches import Batch, Load, batch_of, type_of
from testbed.lists.formats import Format
from testbed.lists.json_batches import REDCAPS_COLUMNS, json_batches
from testbed.lists.json_lines import OtherTypesError, check_lines, kinds_of, objects
from testbed.lists.json_stream import LayoutError
from testbed.lists.line_batches import line_batches
from testbed.lists.list_files import PIECE, OnRead, list_errors, open_list
from testbed.lists.parquet_batches import parquet_batches
from testbed.lists.released import is_textual, read_first_objects, read_header, read_parquet_schema, read_rows
from testbed.lists.yfcc100m import OWN, subset_rows
from testbed.records.processes import in_order

BATCH = 16_384
"""Rows per batch. JSON is split by bytes instead."""

T = TypeVar("T")


def own_columns(files: Sequence[Path], format: Format, whole: bool = False) -> dict[str, pa.DataType]:
    """Return the columns of the list other than URL and caption, and for each a type that the values of all files have.

    Files may differ in columns and in types: numbers are widened, and columns of types that have nothing in common are
    texts. Of JSON lines, the first rows of each file are read, or the `whole` list.
    """
    if format.container == "jsonl":
        return columns_of_lines(files, format, whole)
    types: dict[str, pa.DataType] = {}
    for file in files:
        for name, kind in file_columns(file, format).items():
            types[name] = common_kind(types.get(name, kind), kind)
    return {name: plain_kind(kind) for name, kind in types.items()}


def file_columns(path: Path, format: Format) -> dict[str, pa.DataType]:
    """Return the columns of one file other than URL, caption and hash, and their types. Lists of captions stay."""
    if format.container == "parquet":
        types = {column.name: column.type for column in read_parquet_schema(path, format)}
        format = format.spelled(types)
    elif format.container == "json":
        types = REDCAPS_COLUMNS
    elif format.subset:
        types = dict.fromkeys(OWN, pa.string())
    else:
        types = dict.fromkeys(format.columns or read_header(path, format), pa.string())
    return {
        name: kind
        for name, kind in types.items()
        if name not in format.places or name == format.caption and not is_textual(kind) or name in (format.only or ())
    }


def columns_of_lines(files: Sequence[Path], format: Format, whole: bool) -> dict[str, pa.DataType]:
    """Return the columns of JSON lines, and their types; see `own_columns`."""
    check_lines(files[0], read_first_objects(files[0]), format.places)
    kinds: dict[str, set[str]] = {}
    for file in files:
        if whole:
            with list_errors(file), open_list(file) as content:
                kinds_of(file, objects(content), kinds)
        else:
            kinds_of(file, read_first_objects(file), kinds)
    texts = set(format.places)
    return {name: type_of(found) for name, found in kinds.items() if name not in texts or not found <= {"text"}}


def common_kind(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return a type for the values of both types: that of text if they have nothing in common."""
    if one == other:
        return one
    one, other = (kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (one, other))
    nothing = [pa.types.is_null(kind) for kind in (one, other)]
    if not any(nothing) and is_textual(one) and is_textual(other):
        return pa.string()
    try:
        schemas = [pa.schema([("", kind)]) for kind in (one, other)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return pa.string()


def plain_kind(kind: pa.DataType) -> pa.DataType:
    """Return the type to store a column in. DuckDB reads neither dictionaries nor columns of the type null."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.string() if pa.types.is_null(kind) else kind


def wider_columns(
    files: Sequence[Path], format: Format, own: dict[str, pa.DataType], error: OtherTypesError
) -> dict[str, pa.DataType]:
    """Return columns like `own` that also hold the values for which reading the list raised `error`."""
    if format.container == "jsonl":
        return own_columns(files, format, whole=True)
    return own | dict.fromkeys(error.columns, pa.string())


def map_batches(
    function: Callable[[Batch], T],
    files: list[Path],
    format: Format,
    own: dict[str, pa.DataType] | None = None,
    pool: Executor | None = None,
    on_read_of: Callable[[Path], OnRead] | None = None,
) -> Iterator[tuple[Path, T]]:
    """Yield the file of each batch and the result of `function` for the batch, in order.

    `own` is from `own_columns`. Without it, batches have no columns of the list's own.

    The threads of `pool` make the batches and call `function`. `on_read_of` returns for each file the callback that gets
    its bytes. Text lists are read once for both. A parquet file is not read from front to back, so it is read a second time
    for the callback. Raises `OtherTypesError` if values do not have the types in `own`.
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
            rest = islice(read_rows(file, format, list(own or {})), done[file], None)
            yield from ((file, function(load())) for load in row_batches(rest, own or {}))


def read_batches(
    path: Path, format: Format, own: dict[str, pa.DataType] | None, on_read: OnRead | None = None
) -> Iterator[Load]:
    """Yield functions that return the batches of one file of a list, in order; see `map_batches`."""
    if format.container == "json":
        return json_batches(path, format, own or {}, on_read)
    if format.container == "jsonl":
        return line_batches(path, format, own, on_read)
    if format.subset:
        return row_batches(subset_rows(format.subset, path, on_read), own or dict.fromkeys(OWN, pa.string()))
    if format.container != "parquet":
        return row_batches(read_rows(path, format, list(own or {}), on_read), own or {})
    if on_read:
        with list_errors(path), open(path, "rb") as file:
            while piece := file.read(PIECE):
                on_read(piece)
    return parquet_batches(path, format, own or {}, BATCH)


def row_batches(rows: Iterator[Sequence | None], own: dict[str, pa.DataType]) -> Iterator[Load]:
    """Yield functions that return batches of `rows`, which are as `read_rows` yields them."""
    while batch := list(islice(rows, BATCH)):
        yield partial(batch_of, batch, own)
