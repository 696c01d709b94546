"""Count the captions of a pool that contain each entry.

In:  the list of entries, and the matches of the pool's captions
Out: counts.parquet with a row for each entry (entry, count), and a manifest
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from testbed.filtering.entry_lists import no_match_error
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, record, write_json
from testbed.records.parts import read_part, read_parts
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from

if TYPE_CHECKING:
    from snakemake.script import snakemake

COUNTS_FILE = "counts.parquet"


def count_entries(entries: Path, matches: Path, folder: Path) -> dict:
    """Count the matches in the folder `matches` and write the counts into `folder`; returns the manifest.

    Raises `EntryError` if no caption contains any entry.
    """
    listed = read_json(entries / "manifest.json")["files"][0]
    counts, samples, matched = np.zeros(listed["rows"], np.int64), 0, 0
    for part in read_parts(matches):
        for chunk in part["entries"].chunks:
            counts += np.bincount(chunk.flatten().to_numpy(), minlength=len(counts))
            samples += len(chunk)
            matched += int(np.count_nonzero(np.diff(chunk.offsets.to_numpy())))
    if not matched:
        raise no_match_error(folder.name, len(counts), samples)
    names = read_part(entries, listed)["entry"]
    temporary = folder / f".{COUNTS_FILE}.tmp"
    parquet.write_table(pa.table({"entry": names, "count": counts}), temporary, compression="zstd")
    publish(temporary, folder / COUNTS_FILE)
    logging.info("%d of %d captions contain an entry; %d matches", matched, samples, counts.sum())
    return {
        "samples": samples,
        "matched": matched,
        "matches": int(counts.sum()),
        "entries": len(counts),
        "entries_matched": int(np.count_nonzero(counts)),
        "files": [record(folder / COUNTS_FILE, rows=len(counts))],
    }


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        entries, matches = (Path(path).parent for path in (snakemake.input.entries, snakemake.input.matches))
        manifest = count_entries(entries, matches, folder)
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
