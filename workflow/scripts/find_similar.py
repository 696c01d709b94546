"""Find near-duplicates in a pool by a teacher's embeddings: of earlier samples of the pool, or of the images of test sets.

In:  the table of the pool's samples, the embeddings of its source's images and, for the method decontaminate, those of the
     images of test sets
Out: as of find_duplicates, with the column similarity in place of distance
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.evaluation.preprocessing import EVALUATION
from testbed.filtering.measured_pool import MeasuredPool
from testbed.filtering.near_search import search_pool
from testbed.filtering.similar import BySimilarity
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import write_json
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.records.warm_worker import run_warm

if TYPE_CHECKING:
    from snakemake.script import snakemake


def find_similar(
    samples: Path,
    embeddings: Path,
    folder: Path,
    similarity: float,
    testsets: Mapping[str, Path] | None = None,
    device: str = "cpu",
) -> dict:
    """Write the near-duplicates among the samples in the folder `samples` into `folder`; returns the manifest.

    `embeddings` has those of the source's images. Two images are near-duplicates from a cosine `similarity` on. With
    `testsets` (folders of embeddings by name) these are near-duplicates of test images, without of earlier samples of the
    pool. Raises `PartError` if a sample has no embedding.
    """
    pool = MeasuredPool(samples, embeddings)
    return search_pool(pool, BySimilarity(similarity, device), folder, testsets) | {"similarity": similarity}


if __name__ == "__main__":
    run_warm(*EVALUATION)
    log_to(snakemake.log[0])
    terminate_with_parent()
    # In the order in which the filter names them.
    folders = [Path(manifest).parent for manifest in snakemake.input.testsets]
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = find_similar(
            Path(snakemake.input.samples).parent,
            Path(snakemake.input.embeddings).parent,
            folder,
            snakemake.params.similarity,
            {path.name: path for path in folders},
            snakemake.params.device,
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
