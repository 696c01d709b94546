"""Merge a filter's lists of entries into one sorted list, in which each entry has a fixed number.

In:  the lists that the filter names
Out: a manifest with the origin of the entries; beside it entries.parquet
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from testbed.filtering.entry_lists import EntryError, build_list
from testbed.filtering.matching import can_match
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import record, write_json
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from

if TYPE_CHECKING:
    from snakemake.script import snakemake

ENTRIES_FILE = "entries.parquet"


def build_entries(lists: list[dict], folder: Path) -> dict:
    """Write all entries of `lists` into `folder`; returns the manifest.

    Raises `EntryError` if a list cannot be read, or if no text can contain any of the entries.
    """
    entries, origins = build_list(lists)
    possible = count_possible(folder.name, entries)
    temporary = folder / f".{ENTRIES_FILE}.tmp"
    parquet.write_table(pa.table({"entry": entries}), temporary, compression="zstd")
    publish(temporary, folder / ENTRIES_FILE)
    logging.info("%d entries, of which %d can be in a caption", len(entries), possible)
    return {
        "entries": len(entries),
        "can_match": possible,
        "lists": origins,
        "files": [record(folder / ENTRIES_FILE, rows=len(entries))],
    }


def count_possible(filter: str, entries: list[str]) -> int:
    """How many of a filter's entries can be in a caption; raises `EntryError` where none can."""
    if possible := sum(map(can_match, entries)):
        return possible
    raise EntryError(
        f"filter {filter}: none of its {len(entries)} entries can be in a caption: each has a punctuation mark "
        "(, . ; : ? ! `) inside a word. Give another list of entries"
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = build_entries(list(snakemake.params.lists), folder)
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
