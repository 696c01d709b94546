"""Fit the trend of every pool, and measure every model against the baseline's trend.

Reads `results/tables/evaluations.csv`; writes `trends.csv`, one row per pool, architecture, shift and classes, and
`effective_robustness.csv`, one row per model, shift and classes. What cannot be computed is an empty cell.
"""

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.log import log_to
from testbed.statistics import Estimate, Line, clopper_pearson, effective_robustness
from testbed.tables import pair_with_reference, read_evaluations
from testbed.trends import (
    Settings,
    TrendError,
    bootstrap_trend,
    fit_pool_trends,
    line_of,
)

if TYPE_CHECKING:
    from snakemake.script import snakemake

log = logging.getLogger(__name__)

ROBUSTNESS_COLUMNS = [
    *["model", "testset", "classes", "scale", "baseline", "pool", "architecture", "size", "seed"],
    *["reference_value", "value", "effective_robustness", "effective_robustness_low", "effective_robustness_high"],
]


def fit_trends(evaluations: pd.DataFrame, reference: str, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `trends` and `effective_robustness` of `evaluations` (see `testbed.tables.read_evaluations`).

    Raises `EvaluationsError` if a model lacks its evaluation on `reference`, and `TrendError` if the baseline's pool
    has no models. With the baseline `none` the second table has no rows.
    """
    pairs = pair_with_reference(evaluations, reference)
    trends = fit_pool_trends(pairs, settings)
    if settings.baseline_pool is None:
        return trends, pd.DataFrame(columns=ROBUSTNESS_COLUMNS)
    return trends, measure_robustness(pairs, trends, settings)


def measure_robustness(pairs: pd.DataFrame, trends: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """One row of `ROBUSTNESS_COLUMNS` per row of `pairs`, in percentage points, with `line_confidence` intervals.

    A model is measured against the baseline's trend of its own architecture, on the same shift and classes; where there
    is none, its cells are NaN and a warning says so. The baseline's own models are in the table too: there the value is
    their residual.
    """
    own = pairs[pairs["pool"] == settings.baseline_pool]
    if own.empty:
        known = ", ".join(pairs["pool"].unique())
        raise TrendError(f"baseline {settings.baseline!r}: no model of this pool was evaluated, only of {known}")
    parts = [
        _measure(points, own[_same(own, key)], trends[_same(trends, key)], settings)
        for key, points in pairs.groupby(["architecture", "testset", "classes"], sort=False)
    ]
    return pd.concat(parts).sort_index()[ROBUSTNESS_COLUMNS]


def _same(table: pd.DataFrame, key: tuple[str, str, str]) -> pd.Series:
    return (table[["architecture", "testset", "classes"]] == list(key)).all(axis=1)


def _measure(points: pd.DataFrame, own: pd.DataFrame, trends: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    trend = trends[trends["pool"] == settings.baseline_pool]
    line = line_of(trend.iloc[0]) if len(trend) else Line(0, np.nan, np.nan, np.nan)
    lines = bootstrap_trend(own, settings) if len(trend) else np.empty((0, 2))
    _tell_limits(points, trend, line, settings)
    shifted = clopper_pearson(points["correct"], points["n"], settings.line_confidence)
    reference = clopper_pearson(points["reference_correct"], points["reference_n"], settings.line_confidence)
    measured = [
        effective_robustness(Estimate(*y), Estimate(*x), line, lines, settings.scale, settings.line_confidence)
        for y, x in zip(
            zip(points["value"], *shifted, strict=True),
            zip(points["reference_value"], *reference, strict=True),
            strict=True,
        )
    ]
    names = ROBUSTNESS_COLUMNS[-3:]
    columns = pd.DataFrame(measured, columns=names, index=points.index)
    return points.assign(scale=settings.scale, baseline=settings.baseline).join(columns)


def _tell_limits(points: pd.DataFrame, trend: pd.DataFrame, line: Line, settings: Settings) -> None:
    first = points.iloc[0]
    where = f"{first['testset']}, classes {first['classes']}, {first['architecture']}"
    if np.isnan(line.slope):
        log.warning("%s: %s has no line here, so effective robustness is empty", where, settings.baseline)
        return
    low, high = trend.iloc[0]["reference_min"], trend.iloc[0]["reference_max"]
    beyond = points[~points["reference_value"].between(low, high)]
    if len(beyond):
        log.warning(
            "%s: %d of %d models lie outside of the baseline's reference accuracies (%.3f to %.3f), where its line is "
            "extrapolated: %s",
            *(where, len(beyond), len(points), low, high, ", ".join(beyond["model"])),
        )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    trends, robustness = fit_trends(
        read_evaluations(snakemake.input.evaluations),
        snakemake.params.reference,
        Settings(**snakemake.params.statistics),
    )
    trends.to_csv(snakemake.output.trends, index=False)
    robustness.to_csv(snakemake.output.effective_robustness, index=False)
