"""Batches of parquet lists: texts in columns of any kind that holds them, also nested, and the list's own columns."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from testbed.lists.batches import Batch, Load
from testbed.lists.formats import Format
from testbed.lists.json_lines import OtherTypesError
from testbed.lists.list_files import list_errors
from testbed.lists.pairs import ListError
from testbed.lists.places import choose_caption, place_of
from testbed.lists.released import is_textual, read_parquet_schema
from testbed.web.hashes import HASHES


def parquet_batches(path: Path, format: Format, own: dict[str, pa.DataType], rows: int) -> Iterator[Load]:
    """Yield functions that return the batches of a parquet file, of `rows` rows each."""
    names = read_parquet_schema(path, format).names
    format = format.spelled(names)
    columns = [*(place_of(place, names)[0] for place in format.places), *(name for name in own if name in names)]
    with parquet_errors(path), parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(rows, columns=list(dict.fromkeys(columns))):
            yield partial(parquet_batch, path, batch, format, own)


def parquet_batch(path: Path, batch: pa.RecordBatch, format: Format, own: dict[str, pa.DataType]) -> Batch:
    """Return a batch of a parquet list."""
    with parquet_errors(path):
        return batch_of_columns(batch, format, own)


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Context that converts errors of reading a parquet list to a `ListError` that names it."""
    try:
        with list_errors(path):
            yield
    except pa.ArrowException as error:
        raise ListError(f"{path}: cannot be read ({error}); download it again") from error


def batch_of_columns(batch: pa.RecordBatch, format: Format, own: dict[str, pa.DataType]) -> Batch:
    """Return the batch of a list's rows in Arrow's columns. Raises `OtherTypesError`, see `own_column`."""
    columns = [own_column(batch, name, kind) for name, kind in own.items()]
    url, caption, *values = [array_at(batch, place) for place in format.texts]
    if not is_textual(caption.type):
        caption = chosen_captions(as_texts(url), caption, format.several)
    texts = [as_texts(column) for column in (url, caption, *values)]
    hash = as_hex(array_at(batch, format.hash[1]), HASHES[format.hash[0]]) if format.hash else None
    valid = valid_rows([*columns, *texts], len(batch))

    def own_of(kept: np.ndarray) -> list[pa.Array]:
        return [column.filter(pa.array(kept)) for column in columns]

    url, caption, value = [*(column if valid.all() else without(column, ~valid) for column in texts), None][:3]
    return Batch(url, caption, value, ~valid, own_of, hash)


def array_at(batch: pa.RecordBatch, place: str) -> pa.Array:
    """Return the column `place` of a batch, or what is at this place in a nested column; null where a list is too short."""
    column, steps = place_of(place, batch.schema.names)
    array = batch[column]
    for step in steps:
        if isinstance(step, str):
            array = pc.struct_field(array, step)
            continue
        members = pc.list_slice(array, step, step + 1)
        has_one = pc.list_value_length(members).fill_null(0).to_numpy(zero_copy_only=False) == 1
        array = members.flatten().take(pa.array(np.cumsum(has_one) - 1, mask=~has_one))
    return array


def chosen_captions(urls: pa.StringArray, captions: pa.Array, choice: str) -> pa.StringArray:
    """Return one of the captions in each list, see `choose_caption`. Those that are not UTF-8 are passed over."""
    lists = captions.cast(pa.large_list(pa.large_binary())).to_pylist()
    texts = [[decoded(member) for member in members or ()] for members in lists]
    addresses = [decoded(url) for url in urls.cast(pa.binary()).to_pylist()]
    return pa.array([choose_caption(*pair, choice) for pair in zip(addresses, texts, strict=True)], pa.string())


def decoded(text: bytes | None) -> str | None:
    """Return bytes as text, or None if they are not UTF-8."""
    try:
        return None if text is None else text.decode()
    except UnicodeDecodeError:
        return None


def as_texts(column: pa.Array) -> pa.StringArray:
    """Return a column that `is_textual` as texts. They may be invalid UTF-8, see `valid_rows`."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_binary_view(column.type):
        column = column.cast(pa.binary())
    return column.cast(pa.string(), safe=False)


def as_hex(column: pa.Array, digits: int) -> pa.StringArray:
    """Return a column of hashes as texts; those that are stored as bytes as `digits` hexadecimal digits."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        # A hash that is no text is none: the row is used, and its image is not checked.
        values = column.cast(pa.large_binary()).to_pylist()
        return pa.array(map(decoded, values), pa.string())
    values = column.cast(pa.binary()).to_pylist()
    return pa.array(
        [value and (value.hex() if len(value) * 2 == digits else decoded(value)) for value in values], pa.string()
    )


def own_column(batch: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    """Return a column of a batch as type `kind`: null if the batch does not have it.

    Raises `OtherTypesError` if the type does not hold its values exactly.
    """
    if name not in batch.schema.names:
        return pa.nulls(len(batch), kind)
    column = batch[name]
    if pa.types.is_string(kind) or pa.types.is_null(kind):
        return as_texts(column) if is_textual(column.type) else written_out(column)
    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        raise OtherTypesError(name) from error


def written_out(column: pa.Array) -> pa.StringArray:
    """Return the values of a column as texts; those that Arrow does not convert as JSON."""
    try:
        return column.cast(pa.string())
    except pa.ArrowException:
        values = column.to_pylist()
        return pa.array([value if value is None else json.dumps(value, default=str) for value in values], pa.string())


def without(texts: pa.StringArray, mask: np.ndarray) -> pa.StringArray:
    """Return the texts, null where the mask is set."""
    return pc.if_else(pa.array(mask), pa.scalar(None, pa.string()), texts)


def valid_rows(columns: list[pa.Array], count: int) -> np.ndarray:
    """Return a mask of the rows whose texts, also those in lists, are UTF-8. DuckDB could not read the others."""
    valid = np.ones(count, dtype=bool)
    for column in columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            valid &= [is_decodable(value) for value in column]
    return valid


def is_decodable(value: pa.Scalar) -> bool:
    """Return whether all texts in a value are UTF-8."""
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True
