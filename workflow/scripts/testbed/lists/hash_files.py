"""Files with the hashes of a list's images: URL, SHA-256 and MD5, tab-separated, as Google released them for CC12M."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import parquet

from testbed.lists.list_files import list_errors, open_list
from testbed.lists.pairs import PARQUET, ListError, clean_url
from testbed.lists.text_lines import tab_cells
from testbed.lists.validation import checked_hashes
from testbed.web.hashes import expected_column

KIND = "sha256"
BATCH = 16_384
HASHES = pa.schema([("url", pa.string()), (KIND, pa.string())])


def hash_rows(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield URL and SHA-256 of each line of the files. Raises `ListError` if a file begins with another kind of line."""
    for path in paths:
        with list_errors(path), open_list(path) as file:
            for number, cells in enumerate(tab_cells(file, unquote=False), 1):
                if cells and len(cells) > 1:
                    yield clean_url(cells[0]), cells[1]
                elif number == 1:
                    raise ListError(
                        f"{path}: its first line is not URL, SHA-256 and MD5 with tabs between; correct join"
                    )


def join_hashes(work: Path, paths: Sequence[Path], memory: str, threads: int) -> int:
    """Add the column of the expected SHA-256 to ``staged.parquet`` in `work`, and return how many rows have one.

    Rows and hashes are joined by URL. Rows keep their order. DuckDB uses at most `memory`. Raises `ListError` if no row has
    a hash.
    """
    staged, hashes, joined = (work / f"{name}.parquet" for name in ("staged", "hashes", "joined"))
    rows = hash_rows(paths)
    with parquet.ParquetWriter(hashes, HASHES, **PARQUET) as writer:
        while batch := list(islice(rows, BATCH)):
            urls, digests = (pa.array(cells, pa.string()) for cells in zip(*batch, strict=True))
            writer.write_table(pa.table([urls, checked_hashes(digests, KIND)], schema=HASHES))
    schema = parquet.read_schema(staged).append(pa.field(expected_column(KIND), pa.string()))
    config = {"memory_limit": memory, "temp_directory": str(work / "spill"), "threads": threads}
    found = 0
    with duckdb.connect(config=config) as connection, parquet.ParquetWriter(joined, schema, **PARQUET) as writer:
        query = f"""
            SELECT pairs.* EXCLUDE (file_row_number), hashes.{KIND}
            FROM read_parquet($staged, file_row_number = true) AS pairs
            LEFT JOIN (SELECT url, min({KIND}) AS {KIND} FROM read_parquet($hashes) GROUP BY url) AS hashes
            ON pairs.url = hashes.url
            ORDER BY pairs.file_row_number
        """
        values = {"staged": str(staged), "hashes": str(hashes)}
        for batch in connection.sql(query, params=values).to_arrow_reader(BATCH):
            columns = [column.cast(kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
            found += len(columns[-1]) - columns[-1].null_count
            writer.write_batch(pa.record_batch(columns, schema=schema))
    if not found:
        raise ListError(f"{paths[0]}: has no SHA-256 for any URL of the list; correct join")
    joined.replace(staged)
    return found
