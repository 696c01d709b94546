"""Compare how near test images are to the trainsets of all pools, and the accuracy of the models by this similarity.

In:  for each source and filter the nearest samples to test images (measure_similarity), and the models' predictions
Out: results/tables/similarity.csv, a row for each trainset and test set; results/tables/similarity_accuracy.csv, a row for
     each trainset, architecture, test set and bin of similarity. Bins of a test set are the same for all trainsets
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from testbed.filtering.embeddings import NEAREST_FILE
from testbed.records.log import log_to
from testbed.statistics.similarity import (
    BIN_COLUMNS,
    accuracy_by_similarity,
    bin_edges,
    describe_similarity,
    nearest_of_trainset,
    read_correct,
)

if TYPE_CHECKING:
    from snakemake.script import snakemake


def compare_similarity(
    nearest: Mapping[str, pd.DataFrame],
    trainsets: Sequence[Mapping],
    confidence: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables.

    `nearest` has the nearest samples by source or filter. `trainsets` have pool, size, composition and, by architecture,
    `predictions`, the files of the predictions of their models. Bins are made from the largest trainset of each pool.
    """
    images = {(one["pool"], one["size"]): nearest_of_trainset(nearest, one["composition"]) for one in trainsets}
    largest = {pool: max(size for name, size in images if name == pool) for pool, _ in images}
    edges = bin_edges(images[one] for one in largest.items())
    described, binned = [], []
    for one in trainsets:
        key = {"pool": one["pool"], "size": one["size"]}
        own = images[one["pool"], one["size"]]
        described.append(describe_similarity(own).assign(**key))
        for architecture, files in one["predictions"].items():
            table = accuracy_by_similarity(own, read_correct(files), edges, confidence)
            binned.append(table.assign(**key, architecture=architecture))
    summary, accuracy = (pd.concat(tables, ignore_index=True) for tables in (described, binned))
    rest = [column for column in summary.columns if column not in ("pool", "size")]
    return summary[["pool", "size", *rest]], accuracy[["pool", "architecture", "size", *BIN_COLUMNS]]


if __name__ == "__main__":
    log_to(snakemake.log[0])
    folders = [Path(manifest).parent for manifest in snakemake.input.nearest]
    nearest = {
        folder.name: pd.read_parquet(folder / NEAREST_FILE, columns=["samples", "testset", "key", "similarity"])
        for folder in folders
    }
    summary, accuracy = compare_similarity(nearest, snakemake.params.trainsets, snakemake.params.confidence)
    summary.round(6).to_csv(snakemake.output.similarity, index=False)
    accuracy.round(6).to_csv(snakemake.output.accuracy, index=False)
