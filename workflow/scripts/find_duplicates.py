"""Find near-duplicates in a pool: of earlier samples of the pool, or of the images of test sets.

In:  the table of the pool's samples, the hashes of its source's images and, for the method decontaminate, those of the
     images of test sets
Out: a manifest; beside it a part for each part of that table, and NNNNNN.json (its record). A part has a row for each
     sample that is dropped as a near-duplicate (uid, duplicate_of, distance) or, for test sets, for each pair of a sample
     and a test image (uid, testset, key, distance)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.filtering.image_hashes import SIMILAR
from testbed.filtering.measured_pool import MeasuredPool
from testbed.filtering.near_search import ByHash, search_pool
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import write_json
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from

if TYPE_CHECKING:
    from snakemake.script import snakemake


def find_duplicates(
    samples: Path,
    hashes: Path,
    folder: Path,
    distance: int,
    testsets: Mapping[str, Path] | None = None,
    threads: int = 1,
) -> dict:
    """Write the near-duplicates among the samples in the folder `samples` into `folder`; returns the manifest.

    `hashes` has the hashes of the source's images. With `testsets` (folders of hashes by name) these are near-duplicates of
    test images, without of earlier samples of the pool. Raises `PartError` if a sample has no hash.
    """
    pool = MeasuredPool(samples, hashes)
    return search_pool(pool, ByHash(distance, threads), folder, testsets) | {
        "distance": distance,
        "similarity": SIMILAR,
    }


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    # In the order in which the filter names them.
    folders = [Path(manifest).parent for manifest in snakemake.input.testsets]
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = find_duplicates(
            Path(snakemake.input.samples).parent,
            Path(snakemake.input.hashes).parent,
            folder,
            snakemake.params.distance,
            {path.name: path for path in folders},
            snakemake.threads,
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
