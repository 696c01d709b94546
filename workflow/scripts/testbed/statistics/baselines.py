"""The lines of standard ImageNet models, against which effective robustness is measured (Taori et al. 2020)."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.statistics.lines import BOOTSTRAP_SEED, Line, bootstrap_lines, fit_line, percentile_interval
from testbed.statistics.scales import SCALES, transform

log = logging.getLogger(__name__)

STANDARD_BASELINES = ("standard", "standard_extended")
BASELINE_KEY = ["baseline", "testset", "classes", "scale"]
BASELINE_COLUMNS = [
    *BASELINE_KEY,
    *["n", "slope", "slope_low", "slope_high", "intercept", "intercept_low", "intercept_high", "r2"],
    *["slope_variance", "intercept_variance", "covariance", "reference_min", "reference_max", "origin"],
]
REFERENCE = "imagenet"
REFERENCE_COLUMN = "val"
SHIFT_COLUMNS = {
    "imagenet-v2": "imagenetv2-matched-frequency-format-val",
    "imagenet-r": "imagenet-r",
    "imagenet-sketch": "imagenet-sketch",
    "objectnet": "objectnet-1.0-beta",
}
"""The testbed's name of each shift. ImageNet-A is missing: its images were chosen so that a ResNet-50 fails on them, and
the testbed fits two connected lines to it."""

SUBSETS = {"imagenet-r": ("val-on-imagenet-r-classes", 0.75), "objectnet": ("val-on-objectnet-classes", 0.55)}
"""For shifts with fewer classes: the testbed's column of the reference accuracy on them, and its lower limit for standard
models."""

MINIMUM_STANDARD, MINIMUM_LOW = 0.55, 0.01
EXCLUDED_STANDARD, EXCLUDED_LOW = "aws|batch64|subsample", "classes"
"""Substrings in the names of models that the testbed excludes from its line, such as those trained on fewer classes."""


class BaselineError(ValueError):
    """A baseline does not exist, or its table is wrong."""


@dataclass(frozen=True)
class Baseline:
    """A line, its bootstrap `lines` (kept, 2), and the range of reference accuracies (fractions) that it was fitted to."""

    line: Line
    lines: NDArray[np.float64]
    reference_min: float
    reference_max: float


NO_BASELINE = Baseline(Line(0, np.nan, np.nan, np.nan), np.empty((0, 2)), np.nan, np.nan)


def standard_points(
    results: pd.DataFrame, types: pd.DataFrame, baseline: str, testset: str, classes: str = "all"
) -> pd.DataFrame:
    """`model`, `reference_value` and `value` (fractions) of the models of a baseline, in the order of `results`.

    `results` is the testbed's table (percent, a column per setting), `types` has `model` and `type` (`standard` or
    `low_accuracy`). `standard` has the standard models with a reference accuracy of at least 55 %, to which the testbed
    fits its line; `standard_extended` adds its low-accuracy models above 1 %. If `classes` is a shift and not `all`, the
    reference accuracy is that on the shift's classes, with the testbed's threshold for it.

    Raises `BaselineError` for an unknown baseline, shift or classes, and for a table that lacks a column.
    """
    if baseline not in STANDARD_BASELINES or testset not in SHIFT_COLUMNS or classes not in ("all", testset):
        raise BaselineError(f"there is no baseline {baseline!r} on {testset!r} with the classes {classes!r}")
    column, minimum = (REFERENCE_COLUMN, MINIMUM_STANDARD) if classes == "all" else SUBSETS[testset]
    missing = [name for name in ("model", REFERENCE_COLUMN, column, SHIFT_COLUMNS[testset]) if name not in results]
    if missing:
        raise BaselineError(f"the testbed's table lacks the column {', '.join(missing)}; retrieve it again")
    kind = results["model"].map(types.set_index("model")["type"])
    name = results["model"].str.lower()
    reference, shifted = results[column] / 100, results[SHIFT_COLUMNS[testset]] / 100
    fits = (kind == "standard") & ~name.str.contains(EXCLUDED_STANDARD) & (reference >= minimum)
    if baseline == "standard_extended":
        low = (kind == "low_accuracy") & ~name.str.contains(EXCLUDED_LOW)
        fits |= low & (results[REFERENCE_COLUMN] / 100 > MINIMUM_LOW)
    fits &= reference.notna() & (shifted > 0) & (shifted < 1)
    points = pd.DataFrame({"model": results["model"], "reference_value": reference, "value": shifted})
    return points[fits].reset_index(drop=True)


def fit_standard(
    results: pd.DataFrame,
    types: pd.DataFrame,
    origin: str,
    resamples: int = 1000,
    seed: int = BOOTSTRAP_SEED,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """One row of `BASELINE_COLUMNS` per baseline, shift, classes and scale; `origin` is the source of `results`.

    Slopes and intercepts have percentile intervals of the pairs bootstrap. Its variances and covariance are there too;
    `find_baseline` draws the lines of a band from them.
    """
    rows = []
    for baseline in STANDARD_BASELINES:
        for testset in SHIFT_COLUMNS:
            for classes in ["all", *([testset] if testset in SUBSETS else [])]:
                points = standard_points(results, types, baseline, testset, classes)
                for scale in SCALES:
                    x, y = transform(points["reference_value"], scale), transform(points["value"], scale)
                    line, lines = fit_line(x, y), bootstrap_lines(x, y, resamples, seed)
                    low, high = percentile_interval(lines, confidence)
                    covariance = np.cov(lines.T)
                    limits = [points["reference_value"].min(), points["reference_value"].max()]
                    rows.append(
                        [baseline, testset, classes, scale, line.n]
                        + [line.slope, low[0], high[0], line.intercept, low[1], high[1], line.r2]
                        + [covariance[0, 0], covariance[1, 1], covariance[0, 1], *limits, origin]
                    )
    return pd.DataFrame(rows, columns=BASELINE_COLUMNS)


def read_baselines(path: Path | str) -> pd.DataFrame:
    """The table of baselines in the CSV file at `path`; raises `BaselineError` if it lacks a column."""
    table = pd.read_csv(path, encoding="utf-8")
    missing = [column for column in BASELINE_COLUMNS if column not in table.columns]
    if missing:
        raise BaselineError(f"{path}: lacks the column {', '.join(missing)}; restore the committed file")
    return table


def find_baseline(
    table: pd.DataFrame,
    baseline: str,
    testset: str,
    classes: str,
    scale: str,
    resamples: int = 1000,
    seed: int = BOOTSTRAP_SEED,
) -> Baseline:
    """The baseline in one row of `table`, with `resamples` random lines for its band; `NO_BASELINE` if there is no row.

    The table has not the bootstrap lines but their variances and covariance. With 80 models and more their distribution is
    nearly normal, so the lines are drawn from a normal distribution. This moves the limits of bands by at most a tenth of
    their width.
    """
    key = dict(zip(BASELINE_KEY, (baseline, testset, classes, scale), strict=True))
    rows = table[np.logical_and.reduce([table[name] == value for name, value in key.items()])]
    if rows.empty:
        return NO_BASELINE
    row = rows.iloc[0]
    line = Line(int(row["n"]), float(row["slope"]), float(row["intercept"]), float(row["r2"]))
    covariance = [[row["slope_variance"], row["covariance"]], [row["covariance"], row["intercept_variance"]]]
    lines = np.random.default_rng(seed).multivariate_normal([line.slope, line.intercept], covariance, resamples)
    return Baseline(line, lines, float(row["reference_min"]), float(row["reference_max"]))
