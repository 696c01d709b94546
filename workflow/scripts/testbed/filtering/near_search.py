"""Near-duplicates in a pool, part by part: of earlier samples of the pool, or of the images of test sets.

A comparison says which images are near: `ByHash`, or by embeddings testbed.filtering.similar. Both searches say what each
part of the pool's table is derived from (`requests`), find the part's near-duplicates (`make`), and count those of all parts
(`facts`). So `testbed.records.parts.make_parts` keeps finished parts.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

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

WITHIN = {"uid": pa.string(), "duplicate_of": pa.string()}
BETWEEN = {"uid": pa.string(), "testset": pa.string(), "key": pa.string()}


class Comparison(Protocol):
    """Says which images are near-duplicates, from the rows of `MeasuredPool.table` or of a test set's table.

    `field` is the name and the type of the number that says how near two images are, and `request` is what this depends on.
    `batch` is the number of samples that are compared at once.
    """

    field: tuple[str, pa.DataType]
    request: list[object]
    batch: int

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
    batch = 2_000_000
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


class Kept(NamedTuple):
    """The samples of a batch that are near no earlier one: their places in the pool, and what images are compared by."""

    places: np.ndarray
    images: object


class Duplicates:
    """The samples of a pool that are near-duplicates of earlier ones. Finished parts are in `folder`.

    A batch is compared with the kept samples of earlier batches, and then with itself. So memory holds the kept samples, and
    the near-duplicates of one batch.
    """

    def __init__(self, pool: MeasuredPool, comparison: Comparison, folder: Path):
        self.pool, self.comparison, self.folder, self.starts = pool, comparison, folder, pool.starts()
        self.batches = pool.batches(comparison.batch)
        self.kept: list[Kept] = []
        self.made: dict[str, pa.Table] = {}

    def requests(self) -> dict[str, object]:
        # What a part drops depends on the parts before it, and on none after it.
        requests, before = {}, ""
        for name in self.pool.parts:
            before = digest([before, self.pool.request(name)])
            requests[name] = ["within", *self.comparison.request, before]
        return requests

    def make(self, name: str) -> pa.Table:
        if name not in self.made:
            number = next(place for place, batch in enumerate(self.batches) if name in batch)
            for batch in self.batches[len(self.kept) : number]:
                # An earlier run has made its parts.
                self.keep(batch, np.concatenate(list(map(self.stays, batch))))
            self.made = self.search(self.batches[number])
        return self.made.pop(name)

    def stays(self, name: str) -> np.ndarray:
        """Return for each sample of a finished part whether it is kept."""
        dropped = read_part(self.folder, read_json(self.folder / f"{name}.json")["file"], ["uid"])["uid"]
        return ~compute.is_in(self.pool.uids(name), dropped.combine_chunks()).to_numpy()

    def keep(self, batch: list[str], stays: np.ndarray) -> None:
        images = self.comparison.load([self.pool.batch(batch).filter(pa.array(stays))])
        self.kept.append(Kept(self.starts[batch[0]] + np.flatnonzero(stays), images))

    def search(self, batch: list[str]) -> dict[str, pa.Table]:
        """Return the parts of the next batch, whose kept samples are added."""
        table, start = self.pool.batch(batch), self.starts[batch[0]]
        whole = sum(file["rows"] for file in self.pool.parts.values())
        label = "%s: comparing %d of %d images with those before them"
        logging.log(PROGRESS, label, self.pool.samples.name, start + len(table), whole)
        near, how_near = self.near_kept(table)
        own = np.flatnonzero(near == KEPT)
        first, how = self.comparison.before(self.comparison.load([table.take(own)]))
        dropped = first != KEPT
        near[own[dropped]], how_near[own[dropped]] = start + own[first[dropped]], how[dropped]
        self.keep(batch, near == KEPT)
        uids = self.uids_at(np.unique(near[near != KEPT]))
        made = {}
        for name in batch:
            rows = np.arange(self.pool.parts[name]["rows"]) + self.starts[name] - start
            rows = rows[near[rows] != KEPT]
            columns = {
                "uid": self.pool.uids(name).take(rows + start - self.starts[name]).to_pylist(),
                "duplicate_of": [uids[place] for place in near[rows].tolist()],
                self.comparison.field[0]: how_near[rows],
            }
            made[name] = pa.table(columns, schema=pa.schema([*WITHIN.items(), self.comparison.field]))
        return made

    def near_kept(self, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Return for each row of a batch the place of the first kept sample that it is near, or `KEPT`; and how near."""
        images = self.comparison.load([table])
        near, how_near = np.full(len(table), KEPT), np.zeros(len(table), self.comparison.field[1].to_pandas_dtype())
        for kept in self.kept:
            found = self.comparison.between(images, kept.images)
            rows, first = np.unique(found.first, return_index=True)
            new = near[rows] == KEPT
            near[rows[new]] = kept.places[found.second[first[new]]]
            how_near[rows[new]] = found.distance[first[new]]
        return near, how_near

    def uids_at(self, places: np.ndarray) -> dict[int, str]:
        """Return the uids of the samples at some places of the pool, which are sorted."""
        uids = {}
        for name, start in self.starts.items():
            own = places[slice(*np.searchsorted(places, [start, start + self.pool.parts[name]["rows"]]))]
            if len(own):
                uids |= dict(zip(own.tolist(), self.pool.uids(name).take(own - start).to_pylist(), strict=True))
        return uids

    def facts(self, tables: list[pa.Table]) -> dict:
        return {"near_duplicates": sum(map(len, tables))}


class Contamination:
    """The samples of a pool that are near-duplicates of test images. `testsets` are the folders of their tables by name."""

    def __init__(self, pool: MeasuredPool, testsets: Mapping[str, Path], comparison: Comparison):
        self.pool, self.testsets, self.comparison = pool, testsets, comparison
        self.schema = pa.schema([*BETWEEN.items(), comparison.field])
        self.batches = pool.batches(comparison.batch)
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

    def make(self, name: str) -> pa.Table:
        if name not in self.made:
            self.images = self.images or self.load()
            names, images = self.images
            parts = next(batch for batch in self.batches if name in batch)
            table = self.pool.batch(parts)
            found = self.comparison.between(self.comparison.load([table]), images)
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
    search = Contamination(pool, testsets, comparison) if testsets else Duplicates(pool, comparison, folder)
    files = make_parts(folder, search.requests(), search.make, f"{folder.name}, finding near-duplicates")
    facts = search.facts([read_part(folder, file) for file in files])
    parent = read_json(pool.samples / "manifest.json")
    logging.info("%s: %d of %d samples", folder.name, facts["near_duplicates"], parent["samples"])
    return {"pool": parent["pool"], "samples": parent["samples"], **facts, "files": files}
