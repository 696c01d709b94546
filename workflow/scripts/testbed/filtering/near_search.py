"""Near-duplicates in a pool, part by part: of earlier samples of the pool, or of the images of test sets.

A comparison says which images are near: `ByHash`, or by embeddings testbed.filtering.similar. Both searches say what each
part of the pool's table is derived from (`requests`), find the part's near-duplicates (`make`), and count those of all parts
(`facts`). So `testbed.records.parts.make_parts` keeps finished parts.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from pyarrow import compute

from testbed.filtering.hash_search import Pairs
from testbed.filtering.image_hashes import SIMILAR, Hashes
from testbed.filtering.measured_pool import MeasuredPool
from testbed.filtering.near_duplicates import KEPT, near_before, near_between
from testbed.records.log import PROGRESS
from testbed.records.manifest import digest, read_json
from testbed.records.parts import make_parts, parts_of, read_part

BATCH = 500_000
"""Samples that are compared with test sets at once."""

WITHIN = {"uid": pa.string(), "duplicate_of": pa.string()}
BETWEEN = {"uid": pa.string(), "testset": pa.string(), "key": pa.string()}


class Comparison(Protocol):
    """Says which images are near-duplicates, from the rows of `MeasuredPool.table` or of a test set's table.

    `field` is the name and the type of the number that says how near two images are, and `request` is what this depends on.
    """

    field: tuple[str, pa.DataType]
    request: list[object]

    def load(self, tables: Iterable[pa.Table]) -> object:
        """Return what images are compared by, for the rows of `tables` together."""

    def between(self, first: object, second: object) -> Pairs:
        """Return all near-duplicates of one image of `first` and one of `second`, by rows, sorted by both."""

    def before(self, images: object) -> tuple[np.ndarray, np.ndarray]:
        """Return for each image the kept one before it that it is near, or `KEPT`, and how near; see `keep_first`."""


@dataclass(frozen=True)
class ByHash:
    """Two images are near-duplicates by their hashes and coefficients; see testbed.filtering.near_duplicates."""

    distance: int
    threads: int = 1
    field = ("distance", pa.int64())

    @property
    def request(self) -> list[object]:
        return [self.distance, SIMILAR]

    def load(self, tables: Iterable[pa.Table]) -> Hashes:
        return Hashes(tables)

    def between(self, first: Hashes, second: Hashes) -> Pairs:
        return near_between(first, second, self.distance, self.threads)

    def before(self, images: Hashes) -> tuple[np.ndarray, np.ndarray]:
        return near_before(images, self.distance, self.threads)


class Duplicates:
    """The samples of a pool that are near-duplicates of earlier ones. They are all found when the first part is made."""

    def __init__(self, pool: MeasuredPool, comparison: Comparison):
        self.pool, self.comparison, self.starts = pool, comparison, pool.starts()
        self.found: tuple[np.ndarray, np.ndarray, dict[int, str]] | None = None

    def requests(self) -> dict[str, object]:
        # What a part drops depends on the parts before it, and on none after it.
        requests, before = {}, ""
        for name in self.pool.parts:
            before = digest([before, self.pool.request(name)])
            requests[name] = ["within", *self.comparison.request, before]
        return requests

    def search(self) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
        number = sum(file["rows"] for file in self.pool.parts.values())
        logging.log(PROGRESS, "%s: comparing %d images with each other", self.pool.samples.name, number)
        images = self.comparison.load(map(self.pool.table, self.pool.parts))
        near, distances = self.comparison.before(images)
        wanted, uids = np.unique(near[near != KEPT]), {}
        for name, start in self.starts.items():
            rows = wanted[(wanted >= start) & (wanted < start + self.pool.parts[name]["rows"])]
            if len(rows):
                uids |= dict(zip(rows.tolist(), self.pool.uids(name).take(rows - start).to_pylist(), strict=True))
        return near, distances, uids

    def make(self, name: str) -> pa.Table:
        self.found = self.found or self.search()
        near, distances, uids = self.found
        start = self.starts[name]
        own = slice(start, start + self.pool.parts[name]["rows"])
        rows = np.flatnonzero(near[own] != KEPT)
        columns = {
            "uid": self.pool.uids(name).take(rows).to_pylist(),
            "duplicate_of": [uids[row] for row in near[own][rows].tolist()],
            self.comparison.field[0]: distances[own][rows],
        }
        return pa.table(columns, schema=pa.schema([*WITHIN.items(), self.comparison.field]))

    def facts(self, tables: list[pa.Table]) -> dict:
        return {"near_duplicates": sum(map(len, tables))}


class Contamination:
    """The samples of a pool that are near-duplicates of test images. `testsets` are the folders of their tables by name."""

    def __init__(self, pool: MeasuredPool, testsets: Mapping[str, Path], comparison: Comparison):
        self.pool, self.testsets, self.comparison = pool, testsets, comparison
        self.schema = pa.schema([*BETWEEN.items(), comparison.field])
        self.images: tuple[pa.Table, object] | None = None
        self.made: dict[str, pa.Table] = {}

    def requests(self) -> dict[str, object]:
        against = [
            [name, [file["sha256"] for file in parts_of(folder).values()]] for name, folder in self.testsets.items()
        ]
        asked = ["between", *self.comparison.request, against]
        return {name: [*asked, self.pool.request(name)] for name in self.pool.parts}

    def load(self) -> tuple[pa.Table, object]:
        """The names of the test images (testset, key), and what they are compared by."""
        tables, names = [], []
        for name, folder in self.testsets.items():
            for file in parts_of(folder).values():
                tables.append(read_part(folder, file))
                names += [name] * file["rows"]
        table = pa.concat_tables(tables)
        return pa.table({"testset": names, "key": table["uid"]}), self.comparison.load([table])

    def batch(self, name: str) -> list[str]:
        """The parts from `name` on that are compared together."""
        names = list(self.pool.parts)
        chosen, rows = [], 0
        for one in names[names.index(name) :]:
            rows += self.pool.parts[one]["rows"]
            if chosen and rows > BATCH:
                break
            chosen.append(one)
        return chosen

    def make(self, name: str) -> pa.Table:
        if name not in self.made:
            self.images = self.images or self.load()
            names, images = self.images
            parts = self.batch(name)
            table = pa.concat_tables([self.pool.table(one) for one in parts])
            found = self.comparison.between(self.comparison.load([table]), images)
            # What is left is of parts that were made before.
            self.made.clear()
            start = 0
            for one in parts:
                stop = start + self.pool.parts[one]["rows"]
                own = slice(*np.searchsorted(found.first, [start, stop]))
                of = names.take(found.second[own])
                uids = table["uid"].take(found.first[own])
                near = pa.array(found.distance[own], self.comparison.field[1])
                self.made[one] = pa.table([uids, of["testset"], of["key"], near], schema=self.schema)
                start = stop
        return self.made.pop(name)

    def facts(self, tables: list[pa.Table]) -> dict:
        found = pa.concat_tables([self.schema.empty_table(), *tables])
        facts = {}
        for name, folder in self.testsets.items():
            own = found.filter(compute.equal(found["testset"], name))
            measured = read_json(folder / "manifest.json")
            facts[name] = {
                # Flat images have no hash, but an embedding.
                **{key: measured[key] for key in ("images", "flat") if key in measured},
                "near_images": compute.count_distinct(own["key"]).as_py(),
                "near_samples": compute.count_distinct(own["uid"]).as_py(),
            }
        return {"testsets": facts, "near_duplicates": compute.count_distinct(found["uid"]).as_py()}


def search_pool(
    pool: MeasuredPool, comparison: Comparison, folder: Path, testsets: Mapping[str, Path] | None = None
) -> dict:
    """Write the near-duplicates in `pool` by `comparison` into `folder`; return the manifest.

    With `testsets` (folders of their tables by name) these are near-duplicates of test images.
    """
    search = Contamination(pool, testsets, comparison) if testsets else Duplicates(pool, comparison)
    files = make_parts(folder, search.requests(), search.make, f"{folder.name}, finding near-duplicates")
    facts = search.facts([read_part(folder, file) for file in files])
    parent = read_json(pool.samples / "manifest.json")
    logging.info("%s: %d of %d samples", folder.name, facts["near_duplicates"], parent["samples"])
    return {"pool": parent["pool"], "samples": parent["samples"], **facts, "files": files}
