"""Batches of a released list's rows: the columns that are validated, and the list's own columns."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress

import numpy as np
import pyarrow as pa

from testbed.lists.json_lines import OtherTypesError, as_json_text, kind_of
from testbed.lists.pairs import is_text


@dataclass(frozen=True)
class Batch:
    """Rows of a list: the columns that are validated, and which rows are malformed.

    `url` and `caption` are texts, which may be null. `value` is the column that `Format.only` names, and `hash` the one of
    `Format.hash`, or None. `own_of` returns the list's own columns of the rows that a mask selects.
    """

    url: pa.StringArray
    caption: pa.StringArray
    value: pa.StringArray | None
    malformed: np.ndarray
    own_of: Callable[[np.ndarray], list[pa.Array]]
    hash: pa.StringArray | None = None

    def __len__(self) -> int:
        return len(self.malformed)


Load = Callable[[], Batch]
"""Returns a batch of rows that have been read; any thread may call it."""


TEXTS = 4
"""Cells of a row before those of the list's own columns: URL, caption, value and hash."""

Convert = Callable[[Sequence[object], pa.DataType], pa.Array]


def batch_of(rows: list[Sequence | None], own: dict[str, pa.DataType], convert: Convert | None = None) -> Batch:
    """Return the batch of `rows`, which are as `read_rows` yields them. `convert` makes its own columns (`array_of`)."""

    def own_of(kept: np.ndarray) -> list[pa.Array]:
        cells = list(zip(*compress(rows, kept), strict=True))[TEXTS:] or [()] * len(own)
        return [(convert or array_of)(column, kind) for column, kind in zip(cells, own.values(), strict=True)]

    try:
        texts = first_texts(rows)
    except UnicodeEncodeError:
        rows = [row if row and all(map(is_text, row[:TEXTS])) else None for row in rows]
        texts = first_texts(rows)
    url, caption, value, hash = texts
    return Batch(url, caption, value, np.array([row is None for row in rows], dtype=bool), own_of, hash)


def first_texts(rows: list[Sequence | None]) -> list[pa.StringArray]:
    """Return the first columns of rows, which hold texts. Raises UnicodeEncodeError if a cell has a lone surrogate."""
    return [pa.array([row and row[place] for row in rows], pa.string()) for place in range(TEXTS)]


def array_of(cells: Sequence[object], kind: pa.DataType) -> pa.Array:
    """Return the cells as an Arrow array of type `kind`; other values become null, see `as_kind`."""
    python = list if pa.types.is_list(kind) else int if pa.types.is_integer(kind) else str
    # Arrow would convert booleans and other types to numbers.
    if {*map(type, cells)} <= {python, type(None)}:
        with suppress(pa.ArrowException, UnicodeEncodeError, OverflowError):
            return pa.array(cells, kind)
    return pa.array([as_kind(cell, kind) for cell in cells], kind)


def as_kind(value: object, kind: pa.DataType) -> object:
    """Return `value` if it has the type `kind`, else None. Lone surrogates in texts become question marks."""
    if pa.types.is_list(kind):
        return [as_kind(member, kind.value_type) for member in value] if isinstance(value, list) else None
    if pa.types.is_integer(kind):
        return value if type(value) is int and -(2**63) <= value < 2**63 else None
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


KINDS = {
    pa.null(): set(),
    pa.int64(): {"whole", "large"},
    pa.float64(): {"whole", "number"},
    pa.bool_(): {"boolean"},
    pa.list_(pa.string()): {"texts"},
}
"""Types of columns of JSON lines, and the kinds of values (`kind_of`) that they hold. All other columns hold texts."""


def type_of(kinds: set[str]) -> pa.DataType:
    """Return the narrowest type that holds values of the `kinds`."""
    return next((kind for kind, held in KINDS.items() if kinds <= held), pa.string())


def exact_array_of(cells: Sequence[object], kind: pa.DataType) -> pa.Array:
    """Return the cells of JSON lines as an Arrow array of type `kind`; in a column of texts, other values are JSON.

    Raises `OtherTypesError` if the type does not hold them.
    """
    if kind == pa.string():
        return pa.array(map(as_json_text, cells), kind)
    if not {kind_of(cell) for cell in cells if cell is not None} <= KINDS[kind]:
        raise OtherTypesError
    if kind == pa.list_(pa.string()):
        return pa.array([cell and [as_json_text(text) for text in cell] for cell in cells], kind)
    return pa.array(cells, pa.string() if kind == pa.null() else kind)
