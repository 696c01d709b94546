"""Samples that have files of their own: a folder of images with captions beside them, or a list of paths and captions."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from testbed.lists.batches import Batch
from testbed.lists.formats import Format
from testbed.lists.json_lines import OtherTypesError
from testbed.lists.list_files import find_files, list_errors
from testbed.lists.pairs import LONGEST_CAPTION, clean_caption, is_text
from testbed.lists.released_batches import map_batches, own_columns, wider_columns
from testbed.local.files import format_of_list
from testbed.local.tar_samples import (
    IMAGE_SUFFIXES,
    LONGEST_TEXT,
    READ_SUFFIXES,
    Contents,
    Parts,
    Sample,
    sample_of,
    text_in,
)
from testbed.shards.samples import is_json

BATCH = 10_000
"""Keys of a folder that are read together. The files of a key are in one folder."""


def folder_batches(folder: Path, options: Mapping) -> Iterator[Contents]:
    """Yield the samples of the images in a folder, and in the folders below it, in the order of their paths.

    The files of a sample have the same name up to the last dot. `options` has the field of the URL in ``key.json``.
    """
    keys: dict[str, Parts] = {}
    members: Counter = Counter()
    for parent, names in folders_of(folder):
        for name in sorted(names):
            add_file(folder, os.path.relpath(os.path.join(parent, name), folder), keys, members)
        if len(keys) >= BATCH:
            yield from split(keys, members, options)
            keys, members = {}, Counter()
    yield from split(keys, members, options)


def folders_of(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield `folder` and all folders below it, by name, each with the names in it. Links to folders are followed, once.

    Raises `ListError` for a folder that cannot be read.
    """
    seen = set()

    def fail(error: OSError) -> None:
        with list_errors(Path(error.filename)):
            raise error

    for parent, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            # A link to a folder above, or a second way to this one.
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield parent, names


def split(keys: dict[str, Parts], members: Counter, options: Mapping) -> Iterator[Contents]:
    """Yield the samples of `keys` in batches, because a folder may have any number. `members` are counted with the first."""
    rest = iter(keys.items())
    while (batch := dict(islice(rest, BATCH))) or members:
        yield contents_of(batch, members, options)
        members = Counter()


def add_file(folder: Path, path: str, keys: dict[str, Parts], members: Counter) -> None:
    """Add a file below `folder` to the parts of its key, or count it among the other files."""
    key, _, suffix = path.rpartition(".")
    suffix, name = suffix.lower(), key.rpartition("/")[2]
    if suffix not in READ_SUFFIXES or not name or name.startswith("._"):
        members["other"] += 1
        return
    try:
        status = os.stat(folder / path)
    except OSError:
        status = None
    if status is None or not stat.S_ISREG(status.st_mode) or not is_text(path):
        members["not_a_file"] += 1
        return
    parts = keys.setdefault(key, Parts())
    if suffix in IMAGE_SUFFIXES:
        parts.add_image((0, status.st_size))
        parts.file, parts.modified_ns = path, status.st_mtime_ns
        return
    with open(folder / path, "rb") as file:
        content = file.read(LONGEST_TEXT + 1)
    parts.add_text(suffix, content)


def contents_of(keys: dict[str, Parts], members: Counter, options: Mapping) -> Contents:
    """Return the samples of some keys of a folder."""
    contents = Contents(members=members)
    for key, parts in keys.items():
        result = sample_of(parts.file, key, parts, None, options["url"])
        if isinstance(result, Sample):
            result = result._replace(modified_ns=parts.modified_ns)
        contents.add(result, parts.images)
    return contents


def list_batches(path: str, options: Mapping) -> Iterator[Contents]:
    """Yield the samples of a list of paths and captions: CSV, TSV or parquet. `options` has the names of the columns.

    Paths are relative to the folder of the list. Raises `ListError` if the list lacks a column or cannot be read.
    """
    form = format_of_list(path, options)
    files = find_files(path, form.container)
    own = settled_columns(files, form)
    base = files[0].parent

    def read(batch: Batch) -> Contents:
        return contents_of_batch(batch, own, base, options["url"])

    for _, contents in map_batches(read, files, form, own):
        yield contents


def settled_columns(files: Sequence[Path], form: Format) -> dict[str, pa.DataType]:
    """Return the own columns of a list, with types that hold all of its values: a parquet list is read once for it."""
    own = own_columns(files, form)
    while form.container == "parquet":
        try:
            for _ in map_batches(lambda batch: None, files, form, own):
                pass
            break
        except OtherTypesError as error:
            own = wider_columns(files, form, own, error)
    return own


def contents_of_batch(batch: Batch, own: Mapping[str, pa.DataType], base: Path, url: str) -> Contents:
    """Return the samples in a batch of a list's rows, whose paths are relative to `base`."""
    contents = Contents()
    columns = batch.own_of(~batch.malformed)
    cells = [json_values(column, kind) for column, kind in zip(columns, own.values(), strict=True)]
    metadata = iter(dict(zip(own, row, strict=True)) for row in zip(*cells, strict=True))
    for path, caption, is_malformed in zip(
        batch.url.to_pylist(), batch.caption.to_pylist(), batch.malformed.tolist(), strict=True
    ):
        contents.add("malformed" if is_malformed else sample_of_row(path, caption, next(metadata, {}), base, url))
    return contents


def json_values(column: pa.Array, kind: pa.DataType) -> list:
    """Return the values of a column as JSON has them; those of other types are texts."""
    values = column.to_pylist()
    return values if is_json(kind) else [None if value is None else str(value) for value in values]


def sample_of_row(path: str | None, caption: str | None, metadata: dict, base: Path, url: str) -> Sample | str:
    """Return the sample of a row of a list, or the cause for which it is left out."""
    text, link = clean_caption(caption or ""), text_in(metadata, url)
    if link is None:
        return "malformed"
    if not text:
        return "empty_caption"
    if len(text) > LONGEST_CAPTION:
        return "long_caption"
    try:
        status = os.stat(base / path) if path else None
    except (OSError, ValueError):
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        return "no_image"
    return Sample(path, path, 0, status.st_size, link.strip(), text, metadata, status.st_mtime_ns)
