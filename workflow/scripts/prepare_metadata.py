"""Convert the released list of a source, in any format, to one parquet file of usable pairs.

In:  the list (one file, a glob or a folder), the name of its format, and its columns for generic formats.
Out: ``pairs.parquet`` with uid, url, caption and the list's own columns, in the order of the list;
     ``counts.json`` with the rows of the list, the rows kept, the rows dropped by cause, the private networks whose
     addresses are kept, and the records of the list's files and of ``pairs.parquet``.

The list is streamed: several threads validate batches of rows, which are staged beside the output. DuckDB then finds
duplicates (same URL and caption) within a memory limit and spills to disk. A Python set of identities would take about 100
bytes per row, which is 40 GB for LAION-400M. The first of equal rows is kept. A column of the list is renamed if its name is
uid, url or caption, or differs from another only in case, because DuckDB ignores case.
"""

import hashlib
import ipaddress
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from testbed.experiment.experiment import Experiment
from testbed.lists.batches import Batch
from testbed.lists.list_files import find_files
from testbed.lists.pairs import CAUSES, LONGEST_CAPTION, PARQUET, ListError, describe_dropped
from testbed.lists.released import Format, resolve_format
from testbed.lists.released_batches import BATCH, map_batches, own_columns
from testbed.lists.validation import validate_batch
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import record, write_json
from testbed.records.processes import terminate_with_parent

if TYPE_CHECKING:
    from snakemake.script import snakemake

BASE_COLUMNS = ("uid", "url", "caption")


@dataclass
class Counts:
    """Counts of rows that were read and dropped, by cause. `files` records the files of the list."""

    rows: int = 0
    dropped: Counter = field(default_factory=Counter)
    files: list[dict] = field(default_factory=list)

    @property
    def kept(self) -> int:
        return self.rows - self.dropped.total()

    def as_json(self) -> dict:
        return {"rows": self.rows, "kept": self.kept, "dropped": {cause: self.dropped[cause] for cause in CAUSES}}


def prepare_list(
    path: str | Path,
    format: str,
    columns: dict[str, str] | None,
    output: Path,
    longest: int = LONGEST_CAPTION,
    memory: str = "1GB",
    threads: int = 1,
    private_networks: Sequence[str] = (),
) -> Counts:
    """Write the usable pairs of a list to the parquet file `output`, and return the counts.

    Rows are dropped as in `validate_batch`. DuckDB uses at most `memory`. Raises `ListError` if the list cannot be read as
    `format` or has no usable row.
    """
    resolved = resolve_format(format, columns)
    files = find_files(path, resolved.container)
    own = own_columns(files[0], resolved)
    schema = pairs_schema(files[0], resolved)
    networks = [ipaddress.ip_network(network) for network in private_networks]
    validate = partial(validate_batch, format=resolved, longest=longest, private_networks=networks)
    work = output.with_name(f".{output.name}.work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        counts = stage_rows(files, resolved, own, schema, validate, work / "staged.parquet", threads)
        if not counts.rows:
            raise ListError(f"{path}: has no row; download it again")
        if not counts.kept:
            raise ListError(
                f"{path}: none of {counts.rows:,} rows is usable as format {format}; {describe_dropped(counts.dropped)}"
            )
        publish(drop_duplicates(work, counts, memory, threads), output)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return counts


def pairs_schema(file: Path, format: Format) -> pa.Schema:
    """Return the columns of the pairs of a list. `file` is the list's first file."""
    own = own_columns(file, format)
    names = own_names(list(own))
    return pa.schema([(name, pa.string()) for name in BASE_COLUMNS] + list(zip(names, own.values(), strict=True)))


def stage_rows(
    files: list[Path],
    format: Format,
    own: dict[str, pa.DataType],
    schema: pa.Schema,
    validate: Callable[[Batch], tuple[int, list[pa.Array], Counter]],
    staged: Path,
    threads: int,
) -> Counts:
    """Write the usable rows of all files, with duplicates, to the parquet file `staged`, and return the counts."""
    counts = Counts()
    digests = {file: hashlib.sha256() for file in files}
    with ThreadPoolExecutor(threads) as pool, parquet.ParquetWriter(staged, schema, **PARQUET) as writer:
        validated = map_batches(validate, files, format, own, pool, lambda file: digests[file].update)
        for file, results in groupby(validated, itemgetter(0)):
            for _, (rows, columns, dropped) in results:
                counts.rows += rows
                counts.dropped += dropped
                if len(columns[0]):
                    writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            logging.info("%s: %d rows so far, %d usable", file, counts.rows, counts.kept)
    counts.files = [
        {"path": str(file), "bytes": file.stat().st_size, "sha256": digest.hexdigest()}
        for file, digest in digests.items()
    ]
    return counts


def own_names(columns: list[str]) -> list[str]:
    """Return the names for the list's own columns. A name in use is lowered and gets a prefix."""
    taken = set(BASE_COLUMNS)
    names = []
    for column in columns:
        name = column
        while name.lower() in taken:
            name = f"source_{name.lower()}"
        taken.add(name.lower())
        names.append(name)
    return names


def drop_duplicates(work: Path, counts: Counts, memory: str, threads: int) -> Path:
    """Return the file of the rows in ``staged.parquet`` without duplicates: of rows with the same uid, the first is kept."""
    staged = work / "staged.parquet"
    config = {"memory_limit": memory, "temp_directory": str(work / "spill"), "threads": threads}
    with duckdb.connect(config=config) as connection:
        found = connection.sql(
            """
            WITH pairs AS (SELECT uid::UUID AS uid, file_row_number AS place
                           FROM read_parquet($staged, file_row_number = true)),
                 firsts AS (SELECT uid, min(place) AS first FROM pairs GROUP BY uid HAVING count(*) > 1)
            SELECT place FROM pairs JOIN firsts USING (uid) WHERE place > first ORDER BY place
            """,
            params={"staged": str(staged)},
        ).fetchnumpy()["place"]
    repeated = np.asarray(found, dtype=np.int64)
    counts.dropped["duplicate"] += len(repeated)
    if not len(repeated):
        return staged
    unique = work / "unique.parquet"
    start = 0
    with (
        parquet.ParquetFile(staged) as file,
        parquet.ParquetWriter(unique, file.schema_arrow, **PARQUET) as writer,
    ):
        for batch in file.iter_batches(BATCH):
            stop = start + len(batch)
            keep = np.ones(len(batch), dtype=bool)
            keep[repeated[np.searchsorted(repeated, start) : np.searchsorted(repeated, stop)] - start] = False
            writer.write_batch(batch.filter(pa.array(keep)))
            start = stop
    return unique


def warn_if_short(source: str, counts: Counts, samples: int, needed: int) -> None:
    """Log a warning if a list has fewer usable pairs than `samples`, or than `needed` for the largest trainset.

    It is not an error, because Snakemake would delete the pairs, and reading the list again may take hours. The next rule,
    shuffle_metadata, fails with fewer than `needed`.
    """
    if counts.kept >= samples:
        return
    consequence = "all are fetched"
    if counts.kept < needed:
        consequence = f"its trainsets need {needed:,}: lower the sizes that use it, or use a longer list"
    logging.warning(
        "source %s: the list has %s usable pairs, fewer than samples: %s; %s. %s",
        *(source, f"{counts.kept:,}", f"{samples:,}", consequence, describe_dropped(counts.dropped)),
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    output = Path(snakemake.output.pairs)
    with locked(output.parent):
        result = prepare_list(
            snakemake.params.path,
            snakemake.params.format,
            snakemake.params.columns,
            output,
            memory=snakemake.config["shuffle"]["memory"],
            threads=snakemake.threads,
            private_networks=snakemake.params.private_networks,
        )
        logging.info("%s", result.as_json())
        # These are not parameters, because a change of sizes must not read the list again.
        experiment, source = Experiment(snakemake.config), snakemake.wildcards.source
        warn_if_short(source, result, experiment.sources[source]["samples"], experiment.needed(source))
        content = {
            "format": snakemake.params.format,
            **result.as_json(),
            "private_networks": list(snakemake.params.private_networks),
            "list": result.files,
            "files": [record(output)],
        }
        write_json(snakemake.output.counts, content)
