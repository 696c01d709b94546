"""Find the entries in the captions of a pool, by MetaCLIP's rule.

In:  the list of entries, and the table of the pool's samples
Out: a manifest; beside it a part for each part of that table, with the numbers of the entries in each row's caption,
     ascending, and NNNNNN.json (its record)
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from testbed.filtering.matching import Matcher
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import make_parts, parts_of, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from

if TYPE_CHECKING:
    from snakemake.script import snakemake

BATCH = 20_000
"""Captions that are matched together: enough for speed, and few enough for the processor's cache."""


def match_captions(matcher: Matcher, captions: pa.ChunkedArray) -> pa.Array:
    """A list for each caption: the numbers of its entries, ascending."""
    offsets, numbers = [np.zeros(1, np.int64)], []
    for start in range(0, len(captions), BATCH):
        batch = captions.slice(start, BATCH).combine_chunks()
        ends, found = matcher.match(batch)
        offsets.append(ends[1:] + offsets[-1][-1])
        numbers.append(found)
    found = np.concatenate(numbers) if numbers else np.zeros(0, np.int32)
    return pa.LargeListArray.from_arrays(np.concatenate(offsets), pa.array(found, pa.int32()))


def match_entries(entries: Path, samples: Path, folder: Path) -> dict:
    """Write the matches of the samples in the folder `samples` into `folder`; returns the manifest."""
    listed = read_json(entries / "manifest.json")["files"][0]
    parts = parts_of(samples)
    # Built at first use: a job whose parts are all complete does not need it.
    matchers: list[Matcher] = []

    def make(name: str) -> pa.Table:
        if not matchers:
            matchers.append(Matcher(read_part(entries, listed)["entry"].to_pylist()))
        captions = read_part(samples, parts[name], ["caption"])["caption"]
        return pa.table({"entries": match_captions(matchers[0], captions)})

    requests = {name: [listed["sha256"], file["sha256"]] for name, file in parts.items()}
    files = make_parts(folder, requests, make, f"{folder.name}, matching captions")
    logging.info("%s: captions of %d samples", folder.name, sum(file["rows"] for file in files))
    return {"entries": listed["rows"], "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        entries, samples = (Path(path).parent for path in (snakemake.input.entries, snakemake.input.samples))
        manifest = match_entries(entries, samples, folder)
        write_json(
            snakemake.output.manifest,
            manifest | {"made_from": made_from(snakemake.input.entries, snakemake.input.samples)},
        )
