"""A table of the user's own with columns for the samples of a pool: one or more files in parquet, CSV or TSV, with a key.

The key is the uid, the URL or the hash of the image. Keys are compared as 128-bit hashes (MD5), so that a key takes 16
bytes. DuckDB reads the files.
"""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from testbed.shards.samples import MATCHED

KEYS = {"uid": "uid", "source_uid": "source_uid", "url": "url", "sha256": "expected_sha256"}
"""The column of the table of samples that each key is compared with."""

PACKED = (".gz", ".zst")
SMALL_BYTES = 20_000_000
"""Text files up to this size, together, are read before a run to learn the types of their columns."""


class TableError(ValueError):
    """A user's table cannot be read, or does not fit the pool."""


class ColumnNameError(TableError):
    """A column of a user's table has the name of one of the pool's."""


def find_tables(path: str) -> list[Path]:
    """Return the files of `path`, a file or a glob, sorted. Raises `TableError` without a file or a known format."""
    text = os.path.expanduser(path)
    names = [text] if os.path.isfile(text) else glob.glob(text, recursive=True)
    files = sorted({Path(name) for name in names if os.path.isfile(name)})
    if not files:
        raise TableError(f"{path}: there is no such file. Put the table there, or correct the path")
    kinds = {kind_of(file) for file in files}
    if kinds - {"parquet", "csv", "tsv"} or len(kinds) > 1:
        raise TableError(
            f"{path}: has files of the kinds {', '.join(sorted(kinds))}. Give files that all end in .parquet, .csv or .tsv"
        )
    return files


def kind_of(file: Path) -> str:
    """Return the kind of a file by its suffix, without that of a packed text: parquet, csv, tsv or another."""
    name = file.name.lower()
    for suffix in PACKED:
        name = name.removesuffix(suffix)
    return Path(name).suffix.removeprefix(".") or "(no suffix)"


def is_quick(files: Sequence[Path]) -> bool:
    """Return whether the types of all columns are known in a moment: of parquet files, and of small text files."""
    return kind_of(files[0]) == "parquet" or sum(file.stat().st_size for file in files) <= SMALL_BYTES


def quoted(name: str) -> str:
    """Return `name` as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    """Return `text` as a string of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def relation_of(files: Sequence[Path], texts: Sequence[str] = (), sample: int = -1) -> str:
    """Return the table function of DuckDB that reads `files`.

    The columns `texts` of CSV and TSV files are read as text. The types of the others are derived from the first `sample`
    rows, or from all rows (-1).
    """
    names = f"[{', '.join(map(literal, files))}]"
    kind = kind_of(files[0])
    if kind == "parquet":
        return f"read_parquet({names}, union_by_name = true)"
    # As of lists: CSV is RFC 4180, and a cell of TSV has no quoting.
    dialect = "delim = ',', quote = '\"', escape = '\"'" if kind == "csv" else "delim = '\t', quote = '', escape = ''"
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in texts)
    return (
        f"read_csv({names}, {dialect}, header = true, union_by_name = true, sample_size = {sample}, "
        f"max_line_size = 10000000{f', types = {{{types}}}' if types else ''})"
    )


def types_of(connection: duckdb.DuckDBPyConnection, relation: str, path: str) -> dict[str, str]:
    """Return the columns of `relation` with DuckDB's types of them. Raises `TableError` if it cannot be read."""
    try:
        return {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}
    except duckdb.Error as error:
        raise TableError(f"{path}: cannot be read ({str(error).splitlines()[0]}). Write it again") from error


def joined_names(given: Mapping, columns: Sequence[str]) -> dict[str, str]:
    """Return the columns of the table that are joined, by the names that they get.

    `given` is the entry `columns_from`, `columns` are those of the table. Raises `TableError` for a column that the table
    does not have, and for names that differ only in case, which SQL ignores.
    """
    key = key_column(given)
    for column in [key, *given.get("columns", {}).values()]:
        if column not in columns:
            raise TableError(
                f"{given['path']}: has no column {column}; it has {', '.join(columns)}. Name "
                f"{'its key in key_column' if column == key else 'one of these'}"
            )
    # The order of keys in the experiment means nothing.
    named = dict(sorted(given.get("columns", {}).items()))
    names = named or {column: column for column in columns if column != key}
    if not names:
        raise TableError(f"{given['path']}: has no column but the key {key}. Add columns, or use another method")
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise TableError(
                f"{given['path']}: the columns {other} and {name} differ only in case, which SQL ignores. Name them by "
                f"columns: {{my_{name.lower()}: {names[name]}, …}}"
            )
    return names


def key_column(given: Mapping) -> str:
    """Return the column of the user's table that has the key: the one that is named, or that of the key's name."""
    return given.get("key_column", "uid" if given["key"] == "source_uid" else given["key"])


def check_names(given: Mapping, names: Mapping[str, str], pool: str, columns: Sequence[str]) -> None:
    """Raise `ColumnNameError` if a joined column has the name of one of the `columns` of `pool`."""
    taken = {column.lower() for column in columns} | {MATCHED}
    for name, column in names.items():
        if name.lower() in taken:
            raise ColumnNameError(
                f"{given['path']}: column {name} is also a column of the samples of {pool}. Give it another name, and "
                f"name all columns that you need: columns: {{my_{name.lower()}: {column}}}"
            )


def key_expression(given: Mapping, kind: str) -> str:
    """Return the key of a row of the user's table as text in SQL; `kind` is the type of its column.

    Raises `TableError` for a type that a key cannot have.
    """
    column = quoted(key_column(given))
    if kind == "BLOB" and given["key"] != "url":
        return f"lower(hex({column}))"
    if kind == "UUID" and given["key"] != "url":
        return f"replace({column}::VARCHAR, '-', '')"
    is_number = given["key"] == "source_uid" and ("INT" in kind and kind.isalpha())
    if kind != "VARCHAR" and not is_number:
        raise TableError(
            f"{given['path']}: column {key_column(given)}, the key, has the type {kind}. Write {given['key']} as text"
        )
    return normalised(f"{column}::VARCHAR", given["key"])


def normalised(text: str, key: str) -> str:
    """Return the SQL that brings the key `text` to one spelling. URLs and uids of others are compared as they are."""
    if key in ("url", "source_uid"):
        return text
    return f"lower(trim({text}))" if key == "sha256" else f"replace(lower(trim({text})), '-', '')"


def table_schema(given: Mapping) -> pa.Schema:
    """Return the joined columns of a user's table with their names in the pool.

    The types of large text files are not derived: their columns are of the type null. Raises `TableError` if the table is
    missing, cannot be read, or does not have what `given` names.
    """
    files = find_tables(given["path"])
    with duckdb.connect() as connection:
        relation = relation_of(files, sample=-1 if is_quick(files) else 1000)
        kinds = types_of(connection, relation, given["path"])
        names = joined_names(given, list(kinds))
        if kind_of(files[0]) == "parquet":
            key_expression(given, kinds[key_column(given)])
        if not is_quick(files):
            return pa.schema([(name, pa.null()) for name in names])
        selected = ", ".join(f"{quoted(column)} AS {quoted(name)}" for name, column in names.items())
        return connection.sql(f"SELECT {selected} FROM {relation} LIMIT 0").to_arrow_table().schema


def table_problems(given: Mapping) -> Iterator[str]:
    """Yield a line if the table of an entry `columns_from` is missing or does not have what the entry names."""
    try:
        table_schema(given)
    except TableError as error:
        yield f"{error}."
