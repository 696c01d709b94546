"""The measures of captions and images that are counted in histograms with fixed edges, so that pools can be compared."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

QUANTILES = {"low": 0.05, "median": 0.5, "high": 0.95}


class Measure(NamedTuple):
    """A measure: its title, its unit, the edges of its bins, and whether these are equally wide on a logarithmic axis.

    Bin i has the values v with edges[i] <= v < edges[i + 1]. There is one more bin at each end.
    """

    title: str
    unit: str
    edges: np.ndarray
    is_logarithmic: bool = False


def octaves(first: int, last: int, steps: int) -> np.ndarray:
    """Edges from 2^first to 2^last with `steps` bins for each doubling."""
    return 2.0 ** (np.arange(first * steps, last * steps + 1) / steps)


RATIOS = 2.0 ** ((np.arange(-15, 16) + 0.5) / 5)
"""A square, and each ratio of 2 or 1/2, is in the middle of its bin."""

MEASURES: Mapping[str, Measure] = {
    "words": Measure("Words of a caption", "words", np.arange(0.0, 61.0)),
    "characters": Measure("Characters of a caption", "characters", np.arange(0.0, 401.0, 5)),
    "side": Measure("Shorter side of the image", "pixels", octaves(3, 14, 3), True),
    "aspect_ratio": Measure("Aspect ratio of the image", "width / height", RATIOS, True),
    "bytes": Measure("Size of the stored file", "bytes", octaves(8, 24, 3), True),
}
"""Captions, and images as they were fetched, of all samples; `bytes` of the decoded sample of images."""


def count_bins(name: str, values: ArrayLike) -> np.ndarray:
    """Return how many of `values` are in each bin (B + 2,): those below all edges come first, those above come last.

    NaN, which stands for an unknown value, is not counted.
    """
    edges = MEASURES[name].edges
    values = np.asarray(values, np.float64)
    places = np.searchsorted(edges, values[~np.isnan(values)], side="right")
    return np.bincount(places, minlength=len(edges) + 1)


def quantiles_of(values: ArrayLike) -> dict[str, float] | None:
    """Return the `QUANTILES` of `values` without NaN, or None if there are none."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    found = np.quantile(values, list(QUANTILES.values()))
    return {name: round(float(value), 4) for name, value in zip(QUANTILES, found, strict=True)}


def shares_of(counts: Sequence[int]) -> np.ndarray:
    """Return `counts` as shares of their sum; zeros if the sum is zero."""
    counts = np.asarray(counts, np.float64)
    return counts / max(1.0, counts.sum())
