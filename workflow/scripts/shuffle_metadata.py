"""Shuffle the pairs of a source by a seed, and write the first pairs of this order in parts.

In:  ``pairs.parquet`` of the source, and the ``counts.json`` that records it.
Out: NNNNN.parquet, parts of equal length beside ``manifest.json``, which records them and is written last.

The pairs are sorted by MD5("<seed>:<uid>"). The order depends on the pairs and the seed alone: not on the order of the list,
the number of threads, or DuckDB's own hash, which changes between versions. A smaller number of samples is a prefix of a
larger one. DuckDB sorts within a memory limit and spills to disk.
"""

import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
from pyarrow import parquet

from testbed.experiment.experiment import Experiment
from testbed.lists.pairs import PARQUET
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import record, write_json
from testbed.records.processes import in_order, terminate_with_parent
from testbed.records.provenance import made_from

if TYPE_CHECKING:
    from snakemake.script import snakemake

BATCH = 16_384

PREFIX = 4
"""Hex digits of the sort key. Rows that cannot be among the first are removed by these digits before sorting."""


class ShuffleError(ValueError):
    """The source has fewer usable pairs than a trainset needs."""


def shuffle_pairs(
    pairs: Path,
    folder: Path,
    source: str,
    samples: int | None,
    part_size: int,
    needed: int,
    seed: int,
    memory: str = "1GB",
    threads: int = 1,
) -> dict:
    """Write the first `samples` pairs of the seeded order (None: all) into `folder`, `part_size` per part.

    Return the manifest.

    There are always ceil(samples / part_size) parts. If the source has fewer pairs, the last parts are short or empty.
    Raises `ShuffleError` if it has fewer than `needed`, the largest number that a trainset takes from it.
    """
    usable = parquet.read_metadata(pairs).num_rows
    if usable < needed:
        raise ShuffleError(
            f"{pairs}: source {source} has {usable} usable pairs, but its trainsets need {needed}. Lower the sizes that "
            "use it, or extend its list, tars or files. counts.json in the same folder has the causes of samples left out."
        )
    samples = usable if samples is None else samples
    if usable < samples:
        logging.warning("source %s: the list has %d usable pairs, fewer than samples: %d", source, usable, samples)
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / ".work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        with sorted_batches(pairs, work / "spill", samples, seed, memory, threads) as batches:
            schema = parquet.read_schema(pairs).remove_metadata()
            parts = write_parts(batches, schema, folder, work, samples, part_size, threads)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    remove_surplus(folder, {part["name"] for part in parts})
    return {"rows": sum(part["rows"] for part in parts), "parts": parts, "seed": seed}


@contextmanager
def sorted_batches(
    pairs: Path, spill: Path, samples: int, seed: int, memory: str, threads: int
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Context that gives the first `samples` pairs of the seeded order, and possibly some more, in batches."""
    config = {"memory_limit": memory, "temp_directory": str(spill), "threads": threads}
    with duckdb.connect(config=config) as connection:
        values = {"pairs": str(pairs), "seed": str(seed)}
        chosen = ""
        # Sorting whole rows takes memory and disk, and only the first rows are needed.
        if samples < parquet.read_metadata(pairs).num_rows:
            chosen = f"WHERE left(md5($seed || ':' || uid), {PREFIX}) <= $bound"
            values["bound"] = key_bound(connection, values, samples)
        query = f"SELECT * FROM read_parquet($pairs) {chosen} ORDER BY md5($seed || ':' || uid)"
        yield connection.sql(query, params=values).to_arrow_reader(BATCH)


def key_bound(connection: duckdb.DuckDBPyConnection, values: dict, samples: int) -> str:
    """Return the smallest prefix of a sort key such that at least `samples` pairs have a prefix up to it."""
    counts = connection.sql(
        f"""
        SELECT left(md5($seed || ':' || uid), {PREFIX}) AS start, count(*) AS pairs
        FROM read_parquet($pairs) GROUP BY start ORDER BY start
        """,
        params=values,
    ).fetchall()
    totals = accumulate(pairs for _, pairs in counts)
    return next(start for (start, _), total in zip(counts, totals, strict=True) if total >= samples)


def write_parts(
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    folder: Path,
    work: Path,
    samples: int,
    part_size: int,
    threads: int,
) -> list[dict]:
    """Write the batches in parts of `part_size` rows, one part per thread; return the parts' records."""
    rows = RowReader(batches, schema)
    lengths = [min(part_size, samples - start) for start in range(0, samples, part_size)]
    contents = ((f"{number:05d}.parquet", list(rows.pieces(count))) for number, count in enumerate(lengths))
    with ThreadPoolExecutor(threads) as pool:
        return list(
            in_order(pool, partial(write_part, schema=schema, folder=folder, work=work), contents, ahead=threads)
        )


def write_part(content: tuple[str, list[pa.Table]], schema: pa.Schema, folder: Path, work: Path) -> dict:
    """Write a part, given as its name and pieces, and return its record."""
    name, pieces = content
    with parquet.ParquetWriter(work / name, schema, **PARQUET) as writer:
        for piece in pieces:
            writer.write_table(piece)
    publish(work / name, folder / name)
    return record(folder / name, rows=sum(map(len, pieces)))


class RowReader:
    """Reads rows from batches in pieces of a given length.

    The length of DuckDB's batches depends on its threads, and the bytes of a parquet file on the pieces that are written.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], schema: pa.Schema):
        self.batches = batches
        self.schema = schema
        self.buffer = schema.empty_table()

    def pieces(self, count: int) -> Iterator[pa.Table]:
        """Yield the next `count` rows, or all that remain, in pieces of at most `BATCH` rows."""
        while count and len(piece := self.take(min(BATCH, count))):
            yield piece
            count -= len(piece)

    def take(self, count: int) -> pa.Table:
        """Return the next `count` rows, or all that remain."""
        while len(self.buffer) < count and (batch := next(self.batches, None)) is not None:
            added = pa.Table.from_batches([batch]).cast(self.schema)
            self.buffer = pa.concat_tables([self.buffer, added])
        piece = self.buffer.slice(0, count).combine_chunks()
        self.buffer = self.buffer.slice(count)
        return piece


def remove_surplus(folder: Path, names: set[str]) -> None:
    """Remove parts of an earlier run with more samples or smaller parts."""
    for path in folder.glob("[0-9][0-9][0-9][0-9][0-9].parquet"):
        if path.name not in names:
            path.unlink()


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    output = Path(snakemake.output.manifest)
    with locked(output.parent) as folder:
        manifest = shuffle_pairs(
            Path(snakemake.input.pairs),
            folder,
            snakemake.wildcards.source,
            samples=snakemake.params.samples,
            part_size=int(snakemake.params.part_size),
            needed=Experiment(snakemake.config).needed(snakemake.wildcards.source),
            seed=int(snakemake.params.seed),
            memory=snakemake.config["shuffle"]["memory"],
            threads=snakemake.threads,
        )
        write_json(output, manifest | {"made_from": made_from(snakemake.input.counts)})
