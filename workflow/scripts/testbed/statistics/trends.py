"""Trends: the least-squares lines of the models of one pool and architecture on one shift, as a table."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.statistics.baselines import STANDARD_BASELINES
from testbed.statistics.lines import BOOTSTRAP_SEED, Line, bootstrap_lines, fit_line, percentile_interval
from testbed.statistics.scales import SCALES, transform

log = logging.getLogger(__name__)

TREND_KEY = ["pool", "architecture", "testset", "classes"]
TREND_COLUMNS = [
    *[*TREND_KEY, "scale", "n", "left_out"],
    *["slope", "slope_low", "slope_high", "intercept", "intercept_low", "intercept_high", "r2"],
    *["reference_min", "reference_max"],
]
POOL_BASELINE = "pool:"
CLASSES = ("all", "shift")


class TrendError(ValueError):
    """A setting of the statistics is unknown, or a trend does not exist."""


@dataclass(frozen=True)
class Settings:
    """The experiment's `statistics`: scale, baseline, classes, confidences, bootstrap.

    `baseline` is one of `STANDARD_BASELINES`, `pool:<name>` or `none`. `classes` defines the x axis of a panel for a shift
    with fewer classes than the reference: the accuracy on `all` classes, or on those of the `shift`. Pools are compared at
    the reference accuracy `compare_at` (fraction); 0 means the midpoint of the range that they share. Differences of up to
    `margin` (percentage points) count as none. `point_confidence` is that of the interval of one accuracy,
    `line_confidence` that of slopes, intercepts, bands and effective robustness. The defaults are those of
    modestyachts/imagenet-testbed (Taori et al. 2020).
    """

    scale: str = "logit"
    baseline: str = "none"
    classes: str = "all"
    compare_at: float = 0.0
    margin: float = 1.0
    point_confidence: float = 0.995
    line_confidence: float = 0.95
    bootstrap: int = 1000
    bootstrap_seed: int = BOOTSTRAP_SEED

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise TrendError(f"statistics: scale {self.scale!r} is unknown; use one of {', '.join(SCALES)}")
        known = ["none", *STANDARD_BASELINES]
        if self.baseline not in known and not self.baseline_pool:
            raise TrendError(
                f"statistics: baseline {self.baseline!r} is unknown; use {', '.join(known)} or pool:<name of a pool>"
            )
        if self.classes not in CLASSES:
            raise TrendError(f"statistics: classes {self.classes!r} is unknown; use one of {', '.join(CLASSES)}")

    @property
    def baseline_pool(self) -> str | None:
        """Name of the pool whose trend is the baseline, or None."""
        return self.baseline.removeprefix(POOL_BASELINE) if self.baseline.startswith(POOL_BASELINE) else None


def fit_pool_trends(pairs: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """One row of `TREND_COLUMNS` per pool, architecture, testset and classes of `pairs` (see `pair_with_reference`).

    `n` counts the models in the fit. `left_out` counts those with an accuracy of exactly 0 or 1, which has no finite logit
    or probit; they are logged. Slopes and intercepts are on `settings.scale`. `reference_min` and `reference_max`
    (fractions) are the range of the models in the fit. The line is NaN for fewer than two distinct reference accuracies,
    its interval for fewer than three distinct points.
    """
    groups = pairs.groupby(TREND_KEY, sort=False)
    rows = [dict(zip(TREND_KEY, key, strict=True)) | _trend(points, settings) for key, points in groups]
    return pd.DataFrame(rows, columns=TREND_COLUMNS)


def on_scale(points: pd.DataFrame, scale: str) -> NDArray[np.bool_]:
    """Whether each row of `points` has finite scaled accuracies on both test sets, (n,)."""
    scaled = transform(points[["reference_value", "value"]], scale)
    return np.isfinite(scaled).all(axis=1)


def bootstrap_trend(points: pd.DataFrame, settings: Settings) -> NDArray[np.float64]:
    """Slopes and intercepts (kept, 2) of resampled models of one trend; equal for equal input."""
    return bootstrap_lines(*scaled_points(points, settings.scale), settings.bootstrap, settings.bootstrap_seed)


def read_trends(path: Path | str) -> pd.DataFrame:
    """The table of trends in the CSV file at `path`; raises `TrendError` if it lacks a column."""
    # a pool may be called "null"; only an empty cell is a missing value
    table = pd.read_csv(
        path, dtype=dict.fromkeys(TREND_KEY, str), keep_default_na=False, na_values=[""], encoding="utf-8"
    )
    missing = [column for column in TREND_COLUMNS if column not in table.columns]
    if missing:
        raise TrendError(f"{path}: lacks the column {', '.join(missing)}; run fit_trends again")
    return table


def line_of(trend: pd.Series) -> Line:
    """The line in one row of the table of trends."""
    return Line(int(trend["n"]), float(trend["slope"]), float(trend["intercept"]), float(trend["r2"]))


def _trend(points: pd.DataFrame, settings: Settings) -> dict[str, object]:
    fitted = points[on_scale(points, settings.scale)]
    _warn_left_out(points, fitted, settings.scale)
    line, lines = fit_line(*scaled_points(points, settings.scale)), bootstrap_trend(points, settings)
    _log_incomplete(points, line, lines, settings)
    low, high = percentile_interval(lines, settings.line_confidence)
    return {
        "scale": settings.scale,
        "n": line.n,
        "left_out": len(points) - line.n,
        "slope": line.slope,
        "slope_low": low[0],
        "slope_high": high[0],
        "intercept": line.intercept,
        "intercept_low": low[1],
        "intercept_high": high[1],
        "r2": line.r2,
        "reference_min": fitted["reference_value"].min(),
        "reference_max": fitted["reference_value"].max(),
    }


def scaled_points(points: pd.DataFrame, scale: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scaled reference and shifted accuracies (n,) of the models in `points` for which both are finite."""
    fitted = points[on_scale(points, scale)]
    return transform(fitted["reference_value"], scale), transform(fitted["value"], scale)


def _warn_left_out(points: pd.DataFrame, fitted: pd.DataFrame, scale: str) -> None:
    for _, row in points.drop(fitted.index).iterrows():
        accuracies = f"reference {row['reference_value']:g}, {row['testset']} {row['value']:g}"
        log.warning("model %s: left out of its trend, 0 and 1 have no %s value (%s)", row["model"], scale, accuracies)


def _log_incomplete(points: pd.DataFrame, line: Line, lines: NDArray[np.float64], settings: Settings) -> None:
    row = points.iloc[0]
    trend = f"pool {row['pool']}, {row['architecture']}, {row['testset']}, classes {row['classes']}"
    if np.isnan(line.slope):
        log.warning("%s: no line, %d models have fewer than two distinct reference accuracies", trend, line.n)
    elif len(lines) == 0:
        log.warning("%s: no interval, %d models have fewer than three distinct points", trend, line.n)
    elif len(lines) < settings.bootstrap:
        skipped = settings.bootstrap - len(lines)
        log.info("%s: %d of %d resamples have no line", trend, skipped, settings.bootstrap)
