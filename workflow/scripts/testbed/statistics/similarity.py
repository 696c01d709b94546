"""How near test images are to trainsets, and the accuracy of models by this similarity.

"Does CLIP's Generalization Performance Mainly Stem from High Train-Test Similarity?" (arXiv 2310.09562) takes the cosine
similarity of an image embedding to that of the nearest training image.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from testbed.statistics.lines import clopper_pearson

BINS = 10
"""Bins of similarity, each with as many test images over all pools."""

QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
IMAGE = ["testset", "key"]
BIN_COLUMNS = ["testset", "bin", "low", "high", "n", "similarity", "accuracy", "accuracy_low", "accuracy_high"]

FEWEST = 20
"""Fewest test images of a bin whose accuracy is drawn."""


def compared_sizes(trainsets: pd.DataFrame, pools: Sequence[Mapping]) -> dict[str, int]:
    """Return the trainset of each of `pools` that is drawn: the largest size that all sources have.

    More samples are nearer to everything, so pools are compared at one size. A pool without this size has the largest one
    below it, or its smallest. `trainsets` has columns pool and size. Without a size that all sources have, it is the largest
    that most of them have.
    """
    own = {pool["name"]: set(trainsets.loc[trainsets["pool"] == pool["name"], "size"]) for pool in pools}
    own = {name: sizes for name, sizes in own.items() if sizes}
    sources = [own[pool["name"]] for pool in pools if pool["kind"] == "source" and pool["name"] in own]
    sources = sources or list(own.values())
    counts = {size: sum(size in sizes for sizes in sources) for size in set().union(*sources)}
    most = max(counts.values(), default=0)
    common = max((size for size, count in counts.items() if count == most), default=0)
    return {name: max([size for size in sizes if size <= common] or [min(sizes)]) for name, sizes in own.items()}


def nearest_of_trainset(nearest: Mapping[str, pd.DataFrame], composition: Mapping[str, int]) -> pd.DataFrame:
    """Return the similarity of each test image (testset, key) to the nearest sample of a trainset.

    `nearest` has the tables of `measure_similarity` by source or filter, and `composition` the number of samples that the
    trainset takes from each. The tables have the same test images in the same order.
    """
    own = [nearest[member] for member in composition]
    chosen = [table[table["samples"] == count] for table, count in zip(own, composition.values(), strict=True)]
    best = np.max([table["similarity"].to_numpy() for table in chosen], axis=0)
    return chosen[0][IMAGE].reset_index(drop=True).assign(similarity=best)


def describe_similarity(images: pd.DataFrame) -> pd.DataFrame:
    """Return for each test set of `images` the number of images, and mean and quantiles of their similarity."""
    rows = [
        {"testset": testset, "images": len(own), "mean": float(own.mean())}
        | {name: float(own.quantile(part)) for name, part in QUANTILES.items()}
        for testset, own in images.groupby("testset", sort=False)["similarity"]
    ]
    return pd.DataFrame(rows)


def bin_edges(tables: Iterable[pd.DataFrame]) -> dict[str, np.ndarray]:
    """Return for each test set the inner edges of its bins of similarity, at most `BINS` - 1.

    `tables` have the similarities of the same test images to several trainsets. Together they have as many images in each
    bin; equal similarities are in one bin.
    """
    images = pd.concat(tables, ignore_index=True)
    inner = np.arange(1, BINS) / BINS
    return {
        testset: np.unique(np.quantile(own, inner))
        for testset, own in images.groupby("testset", sort=False)["similarity"]
    }


def read_correct(files: Sequence[str]) -> pd.DataFrame:
    """Return for each test image (testset, key) the share of the models in `files` that classify it correctly.

    `files` are tables of predictions; over all classes.
    """
    columns = ["testset", "classes", "key", "label", "prediction"]
    tables = [pd.read_parquet(file, columns=columns).query("classes == 'all'") for file in files]
    table = pd.concat(tables, ignore_index=True)
    table["correct"] = (table["label"] == table["prediction"]).astype(np.float64)
    return table.groupby(IMAGE, sort=False)["correct"].mean().reset_index()


def accuracy_by_similarity(
    images: pd.DataFrame, correct: pd.DataFrame, edges: Mapping[str, np.ndarray], confidence: float
) -> pd.DataFrame:
    """Return the accuracy (`BIN_COLUMNS`) in each bin of similarity that has images.

    `images` has the similarity of each image, `correct` the share of models that classify it correctly, and `edges` the
    inner edges of bins by test set. `similarity` is the mean of the images in the bin, and `low` and `high` are the lowest
    and highest. Intervals are those of Clopper and Pearson for the images of the bin, each counted once. Several models
    that disagree vary less than that, so the intervals are then a little too wide.
    """
    joined = correct.merge(images, on=IMAGE, how="inner")
    rows = []
    for testset, own in joined.groupby("testset", sort=False):
        place = np.searchsorted(edges[testset], own["similarity"], side="left")
        for number, inside in own.groupby(place):
            accuracy, similarity = float(inside["correct"].mean()), inside["similarity"]
            low, high = clopper_pearson(accuracy * len(inside), len(inside), confidence)
            values = [testset, number, similarity.min(), similarity.max(), len(inside), similarity.mean()]
            rows.append([*values, accuracy, float(low), float(high)])
    return pd.DataFrame(rows, columns=BIN_COLUMNS)
