"""Index the samples of a group of WebDataset tars: captions, metadata, and where each image is.

A tar is read as any lab's tool may have written it: members in any order, keys with dots and folders, extra members, cut or
damaged ends. No member is extracted, and members that are no image, caption or metadata are not looked at. Samples that are
left out are counted by cause. The part of one tar is written with its own record, so that a restarted job goes on with the
next tar.

In:  the tars of the group or, if they were fetched, the manifest that has them
Out: a manifest; beside it NNNNNN.parquet for each tar, a row for each usable sample, and NNNNNN.json (its record).
     The metadata of a parquet file has the tar's SHA-256, its number of samples, and those left out by cause
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from testbed.lists.pairs import ListError
from testbed.local.files import way_out
from testbed.local.images import Storage, storage_of
from testbed.local.indexing import index_table
from testbed.local.tar_samples import Sample, read_samples
from testbed.records.files import sha256
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import make_parts
from testbed.records.processes import terminate_with_parent

if TYPE_CHECKING:
    from snakemake.script import snakemake


def index_tar(path: Path, name: str, options: Mapping, storage: Storage, known: str | None = None) -> pa.Table:
    """Return the table of the usable samples in the tar file `path`, which is called `name` in it.

    `options` is the source's section `shards`. Raises `ListError` if the tar is missing, or if its SHA-256 is not the one
    that is `known`.
    """
    try:
        digest = sha256(path)
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ListError(f"{path}: cannot be read ({error}); {way_out(path)}") from error
    if known not in (None, digest):
        os.close(descriptor)
        raise ListError(f"{path}: is not the tar that was fetched; {way_out(path)}")
    facts = {"file": name, "bytes": path.stat().st_size, "sha256": digest}
    try:
        contents = read_samples(descriptor, name, options.get("caption"), options["url"])
        if contents.fault:
            logging.warning("%s: %s; %d samples before that", path, contents.fault, contents.rows)

        def read(sample: Sample) -> bytes:
            return os.pread(descriptor, sample.size, sample.offset)

        return index_table(contents, read, options, storage, facts)
    finally:
        os.close(descriptor)


def index_shards(tars: Sequence[dict], folder: Path, options: Mapping, storage: Storage) -> dict:
    """Write the table of each of `tars` (see `describe_tars`) into `folder`, and return the manifest.

    Valid tables are kept. Raises `ListError` if a tar is missing.
    """
    described = {tar["number"]: tar for tar in tars}
    # A tar that was moved is the same.
    kept = ("file", "bytes", "modified_ns")
    requests = {
        number: [{key: tar[key] for key in kept}, dict(options), storage.minimum_size]
        for number, tar in described.items()
    }

    def make(number: str) -> pa.Table:
        tar = described[number]
        return index_tar(Path(tar["path"]), tar["file"], options, storage, tar.get("sha256"))

    files = make_parts(folder, requests, make, "indexing tars")
    return {"rows": sum(file["rows"] for file in files), "tars": list(tars), "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        fetched = snakemake.input.get("retrieved")
        manifest = index_shards(
            read_json(fetched)["tars"] if fetched else list(map(dict, snakemake.params.tars)),
            folder,
            dict(snakemake.params.options),
            storage_of(snakemake.config["download"]),
        )
        write_json(snakemake.output.manifest, manifest)
