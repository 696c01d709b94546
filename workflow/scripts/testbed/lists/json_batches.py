"""Batches of RedCaps' annotations, which Arrow parses where they are written and typed as released."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json

from testbed.lists.batches import Batch, Load, batch_of
from testbed.lists.json_stream import BETWEEN, NotPlainError, member_pieces
from testbed.lists.list_files import Tap, opened, reading
from testbed.lists.released import Format, cells_of

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
    except (ValueError, RecursionError) as error:
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
