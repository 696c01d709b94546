"""Find the nearest training image of each test image, by the cosine similarity of a teacher's embeddings.

It is found for all prefixes of a source or filter that trainsets take samples from, so one pass over the pool serves all
its sizes, and the mixtures that it is a member of.

In:  the table of the pool's samples, the embeddings of its source's images, and those of the images of the test sets
Out: a manifest; beside it nearest.parquet, a row for each prefix (samples) and test image (testset, key), with the
     similarity of the nearest sample and its uid; and a part for each run of samples, with NNNNNN.json (its record)
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from testbed.evaluation.preprocessing import EVALUATION
from testbed.filtering.embeddings import NEAREST_FILE, Nearest, read_testsets
from testbed.filtering.measured_pool import MeasuredPool
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import PROGRESS, log_to
from testbed.records.manifest import digest, read_json, record, write_json
from testbed.records.parts import make_parts, parts_of, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.records.warm_worker import run_warm

if TYPE_CHECKING:
    from snakemake.script import snakemake

RUN = 500_000
"""Samples that a part is made from, at most."""


def runs_of(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """The runs of samples that parts are made from, as (start, stop): they end at all `sizes`, and after `RUN` samples."""
    ends = sorted({0, *sizes, *range(RUN, max(sizes), RUN)})
    return list(pairwise(ends))


def merge_runs(tables: Iterable[tuple[int, pa.Table]], sizes: Sequence[int], names: pa.Table) -> pa.Table:
    """The nearest samples among the first ones of a pool, for each of `sizes`.

    `tables` has (stop, table) of each run of samples, in order. `names` are the test images (testset, key).
    """
    best, found = None, []
    for stop, table in tables:
        if best is None:
            best = table.to_pandas()
        else:
            own = table.to_pandas()
            best = best.mask(own["similarity"] > best["similarity"], own)
        if stop in sizes:
            table = names.append_column("similarity", pa.array(best["similarity"], pa.float32()))
            table = table.append_column("uid", pa.array(best["uid"], pa.string()))
            found.append(table.add_column(0, "samples", pa.array([stop] * len(names), pa.int64())))
    return pa.concat_tables(found)


def measure_similarity(
    samples: Path,
    embeddings: Path,
    testsets: Mapping[str, Path],
    sizes: Sequence[int],
    folder: Path,
    device: str = "cpu",
) -> dict:
    """Write the nearest samples of the pool in the folder `samples` to all test images into `folder`; returns the manifest.

    `embeddings` has those of the pool's source, and `testsets` the folders of those of the test sets. `sizes` are the
    numbers of first samples that are searched. Raises `PartError` if a sample has no embedding.
    """
    pool, names, images = MeasuredPool(samples, embeddings), None, None
    against = [[name, [file["sha256"] for file in parts_of(own).values()]] for name, own in testsets.items()]
    depends = digest([[pool.request(name) for name in pool.parts], against])
    runs = {f"{number:06d}": run for number, run in enumerate(runs_of(sizes))}

    def make(name: str) -> pa.Table:
        start, stop = runs[name]
        nearest = Nearest(images, device)
        for table in pool.rows(start, stop):
            nearest.add(table)
        logging.info("samples %d to %d: %d test images compared", start, stop, len(images))
        return pa.table({"similarity": nearest.similarity, "uid": pa.array(nearest.uid, pa.string())})

    names, images = read_testsets(testsets)
    logging.log(PROGRESS, "%s: comparing %d samples with %d test images", folder.name, max(sizes), len(images))
    files = make_parts(
        folder, {name: [depends, *run] for name, run in runs.items()}, make, f"{folder.name}, similarity"
    )
    stops = [stop for _, stop in runs.values()]
    tables = ((stop, read_part(folder, file)) for stop, file in zip(stops, files, strict=True))
    temporary = folder / f".{NEAREST_FILE}.tmp"
    parquet.write_table(merge_runs(tables, sizes, names), temporary, compression="zstd")
    publish(temporary, folder / NEAREST_FILE)
    return {
        "pool": read_json(samples / "manifest.json")["pool"],
        "sizes": list(sizes),
        "testsets": list(testsets),
        "images": len(images),
        "files": [*files, record(folder / NEAREST_FILE)],
    }


if __name__ == "__main__":
    run_warm(*EVALUATION)
    log_to(snakemake.log[0])
    terminate_with_parent()
    folders = [Path(manifest).parent for manifest in snakemake.input.testsets]
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = measure_similarity(
            Path(snakemake.input.samples).parent,
            Path(snakemake.input.embeddings).parent,
            {path.name: path for path in folders},
            list(snakemake.params.sizes),
            folder,
            snakemake.params.device,
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
