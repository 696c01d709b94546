"""List the samples of a source's shards in a table, so that filters need not read the shards.

In:  the source's shards, and a list that has the types of the list's own columns: the first part of the shuffled one
Out: a manifest; beside it NNNNNN.parquet for each shard (see testbed.shards.samples) and NNNNNN.json (its record)
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from testbed.local.linked import list_linked
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import make_parts
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.shards.listing import list_shard
from testbed.shards.samples import own_columns

if TYPE_CHECKING:
    from snakemake.script import snakemake


def list_samples(shards: Path, rows: pa.Schema, folder: Path) -> dict:
    """Write the table of the samples in the folder `shards` into `folder`, and return its manifest.

    `rows` are the columns of the shuffled list that the shards were made from.
    """
    manifest = read_json(shards / "manifest.json")
    list_one = list_linked if manifest.get("as_is") else list_shard
    own = own_columns(rows)
    entries = {Path(entry["name"]).stem: entry for entry in manifest["files"]}
    requests = {name: [entry, rows.to_string()] for name, entry in entries.items()}
    label = f"{manifest['source']}, listing samples"
    files = make_parts(folder, requests, lambda name: list_one(shards, entries[name], own), label)
    logging.info("%s: %d samples", manifest["source"], manifest["samples"])
    return {"pool": manifest["source"], "samples": sum(file["rows"] for file in files), "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        rows = parquet.read_schema(snakemake.params.part).remove_metadata()
        manifest = list_samples(Path(snakemake.input.shards).parent, rows, folder)
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
