"""Convert the released list of a source, in any format, to one parquet file of usable pairs.

In:  the list (one file, a glob or a folder), the name of its format, and its columns for generic formats.
Out: ``pairs.parquet`` with uid, url, caption and the list's own columns, in the order of the list;
     if the list has hashes of the images, expected_sha256 or expected_md5;
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
from testbed.lists.formats import Format
from testbed.lists.hash_files import join_hashes
from testbed.lists.json_lines import OtherTypesError
from testbed.lists.pairs import CAUSES, LONGEST_CAPTION, PARQUET, ListError, describe_dropped
from testbed.lists.released import find_list
from testbed.lists.released_batches import BATCH, map_batches, own_columns, plain_kind, wider_columns
from testbed.lists.validation import validate_batch
from testbed.lists.yfcc100m import read_ids
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import record, write_json
from testbed.records.processes import terminate_with_parent
from testbed.web.hashes import HASHES, expected_column

if TYPE_CHECKING:
    from snakemake.script import snakemake

BASE_COLUMNS = ("uid", "url", "caption")


@dataclass
class Counts:
    """Counts of rows that were read and dropped, by cause. `files` records the files of the list.

    `hashed` is the number of rows with a hash of the image, None for a list without hashes.
    """

    rows: int = 0
    dropped: Counter = field(default_factory=Counter)
    files: list[dict] = field(default_factory=list)
    hashed: int | None = None

    @property
    def kept(self) -> int:
        return self.rows - self.dropped.total()

    def as_json(self) -> dict:
        counts = {"rows": self.rows, "kept": self.kept, "dropped": {cause: self.dropped[cause] for cause in CAUSES}}
        return counts if self.hashed is None else counts | {"hashed": self.hashed}


def prepare_list(
    path: str | Path,
    format: str,
    columns: dict[str, str] | None,
    output: Path,
    longest: int = LONGEST_CAPTION,
    memory: str = "1GB",
    threads: int = 1,
    private_networks: Sequence[str] = (),
    join: str | None = None,
) -> Counts:
    """Write the usable pairs of a list to the parquet file `output`, and return the counts.

    Rows are dropped as in `validate_batch`. DuckDB uses at most `memory`. `join` is a second file, see `find_list`.
    Raises `ListError` if the list cannot be read as `format` or has no usable row.
    """
    resolved, files = find_list(path, format, columns, join)
    networks = [ipaddress.ip_network(network) for network in private_networks]
    validate = partial(validate_batch, format=resolved, longest=longest, private_networks=networks)
    work = output.with_name(f".{output.name}.work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        counts = stage_all_rows(files, resolved, validate, work / "staged.parquet", threads)
        if resolved.subset:
            counts.files.insert(0, file_record(resolved.subset))
            check_joined(resolved.subset, join, counts.rows)
        if resolved.hashes and counts.kept:
            counts.files.extend(map(file_record, resolved.hashes))
            counts.hashed = join_hashes(work, resolved.hashes, memory, threads)
        if not counts.rows:
            raise ListError(f"{path}: has no row; download it again")
        if not counts.kept:
            raise ListError(
                f"{path}: none of {counts.rows:,} rows is usable as format {format}; {describe_dropped(counts.dropped)}"
            )
        if counts.hashed == 0:
            kind, column = resolved.hash
            raise ListError(
                f"{path}: column {column} has a {kind} of {HASHES[kind]} hexadecimal digits in no usable row; correct "
                f"columns.{kind}, or remove it"
            )
        publish(drop_duplicates(work, counts, memory, threads), output)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return counts


def pairs_schema(own: dict[str, pa.DataType], hash: str | None = None) -> pa.Schema:
    """Return the columns of the pairs of a list: uid, URL, caption, its `own` ones and, if it has them, those of `hash`."""
    hashes = [expected_column(hash)] if hash else []
    names, kinds = own_names(list(own)), map(plain_kind, own.values())
    columns = [(name, pa.string()) for name in BASE_COLUMNS] + list(zip(names, kinds, strict=True))
    return pa.schema(columns + [(name, pa.string()) for name in hashes])


def stage_all_rows(
    files: list[Path],
    format: Format,
    validate: Callable[[Batch], tuple[int, list[pa.Array], Counter]],
    staged: Path,
    threads: int,
) -> Counts:
    """Write the usable rows of all files to `staged`, see `stage_rows`. Types that do not hold all values are widened."""
    own = own_columns(files, format)
    while True:
        try:
            return stage_rows(files, format, own, validate, staged, threads)
        except OtherTypesError as error:
            logging.info("the first rows do not show the types of all columns, so the list is read again")
            own = wider_columns(files, format, own, error)


def stage_rows(
    files: list[Path],
    format: Format,
    own: dict[str, pa.DataType],
    validate: Callable[[Batch], tuple[int, list[pa.Array], Counter]],
    staged: Path,
    threads: int,
) -> Counts:
    """Write the usable rows of all files, with duplicates, to the parquet file `staged`, and return the counts.

    Raises `OtherTypesError` if values do not have the types in `own`.
    """
    counts, schema = Counts(hashed=0 if format.hash else None), pairs_schema(own, format.hash and format.hash[0])
    digests = {file: hashlib.sha256() for file in files}
    with ThreadPoolExecutor(threads) as pool, parquet.ParquetWriter(staged, schema, **PARQUET) as writer:
        validated = map_batches(validate, files, format, own, pool, lambda file: digests[file].update)
        for file, results in groupby(validated, itemgetter(0)):
            for _, (rows, columns, dropped) in results:
                counts.rows += rows
                counts.dropped += dropped
                if format.hash:
                    counts.hashed += len(columns[-1]) - columns[-1].null_count
                if len(columns[0]):
                    writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            logging.info("%s: %d rows so far, %d usable", file, counts.rows, counts.kept)
    counts.files = [file_record(file, digest.hexdigest()) for file, digest in digests.items()]
    return counts


def file_record(path: Path, sha256: str | None = None) -> dict:
    """Return the record of a file of a list, for `counts.json`. Without its SHA-256, the file is read for it."""
    if sha256 is None:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256}


def check_joined(subset: Path, metadata: str | None, rows: int) -> None:
    """Raise `ListError` if the metadata has none of the photos of a subset. Log a warning if it lacks some."""
    photos = len(read_ids(subset))
    if not rows:
        raise ListError(f"{metadata}: has none of the {photos:,} photos of {subset}; correct join or path")
    if rows < photos:
        logging.warning("%s: has %s of the %s photos of %s", metadata, f"{rows:,}", f"{photos:,}", subset)


def own_names(columns: list[str]) -> list[str]:
    """Return the names for the list's own columns. A name in use, or meant for hashes, is lowered and gets a prefix."""
    taken = {*BASE_COLUMNS, *map(expected_column, HASHES)}
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
            join=Experiment(snakemake.config).sources[snakemake.wildcards.source]["metadata"].get("join"),
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
