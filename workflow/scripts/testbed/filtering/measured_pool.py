"""What was computed of each image of a source, such as hashes or embeddings, in the order of a pool of its samples."""

from collections.abc import Iterator
from copy import copy
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute

from testbed.records.parts import PartError, parts_of, read_part


class MeasuredPool:
    """The table of a pool in the folder `samples`, and in `measured` one with other columns of its source's images.

    Both are in parts. A filter's part has some of the samples of its source's part of this name.
    """

    def __init__(self, samples: Path, measured: Path):
        self.samples, self.measured = samples, measured
        self.parts, self.files = parts_of(samples), parts_of(measured)

    def first(self, most: int) -> "MeasuredPool":
        """Return the first parts of the pool, with at most `most` samples together; the first part in any case."""
        ends = np.cumsum([file["rows"] for file in self.parts.values()])
        pool = copy(self)
        pool.parts = dict(islice(self.parts.items(), max(1, int((ends <= most).sum()))))
        return pool

    def starts(self) -> dict[str, int]:
        """Return the number of samples before each part."""
        ends = np.cumsum([file["rows"] for file in self.parts.values()]).tolist()
        return dict(zip(self.parts, [0, *ends], strict=False))

    def batches(self, most: int) -> list[list[str]]:
        """Return the parts in runs that have at most `most` samples each, or one part."""
        batches, samples = [], 0
        for name, file in self.parts.items():
            samples += file["rows"]
            if not batches or samples > most:
                batches.append([])
                samples = file["rows"]
            batches[-1].append(name)
        return batches

    def batch(self, names: list[str]) -> pa.Table:
        """Return the rows of `measured` for the samples of several parts."""
        return pa.concat_tables(map(self.table, names))

    def request(self, name: str) -> list[str]:
        """Return what a part depends on."""
        return [self.parts[name]["sha256"], self.files[name]["sha256"]]

    def uids(self, name: str) -> pa.ChunkedArray:
        return read_part(self.samples, self.parts[name], ["uid"])["uid"]

    def table(self, name: str) -> pa.Table:
        """Return the rows of `measured` for a part's samples, in their order. Raises `PartError` if one has no row."""
        uids, table = self.uids(name), read_part(self.measured, self.files[name])
        if uids.equals(table["uid"]):
            return table
        places = compute.index_in(uids, value_set=table["uid"].combine_chunks())
        if places.null_count:
            raise PartError(
                f"{self.measured / self.files[name]['name']}: lacks {places.null_count} samples of {self.samples}. "
                f"Delete {self.measured}/manifest.json and run the same command again."
            )
        return table.take(places)

    def rows(self, start: int, stop: int) -> Iterator[pa.Table]:
        """Yield the rows of `measured` for the samples from `start` up to `stop`, part by part."""
        for name, before in self.starts().items():
            end = before + self.parts[name]["rows"]
            if before < stop and end > start:
                yield self.table(name).slice(max(0, start - before), min(stop, end) - max(start, before))
