"""OpenAI's subset of YFCC100M: photo ids, joined with the metadata of YFCC100M, which is SQLite or tab-separated.

The caption of a photo is its title, a blank and its description, decoded and without HTML tags; only the title if they are
equal, or if both together are longer than a caption may be.
"""

import html
import re
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import compress, islice
from pathlib import Path
from urllib.parse import quote, unquote_plus

from testbed.lists.list_files import OnRead, list_errors, open_list
from testbed.lists.pairs import LONGEST_CAPTION, ListError, clean_caption
from testbed.lists.text_lines import tab_cells

FIELDS = (
    *("photoid", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice", "title", "description", "usertags"),
    *("machinetags", "longitude", "latitude", "accuracy", "pageurl", "downloadurl", "licensename", "licenseurl"),
    *("serverid", "farmid", "secret", "secretoriginal", "ext", "marker"),
)
"""Columns of the metadata, as its SQLite file names them. Tab-separated files may begin with two more: the line number
before the photo id, and a hash behind it."""

OWN = (*FIELDS[:6], *FIELDS[8:14], "licensename", "licenseurl", "ext")
"""Columns that a pair keeps, as texts."""

ENCODED = {"unickname", "capturedevice", "usertags", "machinetags"}
"""Columns of `OWN` that are percent-encoded, as are title and description."""

TABLE = "yfcc100m_dataset"
SQLITE = b"SQLite format 3\0"
BATCH = 16_384

_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


@lru_cache(maxsize=1)
def read_ids(path: Path):
    """Return the sorted photo ids of a subset, which are in the second column, as a NumPy array.

    Raises `ListError` for a line without a photo id.
    """
    import numpy as np

    ids = array("q")
    with list_errors(path), open_list(path) as file:
        for number, cells in enumerate(tab_cells(file, unquote=False), 1):
            check_photo(path, number, cells)
            ids.append(int(cells[1]))
    return np.unique(np.frombuffer(ids, np.int64))


def check_photo(path: Path, number: int, cells: list[str] | None) -> None:
    """Raise `ListError` unless the cells of a line of a subset have a photo id."""
    if not cells or len(cells) < 2 or not cells[1].isdecimal() or len(cells[1]) > 18:
        raise ListError(
            f"{path}: line {number} has no photo id in its second column, so it is not yfcc100m_subset_data.tsv; correct "
            "the path, or download it again"
        )


def check_subset(path: Path, metadata: Path) -> None:
    """Raise `ListError` unless the first lines of a subset, and of the metadata that it is joined with, have columns."""
    with list_errors(path), open_list(path) as file:
        check_photo(path, 1, next(tab_cells(file, unquote=False), None))
    if next(metadata_rows(metadata), None) is None:
        raise ListError(
            f"{metadata}: its first line has not {len(FIELDS)} columns, nor {len(FIELDS) + 2} with line number and hash, so "
            "it is not the metadata of YFCC100M; correct join"
        )


def metadata_rows(path: Path, on_read: OnRead | None = None) -> Iterator[Sequence | None]:
    """Yield the rows of a file of the metadata (`FIELDS`) in its order; None for one with other columns.

    `on_read` gets the bytes of the file, see `released.read_rows`.
    """
    with list_errors(path), open(path, "rb") as file:
        is_database = file.read(len(SQLITE)) == SQLITE
        file.seek(0)
        # A database is not read from front to back.
        while is_database and on_read and (piece := file.read(1 << 20)):
            on_read(piece)
    if is_database:
        yield from database_rows(path)
        return
    with list_errors(path), open_list(path, on_read) as file:
        for cells in tab_cells(file, unquote=False):
            if cells and len(cells) == len(FIELDS) + 2:
                cells = [cells[1], *cells[3:]]
            yield cells if cells and len(cells) == len(FIELDS) else None


def database_rows(path: Path) -> Iterator[tuple]:
    """Yield the rows of the metadata in SQLite. Raises `ListError` if the file has no such table."""
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        try:
            yield from connection.execute(f"SELECT {', '.join(FIELDS)} FROM {TABLE} ORDER BY rowid")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise ListError(
            f"{path}: cannot be read as the metadata of YFCC100M ({error}); correct join, or download it again"
        ) from error


def subset_rows(subset: Path, metadata: Path, on_read: OnRead | None = None) -> Iterator[list | None]:
    """Yield the rows of the photos of a subset in a file of the metadata: URL, caption, two cells of None, and `OWN`."""
    import numpy as np

    ids = read_ids(subset)
    rows = metadata_rows(metadata, on_read)
    while batch := list(islice(rows, BATCH)):
        photos = np.array([photo_of(row) for row in batch], np.int64)
        places = np.searchsorted(ids, photos)
        found = ids[np.minimum(places, len(ids) - 1)] == photos
        yield from map(cells_of_photo, compress(batch, found))


def photo_of(row: Sequence | None) -> int:
    """Return the photo id of a row of the metadata, or -1."""
    text = str(row[0]) if row else ""
    return int(text) if text.isdecimal() and len(text) <= 18 else -1


def cells_of_photo(row: Sequence) -> list:
    """Return the cells of a pair from a row of the metadata; see `subset_rows`."""
    values = dict(zip(FIELDS, ("" if value is None else str(value) for value in row), strict=True))
    own = (unquote_plus(values[name]) if name in ENCODED else values[name] for name in OWN)
    return [values["downloadurl"], caption_of(values["title"], values["description"]), None, None, *own]


def caption_of(title: str, description: str) -> str:
    """Return the caption of a photo; see the module's docstring for the rule."""
    first, second = (clean_caption(html.unescape(_TAG.sub(" ", unquote_plus(text)))) for text in (title, description))
    both = f"{first} {second}".strip()
    return first if first == second or first and len(both) > LONGEST_CAPTION else both
