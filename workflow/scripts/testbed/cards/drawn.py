"""Samples that are drawn by their uids, and repeats that are counted, in bounded memory."""

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import compute

MOST_HASHES = 20_000_000
"""Number of values whose hashes are kept, which takes 160 MB."""


class Smallest:
    """The rows with the smallest uids of the tables that it is given.

    A uid is a hash of the sample, so these are a random sample. They do not depend on the order of the tables.
    """

    def __init__(self, number: int):
        self.number = number
        self.table: pa.Table | None = None
        self.bound: str | None = None

    def add(self, table: pa.Table) -> None:
        if self.bound is not None:
            table = table.filter(compute.less(table["uid"], self.bound))
        if not len(table):
            return
        together = table if self.table is None else pa.concat_tables([self.table, table])
        # Sorted once in a while only: most tables add few rows.
        self.table = together
        if len(together) > 2 * self.number or (self.bound is None and len(together) > self.number):
            self._cut()

    def _cut(self) -> None:
        order = compute.sort_indices(self.table, sort_keys=[("uid", "ascending")])
        self.table = self.table.take(order.slice(0, self.number)).combine_chunks()
        if len(self.table) == self.number:
            self.bound = self.table["uid"][-1].as_py()

    def rows(self) -> pa.Table | None:
        """Return the rows in the order of their uids; None if there are none."""
        if self.table is not None:
            self._cut()
        return self.table


class Repeats:
    """Counts the values that occurred before.

    Of many values, those are taken whose hash is in a fixed part of all hashes. Equal values have equal hashes, so the
    share of repeats among these is that among all.
    """

    def __init__(self, expected: int):
        self.step = np.uint64(-(-max(1, expected) // MOST_HASHES))
        self.connection = duckdb.connect(config={"threads": 1})
        self.hashes: list[np.ndarray] = []
        self.places: list[np.ndarray] = []

    def add(self, values: pa.ChunkedArray, places: np.ndarray) -> None:
        """Count `values`, whose `places` are what `result` returns."""
        self.connection.register("listed", pa.table({"value": values}))
        found = self.connection.sql("SELECT hash(value) AS hash FROM listed").fetchnumpy()
        hashes = np.asarray(found["hash"], np.uint64)
        known = compute.is_valid(values).to_numpy(zero_copy_only=False)
        chosen = np.flatnonzero((hashes % self.step == 0) & known)
        self.hashes.append(hashes[chosen])
        self.places.append(places[chosen])

    def result(self, most: int) -> tuple[float, list[tuple[int, int]]]:
        """Return the share of values that occurred before, and of the `most` frequent ones the first place and count."""
        self.connection.close()
        hashes = np.concatenate([np.empty(0, np.uint64), *self.hashes])
        if not len(hashes):
            return 0.0, []
        _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        order = np.lexsort((first, -counts))[:most]
        places = np.concatenate(self.places)[first]
        often = [(int(places[place]), int(counts[place])) for place in order if counts[place] > 1]
        return 1 - len(counts) / len(hashes), often
