"""Count near-duplicates in a source: of the images of all test sets of the experiment, and of its own earlier samples.

In:  the table of the source's samples, its shards, the hashes of its images, and those of the images of the test sets
Out: a manifest with the counts; beside it for each part of that table testsets/NNNNNN.parquet, a row for each pair of a
     sample and a test image (uid, testset, key, distance), and within/NNNNNN.parquet, a row for each sample that is near an
     earlier one (uid, duplicate_of, distance), both with NNNNNN.json (the record); and examples.parquet, pairs with
     thumbnails
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
from pyarrow import compute, parquet

from testbed.cards.images import flag_columns, is_flagged, look_at, look_at_samples
from testbed.evaluation.tasks import task_of
from testbed.evaluation.testsets import read_samples, shards_of
from testbed.filtering.image_hashes import SIMILAR
from testbed.filtering.measured_pool import MeasuredPool
from testbed.filtering.near_search import ByHash, Contamination, Duplicates
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import record, write_json
from testbed.records.parts import make_parts, parts_of, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from

if TYPE_CHECKING:
    from snakemake.script import snakemake

COMPARED = 500_000
"""Samples of a source that are compared with each other, at most: this time grows faster than their number."""

EXAMPLES = 3
"""Pairs of a sample and a test image that a card shows."""

EXAMPLE_SCHEMA = pa.schema(
    {
        "testset": pa.string(),
        "key": pa.string(),
        "uid": pa.string(),
        "distance": pa.int64(),
        "caption": pa.string(),
        "flagged": pa.bool_(),
        "thumbnail": pa.binary(),
        "test_thumbnail": pa.binary(),
    }
)


class HashedTestset(NamedTuple):
    """The folders of a test set, and of the hashes of its images."""

    folder: Path
    hashes: Path

    def image(self, key: str) -> bytes:
        """Return the file of the first image with this key."""
        for name, file in parts_of(self.hashes).items():
            if key in read_part(self.hashes, file, ["uid"])["uid"].to_pylist():
                samples = read_samples(shards_of(self.folder)[int(name)], task_of(self.folder))
                return next(image for one, image, _ in samples if one == key)
        raise KeyError(key)


def find_examples(found: Iterable[tuple[str, pa.Table]]) -> list[tuple[str, dict]]:
    """Return pairs of a sample and a test image, each with its part: of each test set the one with the smallest uid.

    `found` are the parts with their names. Uids are hashes, so these are drawn at random, and always the same.
    """
    smallest: dict[str, tuple[str, dict]] = {}
    for name, table in found:
        ordered = table.sort_by([("uid", "ascending"), ("key", "ascending")])
        for testset in compute.unique(ordered["testset"]).to_pylist():
            (row,) = ordered.slice(compute.index(ordered["testset"], testset).as_py(), 1).to_pylist()
            if testset not in smallest or row["uid"] < smallest[testset][1]["uid"]:
                smallest[testset] = name, row
    return sorted(smallest.values(), key=lambda example: example[1]["uid"])[:EXAMPLES]


def draw_examples(pool: MeasuredPool, shards: Path, testsets: Mapping[str, HashedTestset], examples: list) -> pa.Table:
    """Return the table (`EXAMPLE_SCHEMA`) of the pairs of `find_examples`, with thumbnails of both images."""
    rows = []
    for name, pair in examples:
        file = pool.parts[name]
        flags = flag_columns(parquet.read_schema(pool.samples / file["name"]).names)
        table = read_part(pool.samples, file, ["uid", "caption", "shard", "offset", *flags])
        sample = table.filter(compute.equal(table["uid"], pair["uid"]))
        (look,) = look_at_samples(shards, sample, 1)
        test_image = look_at(testsets[pair["testset"]].image(pair["key"]), True)
        (row,) = sample.to_pylist()
        thumbnails = {"thumbnail": look.thumbnail, "test_thumbnail": test_image.thumbnail}
        rows.append(pair | {"caption": row["caption"], "flagged": is_flagged(row, flags)} | thumbnails)
    return pa.Table.from_pylist(rows, EXAMPLE_SCHEMA)


def measure_overlap(
    samples: Path,
    shards: Path,
    hashes: Path,
    testsets: Mapping[str, HashedTestset],
    folder: Path,
    distance: int,
    threads: int = 1,
) -> dict:
    """Write the near-duplicates in the source whose samples are in the folder `samples` into `folder`; returns the manifest.

    `shards` has the images and `hashes` their hashes. Hashes of near-duplicates differ in at most `distance` bits. Raises
    `PartError` if a sample has no hash.
    """
    pool = MeasuredPool(samples, hashes)
    compared, near = pool.first(COMPARED), ByHash(distance, threads)
    searches = {
        "testsets": Contamination(pool, {name: one.hashes for name, one in testsets.items()}, near),
        "within": Duplicates(compared, near, folder / "within"),
    }
    records, facts, found = [], {}, {}
    for kind, search in searches.items():
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        files = make_parts(place, search.requests(), search.make, f"{folder.name}, finding near-duplicates")
        found[kind] = [read_part(place, file) for file in files]
        facts[kind] = search.facts(found[kind])
        records += [file | {"name": f"{kind}/{file['name']}"} for file in files]
    table = draw_examples(pool, shards, testsets, find_examples(zip(pool.parts, found["testsets"], strict=True)))
    temporary = folder / ".examples.parquet.tmp"
    parquet.write_table(table, temporary, compression="zstd")
    publish(temporary, folder / "examples.parquet")
    number = sum(file["rows"] for file in pool.parts.values())
    near, repeats = (facts[kind]["near_duplicates"] for kind in searches)
    logging.info(
        "%s: %d of %d samples are near test images, %d repeat an earlier one", folder.name, near, number, repeats
    )
    return {
        "source": folder.name,
        "distance": distance,
        "similarity": SIMILAR,
        "samples": number,
        "near_samples": near,
        "testsets": facts["testsets"]["testsets"],
        "within": {"samples": sum(file["rows"] for file in compared.parts.values()), "near_samples": repeats},
        "files": [*records, record(folder / "examples.parquet", rows=len(table))],
    }


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    files, params = snakemake.input, snakemake.params
    hashed = {Path(manifest).parent.name: Path(manifest).parent for manifest in files.testsets}
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = measure_overlap(
            Path(files.samples).parent,
            Path(files.shards).parent,
            Path(files.hashes).parent,
            {name: HashedTestset(Path(params.testsets[name]), path) for name, path in hashed.items()},
            folder,
            params.distance,
            snakemake.threads,
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
