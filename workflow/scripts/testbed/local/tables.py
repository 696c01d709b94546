"""Tables of the samples in local files: the pair, where the sample is, and its own columns from its metadata."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import pyarrow as pa

from testbed.shards.samples import LOCATION

PAIR = {"uid": pa.string(), "url": pa.string(), "caption": pa.string()}
PLACE = {"file": pa.string(), "file_key": pa.string(), "file_offset": pa.int64(), "file_bytes": pa.int64()}
"""Where a sample is: its tar file by the path below the folder that all share, its key there, and the first byte and the
number of bytes of its image."""

MEASURED = ("sha256", "width", "height")
"""Facts that are measured of each image when shards are written."""

OWN = "own."
"""Prefix of the own columns in the table of one tar file, where any name may occur."""

FILE_SHA256 = f"{OWN}file_sha256"
"""Column with the SHA-256 of the image, of samples that have a file of their own."""

MOST_COLUMNS = 256
LONGEST_COLUMN_NAME = 100

INTEGERS = range(-(2**63), 2**63)


def own_arrays(rows: Sequence[Mapping], without: Iterable[str]) -> dict[str, pa.Array]:
    """Return the own columns of samples with the metadata `rows`, by their prefixed names, but for those in `without`."""
    left_out = set(without)
    found = dict.fromkeys(chain.from_iterable(rows))
    names = [name for name in found if name not in left_out and is_usable(name)]
    return {OWN + name: array_of([row.get(name) for row in rows]) for name in names[:MOST_COLUMNS]}


def is_usable(name: str) -> bool:
    """Return whether a field's name can be that of a column."""
    return 0 < len(name) <= LONGEST_COLUMN_NAME and name.isprintable()


def array_of(values: Sequence[object]) -> pa.Array:
    """Return the values as an array: of numbers or booleans if all are, else of texts, where other values are JSON."""
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and all(value is None or value in INTEGERS for value in values):
        return pa.array(values, pa.int64())
    if kinds <= {int, float} and float in kinds:
        return pa.array([None if value is None else float_of(value) for value in values], pa.float64())
    return pa.array([None if value is None else json_text(value) for value in values], pa.string())


def float_of(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def json_text(value: object) -> str:
    """Return a value of JSON as text that is UTF-8."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def common_kind(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type that has the values of both types."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else pa.string()


def merged_columns(schemas: Iterable[pa.Schema]) -> dict[str, tuple[str, pa.DataType]]:
    """Return the own columns of tables with these `schemas`: by prefixed name, the name in the source's list and the type.

    A name that the list or its samples have already gets the prefix ``source_``. Case is ignored, as in SQL.
    """
    kinds: dict[str, pa.DataType] = {}
    for schema in schemas:
        for column in schema:
            if column.name.startswith(OWN):
                kinds[column.name] = common_kind(kinds.get(column.name, pa.null()), column.type)
    # Where a sample is in its shard is added later, under these names.
    taken, columns = {*PAIR, *PLACE, *MEASURED, *LOCATION}, {}
    if FILE_SHA256 in kinds:
        # Ours, and needed: it has its name whatever others there are.
        columns[FILE_SHA256] = FILE_SHA256.removeprefix(OWN), kinds.pop(FILE_SHA256)
        taken.add(FILE_SHA256.removeprefix(OWN))
    for prefixed, kind in list(kinds.items())[:MOST_COLUMNS]:
        name = prefixed.removeprefix(OWN)
        while name.lower() in taken:
            name = f"source_{name.lower()}"
        taken.add(name.lower())
        columns[prefixed] = name, pa.string() if pa.types.is_null(kind) else kind
    return columns


def conformed(table: pa.Table, columns: Mapping[str, tuple[str, pa.DataType]]) -> pa.Table:
    """Return the table of one tar file with the `columns` of the whole source (`merged_columns`)."""
    arrays = {name: table[name] for name in (*PAIR, *PLACE)}
    for prefixed, (name, kind) in columns.items():
        present = prefixed in table.column_names
        # Not safe: integers of one tar may be too large for the floats of another.
        arrays[name] = table[prefixed].cast(kind, safe=False) if present else pa.nulls(len(table), kind)
    return pa.table(arrays).replace_schema_metadata(None)
