"""Histograms of CLIP scores, in bins that all of them share."""

import numpy as np

BINS = 400
EDGES = np.linspace(-1, 1, BINS + 1)


def histogram_of(scores: np.ndarray) -> np.ndarray:
    """How many of `scores` (cosine similarities; rounding may take them a little above 1) are in each bin."""
    return np.histogram(np.clip(scores, -1, 1), EDGES)[0]
