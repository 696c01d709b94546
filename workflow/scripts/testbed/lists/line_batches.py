"""Batches of JSON lines. Arrow parses pieces of which each line fits the columns; Python, which is slower, the others."""

import io
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from testbed.lists.batches import Batch, Load, batch_of, exact_array_of
from testbed.lists.formats import Format
from testbed.lists.json_lines import EXACT, OtherTypesError, objects
from testbed.lists.json_stream import PIECE
from testbed.lists.list_files import OnRead, list_errors, open_list
from testbed.lists.parquet_batches import batch_of_columns
from testbed.lists.released import cells_of_line
from testbed.lists.text_lines import raw_lines

STARTS = np.frombuffer(b"{\r\n", np.uint8)
"""First bytes of lines that Arrow parses. It terminates the process if the first row is null."""


def line_batches(
    path: Path, format: Format, own: dict[str, pa.DataType] | None, on_read: OnRead | None
) -> Iterator[Load]:
    """Yield functions that return the batches of a file of JSON lines.

    They raise `OtherTypesError` if values do not have the types in `own`, or if rows have further columns. Without `own`,
    batches have no columns of the list's own.
    """
    with list_errors(path), open_list(path, on_read) as file:
        for piece in line_pieces(file):
            yield partial(read_lines, piece, format, own)


def line_pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield whole lines, several megabytes at once. One that is too long is replaced by null, which is no pair."""
    lines, size = [], 0
    for line in raw_lines(file):
        lines.append(b"null\n" if line is None else line)
        size += len(lines[-1])
        if size > PIECE:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


def read_lines(piece: bytes, format: Format, own: dict[str, pa.DataType] | None) -> Batch:
    """Return the batch of some lines; see `line_batches`."""
    with suppress(pa.ArrowException):
        return arrow_lines(piece, format, own)
    entries = list(objects(io.BytesIO(piece)))
    if own is not None:
        known = {*own, *format.places}
        if any(entry and not entry.keys() <= known for entry in entries):
            raise OtherTypesError
    columns = own or {}
    return batch_of([cells_of_line(entry, format, list(columns)) for entry in entries], columns, exact_array_of)


def arrow_lines(piece: bytes, format: Format, own: dict[str, pa.DataType] | None) -> Batch:
    """Return the batch of some lines as Arrow parses it. Raises pa.ArrowException if Python might read them otherwise."""
    if any(mark in place for place in format.places for mark in ".["):
        raise pa.ArrowInvalid("places in nested columns")
    columns = dict.fromkeys(format.places, pa.string()) | (own or {})
    content = np.frombuffer(piece, np.uint8)
    starts = np.concatenate([[0], np.flatnonzero(content[:-1] == ord("\n")) + 1])
    if not np.isin(content[starts], STARTS).all():
        raise pa.ArrowInvalid("lines that are no objects")
    table = pyarrow.json.read_json(
        pa.BufferReader(piece),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(piece) + 1),
        pyarrow.json.ParseOptions(
            explicit_schema=pa.schema(list(columns.items())),
            unexpected_field_behavior="ignore" if own is None else "error",
        ),
    )
    table.validate(full=True)
    if len(table) != np.count_nonzero(content[starts] == ord("{")):
        raise pa.ArrowInvalid("lines that are not one object each")
    for name, kind in columns.items():
        # Arrow rounds whole numbers.
        if pa.types.is_floating(kind) and pc.any(pc.greater(pc.abs(table[name]), EXACT)).as_py():
            raise pa.ArrowInvalid("large numbers")
    batch = pa.record_batch([column.combine_chunks() for column in table.columns], schema=table.schema)
    return batch_of_columns(batch, format, own or {})
