"""Link the tars of a source as its shards, as they are, whole and in a seeded order.

Nothing is copied. The index of a shard has the usable samples of its tar, so training does not see the others. A tar must
look as img2dataset and webdataset write it: JPEG files, and the members of a sample side by side, from the image to the
caption. Another one is an error, because trainsets and filters copy samples as ranges of bytes.

In:  the list of usable samples, and the tars that it names
Out: a manifest; beside it NNNNNN.tar (a link to a tar), NNNNNN.npy (index), NNNNNN.parquet (rows of the list, with the range
     of bytes of each sample) and NNNNNN.json (record)
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from testbed.experiment.experiment import Experiment
from testbed.lists.pairs import PARQUET
from testbed.local.layout import REFUSED, sample_ranges
from testbed.local.reading import Tar, check_tar, located
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import digest, read_json, record, write_json
from testbed.records.parts import recorded
from testbed.records.processes import terminate_with_parent
from testbed.records.progress import Progress
from testbed.records.provenance import made_from
from testbed.shards.index import ENTRY, index_path, write_index
from testbed.shards.samples import LOCATION, table_path
from testbed.shards.shard_files import ShardError, link, remove_surplus, write_errors

if TYPE_CHECKING:
    from snakemake.script import snakemake


def seeded_order(tars: Mapping[str, Tar], seed: int) -> list[str]:
    """Return the names of the tars in an order that depends on the seed and on what is in them, not on their names."""
    return sorted(tars, key=lambda name: (hashlib.sha256(f"{seed} {tars[name].sha256}".encode()).digest(), name))


def rows_by_tar(pairs: Path) -> Iterator[tuple[str, pa.Table]]:
    """Yield the name of each tar in the list `pairs` with its rows. The rows of a tar are adjacent."""
    waiting = None
    with parquet.ParquetFile(pairs) as file:
        for batch in file.iter_batches(1 << 16):
            rows = pa.Table.from_batches([batch])
            waiting = rows if waiting is None else pa.concat_tables([waiting, rows])
            names = np.array(waiting["file"].to_pylist(), object)
            starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()]
            for start, stop in zip(starts, starts[1:], strict=False):
                yield names[start], waiting.slice(start, stop - start)
            waiting = waiting.slice(starts[-1]).combine_chunks()
    if waiting is not None and len(waiting):
        yield waiting["file"][0].as_py(), waiting


def check_keys(source: str, pairs: Path, memory: str) -> None:
    """Raise `ShardError` if two tars have a sample of the same key: readers of WebDataset would take them for one."""
    with duckdb.connect(config={"memory_limit": memory}) as database:
        query = (
            "SELECT file_key, min(file), max(file) FROM read_parquet(?) GROUP BY file_key HAVING count(*) > 1 LIMIT 1"
        )
        repeated = database.execute(query, [str(pairs)]).fetchone()
    if repeated:
        key, one, other = repeated
        raise ShardError(f"source {source}: {one} and {other} both have a sample {key}, so that they {REFUSED}")


def write_shard(path: Path, tar: Tar, rows: pa.Table) -> dict:
    """Link `tar` at `path`, with the index and the table of its usable samples `rows`; return the record of the shard.

    Raises `ShardError` if the tar is not as it was indexed, or if a sample cannot be taken as it is.
    """
    check_tar(tar)
    places = sample_ranges(tar.path, rows["file_key"].to_pylist(), rows["file_offset"].to_pylist())
    # In the order of the tar, so that a trainset's first samples are its first bytes.
    order = np.argsort(places["image"])
    places, rows = places[order], rows.take(order)
    entries = np.empty(len(places), ENTRY)
    for name in ENTRY.names:
        entries[name] = places[name]
    locations = {"shard": [path.name] * len(rows), "offset": places["start"], "bytes": places["bytes"]}
    for name, kind in LOCATION.items():
        rows = rows.append_column(name, pa.array(locations[name], kind))
    temporary = path.with_name(f".{path.stem}.parquet.tmp")
    parquet.write_table(rows, temporary, **PARQUET)
    publish(temporary, table_path(path))
    link(tar.path.absolute(), path)
    write_index(index_path(path), entries)
    uids = rows["uid"]
    facts = {"samples": len(rows), "first_uid": uids[0].as_py(), "last_uid": uids[-1].as_py()}
    return {"name": path.name, "bytes": tar.bytes, "sha256": tar.sha256} | facts | {"table": record(table_path(path))}


def link_shards(
    source: str,
    pairs: Path,
    tars: Mapping[str, Tar],
    folder: Path,
    seed: int,
    needed: int,
    most: int | None = None,
    memory: str = "1GB",
) -> dict:
    """Link the tars with the samples in the list `pairs` into `folder`, and return the manifest.

    `tars` are those of the source by their names in the list; tars without a usable sample are left out. With `most`, tars
    are linked until they have so many samples. DuckDB uses at most `memory`. Raises `ShardError` if there are fewer than
    `needed` samples, or if a tar cannot be taken as it is.
    """
    check_keys(source, pairs, memory)
    found = {name: len(rows) for name, rows in rows_by_tar(pairs)}
    order, total = [], 0
    for name in seeded_order({name: tars[name] for name in found}, seed):
        if most is None or total < most:
            order.append(name)
            total += found[name]
    if total < needed:
        raise ShardError(
            f"source {source}: its tars have {total} usable samples, but the largest trainset needs {needed}. Lower the "
            f"sizes that use it. counts.json in results/metadata/{source} says what was left out."
        )
    numbers = {name: number for number, name in enumerate(order)}
    files: dict[int, dict] = {}
    progress = Progress(total, "samples")
    for name, rows in rows_by_tar(pairs):
        if name not in numbers:
            continue
        shard = f"{numbers[name]:06d}"
        path, tar = folder / f"{shard}.tar", tars[name]
        request = digest([tar.sha256, os.path.abspath(tar.path), rows["uid"].to_pylist(), str(rows.schema)])
        entry = recorded(folder, shard, request)
        if entry is None:
            (folder / f"{shard}.json").unlink(missing_ok=True)
            with write_errors(shard):
                entry = {"request": request, "file": write_shard(path, tar, rows)}
                write_json(folder / f"{shard}.json", entry)
        files[numbers[name]] = entry["file"]
        progress.update(sum(file["samples"] for file in files.values()))
    remove_surplus(folder, len(files))
    logging.info("%s: %d tars with %d samples linked", source, len(files), total)
    return {"source": source, "as_is": True, "samples": total, "files": [files[number] for number in sorted(files)]}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        source, experiment = snakemake.wildcards.source, Experiment(snakemake.config)
        manifest = link_shards(
            source,
            Path(snakemake.input.pairs),
            located(read_json(snakemake.input.counts)),
            folder,
            snakemake.config["seed"],
            experiment.needed(source),
            experiment.sources[source].get("samples"),
            snakemake.config["shuffle"]["memory"],
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(snakemake.input.counts)})
