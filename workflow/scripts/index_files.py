"""Index the samples of a folder of images and captions, or of a list of local paths and captions.

Images are read once for their SHA-256 and verified. Each part of some thousand samples has its own record, so that a
restarted job goes on with the next part. A part is indexed again if the time of one of its images has changed.

In:  the folder, or the list (CSV, TSV, parquet) and the images that it names
Out: a manifest; beside it NNNNNN.parquet, a row for each usable sample of a part, and NNNNNN.json (its record).
     The metadata of a parquet file has the SHA-256 of the part's images and the samples left out by cause
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from testbed.local.file_samples import folder_batches, list_batches
from testbed.local.images import ImageFault, Storage, storage_of
from testbed.local.indexing import index_table
from testbed.local.tables import FILE_SHA256
from testbed.local.tar_samples import Contents, Sample
from testbed.records.files import publish, sha256
from testbed.records.locks import locked
from testbed.records.log import PROGRESS, log_to
from testbed.records.manifest import digest, record, write_json
from testbed.records.parts import recorded
from testbed.records.processes import terminate_with_parent

if TYPE_CHECKING:
    from snakemake.script import snakemake


def index_part(contents: Contents, base: Path, name: str, options: Mapping, storage: Storage) -> pa.Table:
    """Return the table of the usable samples of a part, which is called `name`. Paths are relative to `base`."""

    def read(sample: Sample) -> bytes:
        try:
            return (base / sample.file).read_bytes()
        except OSError as error:
            raise ImageFault("no_image") from error

    table = index_table(contents, read, options, storage, {}, with_digests=True)
    files, digests = (table[column].to_pylist() for column in ("file", FILE_SHA256))
    lines = "".join(f"{one}  {file}\n" for one, file in zip(digests, files, strict=True))
    facts = json.loads(table.schema.metadata[b"tar"]) | {
        "file": name,
        "bytes": sum(table["file_bytes"].to_pylist()),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }
    return table.replace_schema_metadata({"tar": json.dumps(facts)})


def index_files(path: Path, found: list[dict], folder: Path, options: Mapping, storage: Storage) -> dict:
    """Write the tables of the samples at `path`, a folder or a list, into `folder`, and return the manifest.

    `found` describes the files at `path` (see `describe_files`). Valid tables are kept.
    """
    is_folder = path.is_dir()
    base = path if is_folder else Path(found[0]["path"]).parent
    batches = folder_batches(path, options) if is_folder else list_batches(str(path), options)
    files, rows = [], 0
    for number, contents in enumerate(batches):
        name = f"{number:06d}"
        facts = [contents.samples, contents.dropped, contents.members, dict(options), storage.minimum_size]
        # As ASCII: metadata may have half of a character, which is no UTF-8.
        request = digest(json.dumps(facts, sort_keys=True))
        entry = recorded(folder, name, request)
        if entry is None:
            # The record is removed before its file is replaced, so that it never describes another file.
            (folder / f"{name}.json").unlink(missing_ok=True)
            table = index_part(contents, base, name, options, storage)
            temporary = folder / f".{name}.parquet.tmp"
            parquet.write_table(table, temporary, compression="zstd")
            publish(temporary, folder / f"{name}.parquet")
            entry = {"request": request, "file": record(folder / f"{name}.parquet", rows=len(table))}
            write_json(folder / f"{name}.json", entry)
        files.append(entry["file"])
        rows += entry["file"]["rows"]
        logging.log(PROGRESS, "%s: %d usable samples so far", path, rows)
    for old in folder.glob("[0-9][0-9][0-9][0-9][0-9][0-9].*"):
        if int(old.stem) >= len(files):
            old.unlink()
    lists = [] if is_folder else [entry | {"sha256": sha256(entry["path"])} for entry in found]
    tars = [{"path": os.path.join(base, "")} for _ in files]
    return {"rows": rows, "base": str(base), "lists": lists, "found": found, "tars": tars, "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = index_files(
            Path(snakemake.params.path).expanduser(),
            list(map(dict, snakemake.params.found)),
            folder,
            dict(snakemake.params.options),
            storage_of(snakemake.config["download"]),
        )
        write_json(snakemake.output.manifest, manifest)
