"""Accuracy of each class over how often captions name it: the log-linear relation of Udandarao et al. (2024).

"No Zero-Shot Without Exponential Data" (arXiv 2404.04125) finds that the accuracy of a concept grows linearly with the
logarithm of its frequency in the pre-training data. Here a concept is a class of the reference, and its frequency is the
number of captions of the trainset that name it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

FEWEST = 4
"""Fewest named classes of a fit: its intervals need some degrees of freedom."""


class LogLinear(NamedTuple):
    """The least-squares line of accuracy (fraction) over log10 of the number of captions, and the correlation.

    `slope` is the accuracy that tenfold captions add. Intervals take classes as units: Student's for the slope, Fisher's z
    for the correlation. NaN where fewer than `FEWEST` classes are named, or all equally often.
    """

    classes: int
    unnamed: int
    slope: float = np.nan
    slope_low: float = np.nan
    slope_high: float = np.nan
    intercept: float = np.nan
    correlation: float = np.nan
    correlation_low: float = np.nan
    correlation_high: float = np.nan


def fit_log_linear(named: NDArray, accuracy: NDArray, confidence: float) -> LogLinear:
    """Fit `accuracy` (C,) over log10 of `named` (C,), the number of captions. Classes that none names are counted only."""
    named, accuracy = np.asarray(named, np.float64), np.asarray(accuracy, np.float64)
    chosen = named > 0
    counts = LogLinear(int(chosen.sum()), int((~chosen).sum()))
    x, y = np.log10(named[chosen]), accuracy[chosen]
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return counts
    fit = stats.linregress(x, y)
    reach = fit.stderr * stats.t.ppf(0.5 + confidence / 2, len(x) - 2)
    z = np.arctanh(np.clip(fit.rvalue, -1 + 1e-12, 1 - 1e-12))
    margin = stats.norm.ppf(0.5 + confidence / 2) / np.sqrt(len(x) - 3)
    return counts._replace(
        slope=float(fit.slope),
        slope_low=float(fit.slope - reach),
        slope_high=float(fit.slope + reach),
        intercept=float(fit.intercept),
        correlation=float(fit.rvalue),
        correlation_low=float(np.tanh(z - margin)),
        correlation_high=float(np.tanh(z + margin)),
    )


def class_accuracies(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return n and correct (both sums over models) by test set and label, of predictions over all classes."""
    whole = predictions[predictions["classes"] == "all"]
    correct = (whole["prediction"] == whole["label"]).astype(np.int64)
    grouped = whole.assign(correct=correct).groupby(["testset", "label"], sort=True)["correct"]
    return grouped.agg(n="size", correct="sum").reset_index()


def labels_in_reference(names: Sequence[str], reference: Sequence[str]) -> list[int | None]:
    """Return for each class of a test set its label in the reference: by place if the lists are equal, else by name.

    None for a name that the reference does not have, or has twice.
    """
    if list(names) == list(reference):
        return list(range(len(names)))
    places = {name: label for label, name in enumerate(reference) if list(reference).count(name) == 1}
    return [places.get(name) for name in names]
