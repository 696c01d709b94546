"""Power laws of the error as a function of the number of training samples, error = coefficient * samples ^ -exponent.

Cherti et al. 2023 (arXiv 2212.07143) fit this form to CLIP's zero-shot errors as a function of compute: a straight line of
logarithms, without an irreducible error. It summarises the trained sizes. Beyond them it is an extrapolation, without an
interval: errors of models say nothing about whether the law still holds there.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.statistics.lines import Line, bootstrap_lines, fit_line, percentile_interval
from testbed.statistics.settings import Settings

SCALING_KEY = ["pool", "architecture", "testset", "classes"]
SCALING_COLUMNS = [
    *[*SCALING_KEY, "n", "left_out", "exponent", "exponent_low", "exponent_high", "coefficient", "r2"],
    *["size_min", "size_max", "extrapolated_size", "extrapolated"],
]
BEYOND = 2
"""Largest extrapolated size, as a multiple of the largest trainset."""


def fit_scaling(evaluations: pd.DataFrame, settings: Settings, ensembles: Collection[str] = ()) -> pd.DataFrame:
    """One row of `SCALING_COLUMNS` per pool, architecture, test set and classes of `evaluations`.

    `exponent` has the interval of the pairs bootstrap over models. `extrapolated` is the predicted accuracy (fraction) at
    `extrapolated_size`, twice the largest trainset. `left_out` counts models with an error of 0, which has no logarithm.
    Values that need more models are NaN. Models of unknown size (0) are ignored, and `ensembles`, which saw the samples of
    all their members.
    """
    known = trained_on_size(evaluations, ensembles)
    groups = known.groupby(SCALING_KEY, sort=False)
    rows = [dict(zip(SCALING_KEY, key, strict=True)) | _fit(points, settings) for key, points in groups]
    return pd.DataFrame(rows, columns=SCALING_COLUMNS)


def trained_on_size(evaluations: pd.DataFrame, ensembles: Collection[str]) -> pd.DataFrame:
    """The evaluations of models that saw as many samples as their `size` says: of a known size, and no ensemble."""
    return evaluations[(evaluations["size"] > 0) & ~evaluations["pool"].isin([*ensembles])]


def power_law(points: pd.DataFrame) -> Line:
    """The line of log(error) on log(samples)."""
    return fit_line(*_logarithms(points))


def accuracy_at(line: Line, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracies (fractions) that a power law predicts for `sizes` samples."""
    return 1 - np.exp(line.at(np.log(sizes)))


def _logarithms(points: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of samples and errors (n,), in an order that does not depend on that of `points`."""
    fitted = points[points["value"] < 1].sort_values(["size", "seed"])
    return np.log(fitted["size"].to_numpy(float)), np.log(1 - fitted["value"].to_numpy(float))


def _fit(points: pd.DataFrame, settings: Settings) -> dict[str, object]:
    line = power_law(points)
    lines = bootstrap_lines(*_logarithms(points), settings.bootstrap, settings.bootstrap_seed)
    low, high = percentile_interval(-lines[:, 0], settings.line_confidence)
    beyond = np.array([BEYOND * points["size"].max()], dtype=float)
    return {
        "n": line.n,
        "left_out": len(points) - line.n,
        "exponent": -line.slope,
        "exponent_low": float(low),
        "exponent_high": float(high),
        "coefficient": float(np.exp(line.intercept)),
        "r2": line.r2,
        "size_min": points["size"].min(),
        "size_max": points["size"].max(),
        "extrapolated_size": int(beyond[0]),
        "extrapolated": accuracy_at(line, beyond)[0],
    }
