"""Batches of RedCaps' annotations. Arrow parses files that have the released layout and types."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json

from testbed.lists.batches import Batch, Load, batch_of
from testbed.lists.formats import Format
from testbed.lists.json_stream import SEPARATOR, LayoutError, member_pieces
from testbed.lists.list_files import OnRead, list_errors, open_list
from testbed.lists.released import cells_of

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
"""The columns of RedCaps' annotations. A value that is missing, or has another type, becomes null."""


def json_batches(path: Path, format: Format, own: dict[str, pa.DataType], on_read: OnRead | None) -> Iterator[Load]:
    """Yield the batches of a RedCaps file. If its layout is not the released one, the last batch raises `LayoutError`."""
    with list_errors(path), open_list(path, on_read) as file:
        try:
            for piece in member_pieces(file):
                yield partial(read_piece, piece, format, own)
        except LayoutError:
            yield other_layout


def other_layout() -> Batch:
    """Stands for the rows from the first place with another layout on; raises `LayoutError`."""
    raise LayoutError


def read_piece(piece: memoryview, format: Format, own: dict[str, pa.DataType]) -> Batch:
    """Return the batch of a piece of a JSON list. Arrow parses it; Python, which is slower, parses what Arrow refuses.

    Raises `LayoutError` if the piece does not consist of complete members.
    """
    with suppress(pa.ArrowException):
        return arrow_batch(piece, format, own)
    try:
        entries = json.loads(f"[{str(piece, 'utf-8', 'surrogateescape')}]")
    except (ValueError, RecursionError) as error:
        raise LayoutError from error
    return batch_of([cells_of(entry, format, list(own)) for entry in entries], own)


def arrow_batch(piece: memoryview, format: Format, own: dict[str, pa.DataType]) -> Batch:
    """Return the batch of a piece as Arrow parses it. Raises pa.ArrowException if it cannot, or if a text is missing."""
    # Arrow terminates the process if the first row is null.
    if piece[0] != ord("{"):
        raise pa.ArrowInvalid("no object")
    schema = pa.schema([(format.url, pa.string()), (format.caption, pa.string()), *own.items()])
    # One line per member. A separator inside a text splits the text, and parsing fails.
    lines = np.array(piece)
    ends = np.flatnonzero(lines[: -len(SEPARATOR)] == SEPARATOR[0])
    for place, byte in enumerate(SEPARATOR):
        ends = ends[lines[ends + place] == byte]
    lines[ends + 1] = ord("\n")
    table = pyarrow.json.read_json(
        pa.BufferReader(pa.py_buffer(lines)),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    url, caption, *columns = (column.combine_chunks() for column in table.select(schema.names).columns)
    if len(table) != len(ends) + 1 or url.null_count or caption.null_count:
        raise pa.ArrowInvalid("not members of a list")
    table.validate(full=True)

    def own_of(kept: np.ndarray) -> list[pa.Array]:
        return columns if kept.all() else [column.filter(pa.array(kept)) for column in columns]

    return Batch(url, caption, None, np.zeros(len(table), dtype=bool), own_of)
