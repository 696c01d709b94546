"""Near-duplicates in a pool, part by part: of earlier samples of the pool, or of the images of test sets.

Both searches say what each part of the pool's table is derived from (`requests`), find the part's near-duplicates (`make`),
and count those of all parts (`facts`). So `testbed.records.parts.make_parts` keeps finished parts.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute

from testbed.filtering.image_hashes import SIMILAR, Hashes
from testbed.filtering.measured_pool import MeasuredPool
from testbed.filtering.near_duplicates import KEPT, near_before, near_between
from testbed.records.log import PROGRESS
from testbed.records.manifest import digest, read_json
from testbed.records.parts import parts_of, read_part

BATCH = 500_000
"""Samples that are compared with test sets at once."""

WITHIN = {"uid": pa.string(), "duplicate_of": pa.string(), "distance": pa.int64()}
BETWEEN = {"uid": pa.string(), "testset": pa.string(), "key": pa.string(), "distance": pa.int64()}


class Duplicates:
    """The samples of a pool that are near-duplicates of earlier ones. They are all found when the first part is made."""

    def __init__(self, pool: MeasuredPool, distance: int, threads: int):
        self.pool, self.distance, self.threads, self.starts = pool, distance, threads, pool.starts()
        self.found: tuple[np.ndarray, np.ndarray, dict[int, str]] | None = None

    def requests(self) -> dict[str, object]:
        # What a part drops depends on the parts before it, and on none after it.
        requests, before = {}, ""
        for name in self.pool.parts:
            before = digest([before, self.pool.request(name)])
            requests[name] = ["within", self.distance, SIMILAR, before]
        return requests

    def search(self) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
        hashes = Hashes(map(self.pool.table, self.pool.parts))
        logging.log(PROGRESS, "%s: comparing %d images with each other", self.pool.samples.name, hashes.size)
        near, distances = near_before(hashes, self.distance, self.threads)
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
            "distance": distances[own][rows],
        }
        return pa.table(columns, schema=pa.schema(WITHIN))

    def facts(self, tables: list[pa.Table]) -> dict:
        return {"near_duplicates": sum(map(len, tables))}


class Contamination:
    """The samples of a pool that are near-duplicates of test images. `testsets` are the folders of hashes by name."""

    def __init__(self, pool: MeasuredPool, testsets: Mapping[str, Path], distance: int, threads: int):
        self.pool, self.testsets, self.distance, self.threads = pool, testsets, distance, threads
        self.images: tuple[pa.Table, Hashes] | None = None
        self.made: dict[str, pa.Table] = {}

    def requests(self) -> dict[str, object]:
        against = [
            [name, [file["sha256"] for file in parts_of(folder).values()]] for name, folder in self.testsets.items()
        ]
        return {name: ["between", self.distance, SIMILAR, against, self.pool.request(name)] for name in self.pool.parts}

    def load(self) -> tuple[pa.Table, Hashes]:
        """The names of the test images (testset, key), and their hashes."""
        tables, names = [], []
        for name, folder in self.testsets.items():
            for file in parts_of(folder).values():
                tables.append(read_part(folder, file))
                names += [name] * file["rows"]
        table = pa.concat_tables(tables)
        return pa.table({"testset": names, "key": table["uid"]}), Hashes([table])

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
            found = near_between(Hashes([table]), images, self.distance, self.threads)
            # What is left is of parts that were made before.
            self.made.clear()
            start = 0
            for one in parts:
                stop = start + self.pool.parts[one]["rows"]
                own = slice(*np.searchsorted(found.first, [start, stop]))
                of = names.take(found.second[own])
                uids = table["uid"].take(found.first[own])
                columns = [uids, of["testset"], of["key"], pa.array(found.distance[own], pa.int64())]
                self.made[one] = pa.table(columns, schema=pa.schema(BETWEEN))
                start = stop
        return self.made.pop(name)

    def facts(self, tables: list[pa.Table]) -> dict:
        found = pa.concat_tables([pa.schema(BETWEEN).empty_table(), *tables])
        facts = {}
        for name, folder in self.testsets.items():
            own = found.filter(compute.equal(found["testset"], name))
            hashed = read_json(folder / "manifest.json")
            facts[name] = {
                "images": hashed["images"],
                "flat": hashed["flat"],
                "near_images": compute.count_distinct(own["key"]).as_py(),
                "near_samples": compute.count_distinct(own["uid"]).as_py(),
            }
        return {"testsets": facts, "near_duplicates": compute.count_distinct(found["uid"]).as_py()}
