"""Reading a released image-caption list, and its check before any work.

Snakemake imports this module when it parses the workflow, so it imports no slow module.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from testbed.lists.formats import JOINED, Format, resolve_format
from testbed.lists.json_lines import check_lines, objects
from testbed.lists.json_stream import annotations
from testbed.lists.list_files import OnRead, find_files, list_errors, open_list
from testbed.lists.pairs import ListError
from testbed.lists.places import choose_caption, place_of, value_at
from testbed.lists.text_lines import csv_cells, tab_cells, text_lines
from testbed.lists.yfcc100m import check_subset, read_ids

COUNTED_BYTES = 20_000_000
"""The rows of text lists up to this size are counted before a run. This takes about a second at most."""

FIRST_ROWS = 1000
"""Rows at the beginning of JSON lines that are looked at before any work."""


def find_list(
    path: Path | str, format: str, columns: dict[str, str] | None = None, join: str | None = None
) -> tuple[Format, list[Path]]:
    """Return the format of a list, and the files that its rows are read from.

    `join` is a second file: the metadata that yfcc100m needs, or the hashes that cc12m and cc3m may have. Raises
    `ListError` if there are no such files, or if the format cannot have these keys.
    """
    resolved = resolve_format(format, columns)
    if resolved.container == "yfcc100m":
        if not join:
            raise ListError("join: the format yfcc100m has photo ids only; name the file with the metadata of YFCC100M")
        subset, *others = find_files(path, "lines")
        if others:
            raise ListError(f"{path}: has {len(others) + 1} files, but OpenAI's subset is one; name it")
        return dataclasses.replace(resolved, subset=subset), find_files(join, resolved.container)
    if join:
        if format not in JOINED:
            raise ListError(
                f"join: the format {format} joins no second file; remove the key, or choose yfcc100m, {', '.join(JOINED)}"
            )
        resolved = dataclasses.replace(resolved, hashes=tuple(find_files(join, "lines")))
    return resolved, find_files(path, resolved.container)


def check_list(path: Path | str, format: str, columns: dict[str, str] | None = None, join: str | None = None) -> None:
    """Check that a list exists and has the given format. Only the first bytes are read.

    Raises `ListError` for a missing or empty file, an unknown format, a missing column, JSON without annotations, or a
    file in another format.
    """
    resolved, (first, *_) = find_list(path, format, columns, join)
    if resolved.subset:
        check_subset(resolved.subset, first)
    elif resolved.container == "parquet":
        read_parquet_schema(first, resolved)
    elif resolved.container in ("lines", "csv") and not resolved.columns:
        read_header(first, resolved)
    elif is_empty(first, resolved):
        raise ListError(f"{first}: is empty; download it again")


def is_empty(path: Path, format: Format) -> bool:
    """Return whether a list without a header has no row. Raises `ListError` if JSON lines lack the columns."""
    if format.container != "jsonl":
        return next(read_rows(path, format), "end") == "end"
    check_lines(path, entries := read_first_objects(path), format.places)
    return not entries


def count_rows(
    path: Path | str, format: str, columns: dict[str, str] | None = None, join: str | None = None
) -> int | None:
    """Return the number of rows of a list, usable or not; None for a text list of more than `COUNTED_BYTES`.

    Raises `ListError` if the list cannot be read.
    """
    resolved, files = find_list(path, format, columns, join)
    files = [resolved.subset] if resolved.subset else files
    if resolved.container == "parquet":
        return sum(read_footer(file).num_rows for file in files)
    if sum(file.stat().st_size for file in files) > COUNTED_BYTES:
        return None
    if resolved.subset:
        return len(read_ids(resolved.subset))
    if resolved.container == "jsonl":
        return sum(map(count_lines, files))
    return sum(1 for file in files for _ in read_rows(file, resolved))


def count_lines(path: Path) -> int:
    """Return the number of lines of a text list, without empty ones."""
    with list_errors(path), open_list(path) as file:
        return sum(1 for _ in text_lines(file))


def check_length(
    path: Path | str,
    format: str,
    columns: dict[str, str] | None = None,
    join: str | None = None,
    needed: int = 0,
) -> None:
    """Raise `ListError` if a list has fewer rows than `needed`. Lists that `count_rows` does not count pass."""
    rows = count_rows(path, format, columns, join)
    if rows is not None and rows < needed:
        raise ListError(
            f"{path}: has {rows:,} rows, but the trainsets of its source need {needed:,}. Lower the sizes that use it, or "
            "use a longer list"
        )


def read_footer(path: Path):
    """Return the metadata of a parquet file. Raises `ListError` if it is not a complete parquet file."""
    import pyarrow
    import pyarrow.parquet

    with list_errors(path):
        try:
            return pyarrow.parquet.read_metadata(path)
        except pyarrow.ArrowInvalid as error:
            raise ListError(f"{path}: is not a complete parquet file ({error}); download it again") from error


def read_parquet_schema(path: Path, format: Format):
    """Return the Arrow schema of a parquet list. Raises `ListError` unless it has the columns of the format, as text."""
    import pyarrow

    schema = read_footer(path).schema.to_arrow_schema()
    format = format.spelled(schema.names)
    check_columns(path, schema.names, format)
    if repeated := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise ListError(f"{path}: has column {', '.join(repeated)} more than once; rename one")
    for place in format.places:
        column, steps = place_of(place, schema.names)
        kind = kind_at(path, place, schema.field(column).type, steps)
        if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
            kind = kind.value_type if place == format.caption else kind
        if not is_textual(kind) and not (place in (format.hash or ())[1:] and pyarrow.types.is_fixed_size_binary(kind)):
            raise ListError(f"{path}: column {place} has the type {kind}, not text; name another column")
    return schema


def kind_at(path: Path, place: str, kind, steps: Sequence[str | int]):
    """Return the Arrow type at the end of `steps` into a column of type `kind`. Raises `ListError` if there is none."""
    import pyarrow

    for step in steps:
        if isinstance(step, int) and hasattr(kind, "value_type") and not pyarrow.types.is_dictionary(kind):
            kind = kind.value_type
        elif isinstance(step, str) and pyarrow.types.is_struct(kind) and kind.get_field_index(step) >= 0:
            kind = kind.field(step).type
        else:
            raise ListError(f"{path}: has no {place}: {step!r} is not in the type {kind}. Correct the columns")
    return kind


def is_textual(kind) -> bool:
    """Return whether an Arrow type holds texts, bytes that may be texts, or nothing but null."""
    import pyarrow

    kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    checks = (
        "is_string",
        "is_large_string",
        "is_string_view",
        "is_binary",
        "is_large_binary",
        "is_binary_view",
        "is_null",
    )
    return any(getattr(pyarrow.types, check)(kind) for check in checks)


def read_header(path: Path, format: Format) -> list[str]:
    """Return the column names in the first line of a text list. Raises `ListError` if a required one is missing."""
    for cells in _cells(path, format):
        if cells is None:
            break
        names = [cell.strip() for cell in cells]
        check_columns(path, names, format)
        return names
    raise ListError(f"{path}: has no header line; add one that names the columns, or download the list again")


def read_first_objects(path: Path) -> list[dict | None]:
    """Return the objects in the first lines of a file of JSON lines."""
    with list_errors(path), open_list(path) as file:
        return list(islice(objects(file), FIRST_ROWS))


def check_columns(path: Path, names: list[str], format: Format) -> None:
    """Raise `ListError` unless `names` has every column that the format requires."""
    required = [place_of(place, names)[0] if format.container == "parquet" else place for place in format.places]
    if missing := [name for name in required if name not in names]:
        raise ListError(
            f"{path}: has no column {', '.join(missing)}; it has {', '.join(map(repr, names[:30]))}. "
            "Correct the format or the columns in the experiment"
        )


def read_rows(
    path: Path, format: Format, own: Sequence[str] = (), on_read: OnRead | None = None
) -> Iterator[list | None]:
    """Yield the rows of a text or JSON list: URL, caption, the columns of `format.only` and `format.hash`, the `own` ones.

    A malformed row (a wrong number of columns, or bytes that are not UTF-8) is None. A column that this file does not have
    is None in each row. `on_read` gets the bytes of the file piece by piece. It has all of them when the iteration ends.
    """
    if format.container in ("json", "jsonl"):
        with list_errors(path), open_list(path, on_read) as file:
            if format.container == "json":
                for entry in annotations(file, path):
                    yield cells_of(entry, format, own)
            else:
                for entry in objects(file):
                    yield cells_of_line(entry, format, own)
        return
    needed = [format.url, format.caption, (format.only or (None,))[0], (format.hash or (None,))[-1], *own]
    names = list(format.columns) or read_header(path, format)
    places = [names.index(name) if name in names else None for name in needed]
    rows = _cells(path, format, on_read)
    if not format.columns:
        next(rows)
    for cells in rows:
        # Blanks after the last column are white space at the end of the line, not a column.
        if cells is None or len(cells) < len(names) or any(map(str.strip, cells[len(names) :])):
            yield None
        else:
            yield [None if place is None else cells[place] for place in places]


def cells_of(entry: object, format: Format, own: Sequence[str]) -> list | None:
    """Return the cells of a member of a JSON list, or None if it is not a pair."""
    if not isinstance(entry, dict) or not {format.url, format.caption} <= entry.keys():
        return None
    url, caption, *others = map(entry.get, (format.url, format.caption, *own))
    if not isinstance(url, str | None) or not isinstance(caption, str | None):
        return None
    return [url, caption, None, None, *others]


def cells_of_line(entry: dict | None, format: Format, own: Sequence[str]) -> list | None:
    """Return the cells of an object of JSON lines, or None if it is not a pair."""
    if entry is None:
        return None
    places = (place_of(place, entry) for place in (format.url, format.caption, (format.hash or ("",))[-1]))
    url, caption, hash = (value_at(entry.get(column), steps) for column, steps in places)
    if isinstance(caption, list) and isinstance(url, str | None):
        caption = choose_caption(url, caption, format.several)
    if not isinstance(url, str | None) or not isinstance(caption, str | None):
        return None
    return [url, caption, None, hash if isinstance(hash, str) else None, *map(entry.get, own)]


def _cells(path: Path, format: Format, on_read: OnRead | None = None) -> Iterator[list[str] | None]:
    """Yield the cells of each line of a text list, without blank lines; None for a line that cannot be decoded or parsed."""
    with list_errors(path), open_list(path, on_read) as file:
        yield from csv_cells(path, file) if format.container == "csv" else tab_cells(file, format.unquote)
