"""Read the lines of text lists: tab-separated, CSV (RFC 4180) or JSON lines."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from testbed.lists.pairs import ListError

LONGEST_LINE = 1 << 20
"""Bytes. All released lists have far shorter lines. The limit saves memory if a file is not a list."""


def raw_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines of a file with their ends; None for one of more than `LONGEST_LINE` bytes."""
    while line := file.readline(LONGEST_LINE):
        is_complete = len(line) < LONGEST_LINE or line.endswith(b"\n")
        rest = b"" if is_complete else line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield line if is_complete else None


def text_lines(file: BinaryIO) -> Iterator[str | None]:
    """Yield the lines of a text without their ends, but no empty lines; None for one that is too long or not UTF-8."""
    codec = "utf-8-sig"
    for line in raw_lines(file):
        try:
            text = None if line is None else line.decode(codec).rstrip("\r\n")
        except UnicodeDecodeError:
            text = None
        codec = "utf-8"
        if text != "":
            yield text


def tab_cells(file: BinaryIO, unquote: bool) -> Iterator[list[str] | None]:
    """Yield the cells of each tab-separated line; see `text_lines`. `unquote` removes quotes of a CSV writer."""
    for text in text_lines(file):
        cells = text if text is None else text.split("\t")
        yield [_unquoted(cell) for cell in cells] if cells and unquote else cells


def _unquoted(cell: str) -> str:
    inner = cell[1:-1].replace('""', "")
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner else cell


def csv_cells(path: Path, file: BinaryIO) -> Iterator[list[str] | None]:
    """Yield the cells of each line of a CSV file; None for a line that cannot be decoded or parsed. Errors name `path`."""
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
