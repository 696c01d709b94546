"""Facts about the released lists: resources/sources.csv, a row per format."""

import csv
from functools import cache
from pathlib import Path

from testbed.records.shipped import shipped


@cache
def released_sources(path: Path | str) -> dict[str, dict[str, str]]:
    """Return the rows of resources/sources.csv at `path`, by the name of the format."""
    with open(shipped(path), newline="", encoding="utf-8") as file:
        return {row["format"]: row for row in csv.DictReader(file)}


def origin_of(path: Path | str, format: str) -> str:
    """Return the end of a message: where to get a list in `format`; empty for generic formats."""
    row = released_sources(path).get(format)
    return f". {row['name']} comes from: {row['origin']}." if row else ""
