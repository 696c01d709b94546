"""Addresses of lists that are fetched: names in a list of lists, files on the web, files of datasets on the Hub."""

import csv
import re
from pathlib import Path

from testbed.lists.pairs import ListError
from testbed.records.shipped import shipped

HUB = "hf://"
_HUB_ADDRESS = re.compile(
    r"hf://datasets/(?P<dataset>[\w.-]+/[\w.-]+)(?:@(?P<revision>refs/[^/]+/[^/]+|[^/]+))?/(?P<pattern>.+)"
)
_WEB_ADDRESS = re.compile(r"https?://[^/\s]+/\S+")


def hub_parts(address: str) -> tuple[str, str | None, str]:
    """The dataset (owner/name), the revision (None: the newest) and the path or glob of hf://datasets/owner/name@revision/path.

    Raises `ListError` if it is none.
    """
    found = _HUB_ADDRESS.fullmatch(address)
    if not found:
        raise ListError(
            f"{address}: write hf://datasets/<owner>/<name>/<path or glob>, with @<revision> after the name if any"
        )
    return found["dataset"], found["revision"], found["pattern"]


def listed_names(table: Path | str) -> list[str]:
    """The names of the lists in `table` (resources/lists.csv), in its order."""
    with open(shipped(table), newline="", encoding="utf-8") as file:
        return list(dict.fromkeys(row["list"] for row in csv.DictReader(file)))


def check_address(address: str, known: list[str]) -> None:
    """Raise `ListError` unless `address` is one of the lists that are `known`, of the web, or of the Hub."""
    if address.startswith(HUB):
        hub_parts(address)
    elif "://" in address:
        if not _WEB_ADDRESS.fullmatch(address):
            raise ListError(
                f"{address}: is no address of a file on the web; write https://host/path, or hf://datasets/..."
            )
    elif address not in known:
        raise ListError(
            f"{address}: there is no such list; write one of {', '.join(known)}, https://... or hf://datasets/..."
        )
