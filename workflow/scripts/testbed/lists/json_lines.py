"""Lists of JSON lines: a JSON object in each line.

The type of a column is one that all of its values have: whole numbers, numbers, booleans, texts, lists of texts. Columns of
other or of different types hold texts; a value that is no text stands there as JSON.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from testbed.lists.pairs import ListError
from testbed.lists.places import place_of, value_at
from testbed.lists.text_lines import text_lines

MOST_COLUMNS = 1000
EXACT = 2**53
"""Whole numbers up to this one are numbers of double precision, too."""


class OtherTypesError(Exception):
    """Values do not have the types of their `columns`, or rows have further columns."""

    def __init__(self, *columns: str):
        super().__init__(*columns)
        self.columns = columns


def objects(file: BinaryIO) -> Iterator[dict | None]:
    """Yield the object in each line; None for a line that has none."""
    for text in text_lines(file):
        entry = None
        with suppress(ValueError, RecursionError):
            entry = text and json.loads(text)
        yield entry if isinstance(entry, dict) else None


def check_lines(path: Path, entries: Sequence[dict | None], places: Sequence[str]) -> None:
    """Raise `ListError` unless each of `places` is in one of the first `entries` of a list."""
    found = [entry for entry in entries if entry]
    if entries and not found:
        raise ListError(
            f"{path}: its first lines are no JSON objects; write one object in each line (jq -c '.[]' does so with a JSON "
            "list), or correct the format"
        )
    keys = list(dict.fromkeys(key for entry in found for key in entry))
    for place in places:
        column, steps = place_of(place, keys)
        if found and not any(
            value_at(entry[column], steps) is not None or not steps for entry in found if column in entry
        ):
            raise ListError(
                f"{path}: its first {len(found)} rows have nothing at {place}; they have {', '.join(map(repr, keys[:30]))}. "
                "Correct the columns in the experiment"
            )


def kind_of(value: object) -> str:
    """Return the kind of a value: whole, large (a whole number above `EXACT`), number, boolean, text, texts or other."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "whole" if abs(value) <= EXACT else "large" if -(2**63) <= value < 2**63 else "other"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "texts" if isinstance(value, list) and all(isinstance(member, str) for member in value) else "other"


def kinds_of(path: Path, entries: Iterable[Mapping | None], kinds: dict[str, set[str]]) -> None:
    """Add to `kinds` the keys of the `entries` of the file `path`, and the kinds of their values.

    Raises `ListError` for too many keys.
    """
    for entry in entries:
        for key, value in (entry or {}).items():
            found = kinds.setdefault(key, set())
            if value is not None:
                found.add(kind_of(value))
        if len(kinds) > MOST_COLUMNS:
            raise ListError(
                f"{path}: its rows have more than {MOST_COLUMNS:,} different keys; put what varies into one object"
            )


def as_json_text(value: object) -> str | None:
    """Return a text as it is, without lone surrogates, and any other value as JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()
