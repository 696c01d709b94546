"""Join the columns of a user's table to the samples of a pool.

DuckDB joins by a hash of the key, within a memory limit, and spills to disk. The result is staged in the pool's order, and
cut into the parts of the pool.

In:  the table of the pool's samples, and the user's files
Out: a manifest; beside it NNNNNN.parquet for each part of the samples, with the columns of each row and whether it has a
     match, and NNNNNN.json (its record)
"""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
from pyarrow import parquet

from testbed.filtering.user_tables import (
    KEYS,
    TableError,
    check_names,
    joined_names,
    key_column,
    key_expression,
    literal,
    normalised,
    quoted,
    relation_of,
    types_of,
)
from testbed.records.files import sha256
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import make_parts, parts_of, read_part, read_parts
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.shards.samples import MATCHED, REASONS

if TYPE_CHECKING:
    from snakemake.script import snakemake

GROUP_ROWS = 20_480
"""Rows of a row group of the staged join, of which each part reads a few."""

PLACED = pa.schema([("place", pa.int64()), ("key", pa.string())])
"""A row of the pool and its key."""


class Join:
    """The join of a user's table with a pool, staged on disk when the first part is asked for."""

    def __init__(self, samples: Path, given: Mapping, files: Sequence[Path], work: Path, memory: str, threads: int):
        self.samples, self.given, self.files, self.work = samples, given, files, work
        self.config = {"memory_limit": memory, "temp_directory": str(work / "spill"), "threads": threads}
        self.parts = parts_of(samples)
        ends = [*accumulate(file["rows"] for file in self.parts.values())]
        self.ranges = dict(zip(self.parts, zip([0, *ends], ends, strict=False), strict=True))
        self.staged: parquet.ParquetFile | None = None

    @property
    def pool_column(self) -> str:
        """The column of the pool that has the key. Raises `TableError` if the pool does not have it."""
        column, pool = KEYS[self.given["key"]], read_json(self.samples / "manifest.json")["pool"]
        if column not in self.columns_of_pool():
            raise TableError(
                f"columns_from.key: {self.given['key']}: the samples of {pool} have no column {column}. Choose uid or url"
            )
        return column

    def columns_of_pool(self) -> list[str]:
        return parquet.read_schema(self.samples / next(iter(self.parts.values()))["name"]).names

    def keys_of_pool(self, column: str) -> Iterator[pa.RecordBatch]:
        place = 0
        for table in read_parts(self.samples, [column]):
            places = pa.array(range(place, place + len(table)), pa.int64())
            place += len(table)
            yield from pa.table([places, table[column].cast(pa.string())], schema=PLACED).to_batches()

    def part(self, name: str) -> pa.Table:
        """The joined columns of the rows of a part of the pool."""
        if self.staged is None:
            self.staged = parquet.ParquetFile(self.stage())
        start, stop = self.ranges[name]
        first, last = start // GROUP_ROWS, -(-stop // GROUP_ROWS)
        table = self.staged.read_row_groups([*range(first, last)])
        return table.slice(start - first * GROUP_ROWS, stop - start).combine_chunks()

    def stage(self) -> Path:
        """Join the table with the whole pool, and return the file of the joined columns in the pool's order."""
        path, shown, own_key = self.work / "joined.parquet", self.given["path"], self.pool_column
        with duckdb.connect(self.work / "table.duckdb", config=self.config) as connection:
            key = key_column(self.given)
            found = list(types_of(connection, relation_of(self.files, sample=1000), shown))
            joined_names(self.given, found)
            relation = relation_of(self.files, [key])
            kinds = types_of(connection, relation, shown)
            names = joined_names(self.given, list(kinds))
            check_names(self.given, names, self.pool, [*self.columns_of_pool(), *REASONS])
            own = "".join(f", {quoted(column)} AS c{number}" for number, column in enumerate(names.values()))
            try:
                connection.execute(
                    f"CREATE TABLE given AS SELECT md5_number({key_expression(self.given, kinds[key])}) AS h{own} "
                    f"FROM {relation}"
                )
            except duckdb.Error as error:
                raise TableError(f"{shown}: cannot be read ({str(error).splitlines()[0]}). Write it again") from error
            self.check_keys(connection, relation)
            columns = "".join(f", c{number} AS {quoted(name)}" for number, name in enumerate(names))
            connection.register(
                "pool",
                pa.RecordBatchReader.from_batches(PLACED, self.keys_of_pool(own_key)),
            )
            connection.execute(
                f"COPY (SELECT h IS NOT NULL AS {MATCHED}{columns} FROM "
                f"(SELECT place, md5_number({normalised('key', self.given['key'])}) AS own FROM pool) "
                f"LEFT JOIN given ON own = h ORDER BY place) "
                f"TO {literal(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS})"
            )
        return path

    @property
    def pool(self) -> str:
        return read_json(self.samples / "manifest.json")["pool"]

    def check_keys(self, connection: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Raise `TableError` if a key occurs twice in the table; log the rows without a key."""
        rows, keyed = connection.execute("SELECT count(*), count(h) FROM given").fetchone()
        if rows > keyed:
            logging.info("%s: %d of %d rows have no key", self.given["path"], rows - keyed, rows)
        twice = connection.execute(
            "SELECT h, min(rowid), count(*) OVER () FROM given WHERE h IS NOT NULL GROUP BY h HAVING count(*) > 1 "
            "ORDER BY 2 LIMIT 1"
        ).fetchone()
        if not twice:
            return
        places = [
            row[0]
            for row in connection.execute(
                "SELECT rowid FROM given WHERE h = ? ORDER BY 1 LIMIT 2", [twice[0]]
            ).fetchall()
        ]
        key = quoted(key_column(self.given))
        value = connection.execute(f"SELECT {key} FROM {relation} LIMIT 1 OFFSET {places[0]}").fetchone()[0]
        first, second = (self.place_of(connection, place) for place in places)
        raise TableError(
            f"{self.given['path']}: {self.given['key']} {value} occurs twice, in {first} and in {second}; {twice[2]} keys "
            "occur more than once. Keep one row for each key"
        )

    def place_of(self, connection: duckdb.DuckDBPyConnection, place: int) -> str:
        """The file and the row (from 1, without the header) of the row `place` of all files."""
        for file in self.files:
            (rows,) = connection.execute(f"SELECT count(*) FROM {relation_of([file], sample=1000)}").fetchone()
            if place < rows:
                return f"row {place + 1} of {file}"
            place -= rows
        raise TableError(f"{self.given['path']}: has changed while it was read. Run the same command again")


def join_columns(
    samples: Path, given: Mapping, files: Sequence[Path], folder: Path, memory: str = "1GB", threads: int = 1
) -> dict:
    """Write the columns of the user's `files` for each part of the table in the folder `samples`; returns the manifest.

    `given` is the filter's entry `columns_from`, `memory` what DuckDB may use. Raises `TableError` if the table cannot be
    read, has a key twice, has a column with the name of one of the pool's, or matches no sample.
    """
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    join = Join(samples, given, files, work, memory, threads)
    rules = {key: value for key, value in given.items() if key != "path"}
    digests = [sha256(file) for file in files]
    requests = {name: [file["sha256"], rules, digests] for name, file in join.parts.items()}
    try:
        written = make_parts(folder, requests, join.part, f"{folder.name}, joining columns")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    total = sum(file["rows"] for file in written)
    matched = sum(
        read_part(folder, file, [MATCHED])[MATCHED].combine_chunks().true_count for file in written if file["rows"]
    )
    if not matched:
        own = " DataComp's own uids are in source_uid." if "source_uid" in join.columns_of_pool() else ""
        raise TableError(
            f"{given['path']}: none of the {total} samples of {join.pool} has its {given['key']} in column "
            f"{key_column(given)}. Correct columns_from.key or key_column.{own}"
        )
    logging.info(
        "%s: %d of %d samples have a row in %s, %d have none",
        folder.name,
        matched,
        total,
        given["path"],
        total - matched,
    )
    names = [name for name in parquet.read_schema(folder / written[0]["name"]).names if name != MATCHED]
    return {
        "pool": join.pool,
        **rules,
        "joined": names,
        "samples": total,
        "matched": matched,
        "unmatched": total - matched,
        "files": written,
    }


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = join_columns(
            Path(snakemake.input.samples).parent,
            snakemake.config["filters"][snakemake.wildcards.filter]["columns_from"],
            [Path(file) for file in snakemake.input.tables],
            folder,
            memory=snakemake.config["shuffle"]["memory"],
            threads=snakemake.threads,
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
