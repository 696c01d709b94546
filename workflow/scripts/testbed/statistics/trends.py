"""Trends: the least-squares lines of the models of one pool and architecture on one shift, as a table."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from testbed.statistics.intervals import Intervals, name_of
from testbed.statistics.lines import Line, fit_line
from testbed.statistics.settings import Settings, TrendError
from testbed.statistics.tables import on_scale, scaled_points

log = logging.getLogger(__name__)

TREND_KEY = ["pool", "architecture", "testset", "classes"]
TREND_COLUMNS = [
    *[*TREND_KEY, "scale", "n", "left_out"],
    *["slope", "slope_low", "slope_high", "intercept", "intercept_low", "intercept_high", "r2"],
    *["reference_min", "reference_max"],
]


def fit_pool_trends(pairs: pd.DataFrame, settings: Settings, intervals: Intervals) -> pd.DataFrame:
    """One row of `TREND_COLUMNS` per pool, architecture, testset and classes of `pairs` (see `pair_with_reference`).

    `intervals` (see `testbed.statistics.intervals.intervals_of`) has those of slope and intercept.

    `n` counts the models in the fit. `left_out` counts those with an accuracy of exactly 0 or 1, which has no finite logit
    or probit; they are logged. Slopes and intercepts are on `settings.scale`. `reference_min` and `reference_max`
    (fractions) are the range of the models in the fit. The line is NaN for fewer than two distinct reference accuracies.
    """
    groups = pairs.groupby(TREND_KEY, sort=False)
    rows = [dict(zip(TREND_KEY, key, strict=True)) | _trend(points, settings, intervals) for key, points in groups]
    return pd.DataFrame(rows, columns=TREND_COLUMNS)


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


def _trend(points: pd.DataFrame, settings: Settings, intervals: Intervals) -> dict[str, object]:
    fitted = points[on_scale(points, settings.scale)]
    _warn_left_out(points, fitted, settings.scale)
    line = fit_line(*scaled_points(points, settings.scale))
    low, high = intervals.line_limits(points)
    _log_incomplete(points, line, low[0])
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


def _warn_left_out(points: pd.DataFrame, fitted: pd.DataFrame, scale: str) -> None:
    for _, row in points.drop(fitted.index).iterrows():
        accuracies = f"reference {row['reference_value']:g}, {row['testset']} {row['value']:g}"
        log.warning("model %s: left out of its trend, 0 and 1 have no %s value (%s)", row["model"], scale, accuracies)


def _log_incomplete(points: pd.DataFrame, line: Line, slope_low: float) -> None:
    trend = name_of(points)
    if np.isnan(line.slope):
        log.warning("%s: no line, %d models have fewer than two distinct reference accuracies", trend, line.n)
    elif np.isnan(slope_low):
        log.warning("%s: no interval, there are too few models to tell how much they vary", trend)
