"""Tables as CSV files."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def write_table(path: Path | str, columns: Sequence[str], rows: Iterable[Mapping]) -> None:
    """Write `rows` to `path`, with `columns` as the header. What is None stays empty."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
