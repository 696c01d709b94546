"""Power laws of the error as a function of the number of training samples, error = coefficient * samples ^ -exponent.

Cherti et al. 2023 (arXiv 2212.07143) fit this form to CLIP's zero-shot errors as a function of compute: a straight line of
logarithms, without an irreducible error. It summarises the trained sizes; beyond them it is an extrapolation.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.statistics.lines import Line, bootstrap_lines, fit_line, percentile_interval
from testbed.statistics.trends import Settings

SCALING_KEY = ["pool", "architecture", "testset", "classes"]
SCALING_COLUMNS = [
    *[*SCALING_KEY, "n", "left_out", "exponent", "exponent_low", "exponent_high", "coefficient", "r2"],
    *["size_min", "size_max", "extrapolated_size", "extrapolated", "extrapolated_low", "extrapolated_high"],
]
BEYOND = 2
"""Largest extrapolated size, as a multiple of the largest trainset."""


def fit_scaling(evaluations: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """One row of `SCALING_COLUMNS` per pool, architecture, test set and classes of `evaluations`.

    `exponent` has the interval of the pairs bootstrap over models. `extrapolated` is the predicted accuracy (fraction) at
    `extrapolated_size`, twice the largest trainset, with the interval of the line. `left_out` counts models with an error
    of 0, which has no logarithm. Models of unknown size (0) are ignored. Values that need more models are NaN.
    """
    known = evaluations[evaluations["size"] > 0]
    groups = known.groupby(SCALING_KEY, sort=False)
    rows = [dict(zip(SCALING_KEY, key, strict=True)) | _fit(points, settings) for key, points in groups]
    return pd.DataFrame(rows, columns=SCALING_COLUMNS)


def power_law(points: pd.DataFrame, settings: Settings) -> tuple[Line, NDArray[np.float64]]:
    """The line of log(error) on log(samples) and its bootstrap lines (kept, 2), independent of the order of `points`."""
    fitted = points[points["value"] < 1].sort_values(["size", "seed"])
    x, y = np.log(fitted["size"].to_numpy(float)), np.log(1 - fitted["value"].to_numpy(float))
    return fit_line(x, y), bootstrap_lines(x, y, settings.bootstrap, settings.bootstrap_seed)


def accuracy_at(line: Line, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracies (fractions) that a power law predicts for `sizes` samples."""
    return 1 - np.exp(line.at(np.log(sizes)))


def accuracy_band(
    lines: NDArray[np.float64], sizes: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limits of the band of `accuracy_at`, from bootstrap `lines` (kept, 2); NaN without lines."""
    return percentile_interval(1 - np.exp(lines[:, :1] * np.log(sizes) + lines[:, 1:]), confidence)


def _fit(points: pd.DataFrame, settings: Settings) -> dict[str, object]:
    line, lines = power_law(points, settings)
    low, high = percentile_interval(-lines[:, 0], settings.line_confidence)
    beyond = np.array([BEYOND * points["size"].max()], dtype=float)
    band = accuracy_band(lines, beyond, settings.line_confidence)
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
        "extrapolated_low": band[0][0],
        "extrapolated_high": band[1][0],
    }
