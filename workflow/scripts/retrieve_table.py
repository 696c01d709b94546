"""Retrieve a published table of results from its pinned URL, and check its SHA-256.

In:  a list (resources/tables.csv) with the URL and SHA-256 of each table
Out: results/retrieved/<table>.csv
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.miniweb.server import open_proxy
from testbed.records.files import publish, sha256
from testbed.records.log import log_to
from testbed.records.shipped import shipped
from testbed.web.single_files import FetchError, fetch, open_pool

if TYPE_CHECKING:
    from snakemake.script import snakemake

OPTIONS = {"timeout": 60, "retries": 3, "backoff": 2}


class TableError(RuntimeError):
    """A table cannot be fetched, or has another SHA-256."""


def retrieve_table(name: str, tables: Path | str, output: Path, proxy: str = "none") -> None:
    """Fetch the table `name` of the list `tables` to `output`. Raises `TableError` without writing `output`."""
    with open(shipped(tables), newline="", encoding="utf-8") as file:
        row = next((row for row in csv.DictReader(file) if row["table"] == name), None)
    if row is None:
        raise TableError(f"{tables}: has no table {name!r}; add its URL and SHA-256")
    fetched = output.with_name(f".{output.name}.fetched")
    by_hand = f"Download it by hand from {row['url']} to {output}, or run the same command again"
    try:
        status = fetch(open_pool(row["url"], proxy), row["url"], fetched, OPTIONS)
        if status != 200:
            raise TableError(f"{row['url']}: responds with HTTP {status}. {by_hand}.")
        if (found := sha256(fetched)) != row["sha256"]:
            raise TableError(
                f"{row['url']}: the file has the SHA-256 {found}, but {tables} has {row['sha256']}. {by_hand}."
            )
        publish(fetched, output)
    except FetchError as error:
        raise TableError(f"{error}. {by_hand}.") from error
    finally:
        fetched.unlink(missing_ok=True)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    with open_proxy(snakemake.config["download"]["proxy"], []) as proxy:
        retrieve_table(snakemake.wildcards.table, snakemake.params.tables, Path(snakemake.output.table), proxy)
