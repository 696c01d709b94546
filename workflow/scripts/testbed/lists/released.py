"""The formats of released image-caption lists, and the check of a list before any work.

Snakemake imports this module when it parses the workflow, so it imports no slow module.
"""

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from testbed.lists.json_stream import annotations
from testbed.lists.list_files import OnRead, find_files, list_errors, open_list
from testbed.lists.pairs import ListError

LONGEST_LINE = 1 << 20
"""Bytes. All released lists have far shorter lines. The limit saves memory if a file is not a list."""

COUNTED_BYTES = 20_000_000
"""The rows of text lists up to this size are counted before a run. This takes about a second at most."""


@dataclass(frozen=True)
class Format:
    """The format of a list.

    `container` is lines (tab-separated, no quoting), csv (RFC 4180), json (RedCaps) or parquet. `columns` names the
    columns of a list without a header. `only` is a column, the value to keep, and the cause for dropping other rows.
    `unquote` removes the quotes of cells that a CSV writer quoted; it never joins lines.
    """

    container: str
    url: str = "url"
    caption: str = "caption"
    columns: tuple[str, ...] = ()
    only: tuple[str, str, str] | None = None
    unquote: bool = False


_HEADERLESS = Format("lines", columns=("url", "caption"))

FORMATS = {
    "yfcc": _HEADERLESS,
    "cc12m": _HEADERLESS,
    "shutterstock": _HEADERLESS,
    "cc3m": Format("lines", columns=("caption", "url")),
    "laion": Format("parquet", "URL", "TEXT", only=("NSFW", "UNLIKELY", "nsfw")),
    "wit": Format(
        "lines", "image_url", "caption_reference_description", only=("language", "en", "language"), unquote=True
    ),
    "redcaps": Format("json"),
    "csv": Format("csv"),
    "tsv": Format("lines"),
    "parquet": Format("parquet"),
}
"""Formats by the name of the source that was released in them; csv, tsv and parquet are for the user's own lists."""

GENERIC = ("csv", "tsv", "parquet")
"""The formats for which the user names the columns."""


def resolve_format(name: str, columns: dict[str, str] | None = None) -> Format:
    """Return the format `name`, with the user's `columns` (keys url and caption) if it is a generic format.

    Raises `ListError` for an unknown name or key, and for columns of a format that is not generic.
    """
    if name not in FORMATS:
        raise ListError(f"format: {name!r} is unknown; choose one of {', '.join(FORMATS)}")
    columns = dict(columns or {})
    if columns and name not in GENERIC:
        raise ListError(f"columns: the format {name} has fixed columns; remove the key, or choose {', '.join(GENERIC)}")
    if unknown := set(columns) - {"url", "caption"}:
        raise ListError(f"columns: {', '.join(sorted(unknown))} is unknown; name the columns of url and caption")
    return dataclasses.replace(FORMATS[name], **columns)


def check_list(path: Path | str, format: str, columns: dict[str, str] | None = None) -> None:
    """Check that a list exists and has the given format. Only the first bytes are read.

    Raises `ListError` for a missing or empty file, an unknown format, a missing column, JSON without annotations, or a
    file in another format.
    """
    resolved = resolve_format(format, columns)
    first = find_files(path, resolved.container)[0]
    if resolved.container == "parquet":
        read_parquet_schema(first, resolved)
    elif not resolved.columns and resolved.container != "json":
        read_header(first, resolved)
    elif next(read_rows(first, resolved), "end") == "end":
        raise ListError(f"{first}: is empty; download it again")


def count_rows(path: Path | str, format: str, columns: dict[str, str] | None = None) -> int | None:
    """Return the number of rows of a list, usable or not; None for a text list of more than `COUNTED_BYTES`.

    Raises `ListError` if the list cannot be read.
    """
    resolved = resolve_format(format, columns)
    files = find_files(path, resolved.container)
    if resolved.container == "parquet":
        return sum(read_footer(file).num_rows for file in files)
    if sum(file.stat().st_size for file in files) > COUNTED_BYTES:
        return None
    return sum(1 for file in files for _ in read_rows(file, resolved))


def check_length(path: Path | str, format: str, columns: dict[str, str] | None = None, needed: int = 0) -> None:
    """Raise `ListError` if a list has fewer rows than `needed`. Lists that `count_rows` does not count pass."""
    rows = count_rows(path, format, columns)
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
    check_columns(path, schema.names, format)
    if repeated := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise ListError(f"{path}: has column {', '.join(repeated)} more than once; rename one")
    for name in (format.url, format.caption):
        kind = schema.field(name).type
        kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
        if kind not in (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()):
            raise ListError(f"{path}: column {name} has the type {kind}, not text; name another column")
    return schema


def read_header(path: Path, format: Format, own: Sequence[str] = ()) -> list[str]:
    """Return the column names in the first line of a text list. Raises `ListError` if a required or `own` one is missing."""
    for cells in _cells(path, format):
        if cells is None:
            break
        names = [cell.strip() for cell in cells]
        check_columns(path, names, format, own)
        return names
    raise ListError(f"{path}: has no header line; add one that names the columns, or download the list again")


def check_columns(path: Path, names: list[str], format: Format, own: Sequence[str] = ()) -> None:
    """Raise `ListError` unless `names` has every column that the format requires, and the `own` ones."""
    required = [format.url, format.caption, *(format.only or ())[:1], *own]
    if missing := [name for name in required if name not in names]:
        raise ListError(
            f"{path}: has no column {', '.join(missing)}; it has {', '.join(map(repr, names[:30]))}. "
            "Correct the format or the columns in the experiment"
        )


def read_rows(
    path: Path, format: Format, own: Sequence[str] = (), on_read: OnRead | None = None
) -> Iterator[list | None]:
    """Yield the rows of a text or JSON list: URL, caption, the value of the column in `format.only`, and the `own` columns.

    A malformed row (a wrong number of columns, or bytes that are not UTF-8) is None. `on_read` gets the bytes of the file
    piece by piece. It has all of them when the iteration ends.
    """
    if format.container == "json":
        with list_errors(path), open_list(path, on_read) as file:
            for entry in annotations(file, path):
                yield cells_of(entry, format, own)
        return
    needed = [format.url, format.caption, (format.only or (format.url,))[0], *own]
    names = list(format.columns) or read_header(path, format, own)
    places = [names.index(name) for name in needed]
    rows = _cells(path, format, on_read)
    if not format.columns:
        next(rows)
    for cells in rows:
        # Blanks after the last column are white space at the end of the line, not a column.
        if cells is None or len(cells) < len(names) or any(map(str.strip, cells[len(names) :])):
            yield None
        else:
            yield [cells[place] for place in places]


def cells_of(entry: object, format: Format, own: Sequence[str]) -> list | None:
    """Return the cells of a member of a JSON list, or None if it is not a pair."""
    if not isinstance(entry, dict) or not {format.url, format.caption} <= entry.keys():
        return None
    url, caption, *others = map(entry.get, (format.url, format.caption, *own))
    if not isinstance(url, str | None) or not isinstance(caption, str | None):
        return None
    return [url, caption, None, *others]


def _cells(path: Path, format: Format, on_read: OnRead | None = None) -> Iterator[list[str] | None]:
    """Yield the cells of each line of a text list, without blank lines; None for a line that cannot be decoded or parsed."""
    with list_errors(path), open_list(path, on_read) as file:
        yield from _parse_csv(path, file) if format.container == "csv" else _parse_lines(file, format.unquote)


def _parse_lines(file: BinaryIO, unquote: bool) -> Iterator[list[str] | None]:
    codec = "utf-8-sig"
    while line := file.readline(LONGEST_LINE):
        is_complete = len(line) < LONGEST_LINE or line.endswith(b"\n")
        rest = b"" if is_complete else line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        try:
            text = line.decode(codec).rstrip("\r\n") if is_complete else None
        except UnicodeDecodeError:
            text = None
        codec = "utf-8"
        if text is None:
            yield None
        elif text:
            cells = text.split("\t")
            yield [_unquoted(cell) for cell in cells] if unquote else cells


def _unquoted(cell: str) -> str:
    inner = cell[1:-1].replace('""', "")
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner else cell


def _parse_csv(path: Path, file: BinaryIO) -> Iterator[list[str] | None]:
    # Bytes that are not UTF-8 become surrogates, so that only their row is dropped.
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, strict=True)
    while True:
        try:
            cells = next(reader)
            "".join(cells).encode()
        except StopIteration:
            return
        except UnicodeEncodeError:
            yield None
        except csv.Error as error:
            if "field larger" in str(error) or "unexpected end" in str(error):
                raise ListError(
                    f"{path}: line {reader.line_num}: a quoted field does not end ({error}); close the quote, or "
                    "choose the format tsv if the list has no quoting"
                ) from error
            yield None
        else:
            if cells:
                yield cells
