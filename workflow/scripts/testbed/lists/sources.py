"""What is known of the released lists: resources/sources.csv, a row per format."""

import csv
from functools import cache
from pathlib import Path

from testbed.records.shipped import shipped


@cache
def released_sources(path: Path | str) -> dict[str, dict[str, str]]:
    """The rows of resources/sources.csv at `path`, by the name of the format."""
    with open(shipped(path), newline="", encoding="utf-8") as file:
        return {row["format"]: row for row in csv.DictReader(file)}


def where_from(path: Path | str, format: str) -> str:
    """The end of a message: where a list in `format` comes from, or nothing for formats of nobody's in particular."""
    row = released_sources(path).get(format)
    return f". {row['name']} comes from: {row['origin']}." if row else ""
