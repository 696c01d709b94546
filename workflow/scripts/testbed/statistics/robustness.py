"""Effective robustness of every model, against a pool's trend or against standard ImageNet models."""

import logging
from collections.abc import Callable

import numpy as np
import pandas as pd

from testbed.statistics.baselines import NO_BASELINE, Baseline, find_baseline
from testbed.statistics.intervals import Intervals, Parts, bootstrap_trend
from testbed.statistics.lines import Estimate, clopper_pearson, effective_robustness
from testbed.statistics.settings import Settings, TrendError
from testbed.statistics.trends import line_of

log = logging.getLogger(__name__)

ROBUSTNESS_COLUMNS = [
    *["model", "testset", "classes", "scale", "baseline", "pool", "architecture", "size", "seed"],
    *["reference_value", "value", "effective_robustness", "effective_robustness_low", "effective_robustness_high"],
]

BaselineOf = Callable[[str, str, str], Baseline]
"""A function that returns the baseline of an architecture on a test set and classes."""


def pool_baseline(pairs: pd.DataFrame, trends: pd.DataFrame, settings: Settings) -> BaselineOf:
    """Baselines from the trends of the pool that `settings` name, one for each architecture.

    Raises `TrendError` if no model of this pool was evaluated.
    """
    own = pairs[pairs["pool"] == settings.baseline_pool]
    if own.empty:
        known = ", ".join(pairs["pool"].unique())
        raise TrendError(f"baseline {settings.baseline!r}: no model of this pool was evaluated, only of {known}")

    def find(architecture: str, testset: str, classes: str) -> Baseline:
        key = [settings.baseline_pool, architecture, testset, classes]
        rows = trends[(trends[["pool", "architecture", "testset", "classes"]] == key).all(axis=1)]
        points = own[(own[["pool", "architecture", "testset", "classes"]] == key).all(axis=1)]
        if rows.empty:
            return NO_BASELINE
        trend = rows.iloc[0]
        lines = bootstrap_trend(points, settings)
        return Baseline(line_of(trend), lines, trend["reference_min"], trend["reference_max"])

    return find


def standard_baseline(baselines: pd.DataFrame, settings: Settings) -> BaselineOf:
    """Baselines from the table of `read_baselines`, the same for all architectures."""

    def find(architecture: str, testset: str, classes: str) -> Baseline:
        return find_baseline(
            baselines, settings.baseline, testset, classes, settings.scale, settings.bootstrap, settings.bootstrap_seed
        )

    return find


def measure_robustness(
    pairs: pd.DataFrame, baseline_of: BaselineOf, settings: Settings, intervals: Intervals | None = None
) -> pd.DataFrame:
    """One row of `ROBUSTNESS_COLUMNS` per row of `pairs`, in percentage points, with `line_confidence` intervals.

    If the baseline is the trend of a pool, `intervals` (see `testbed.statistics.intervals`) may know the interval of a
    model better: the pool's models were evaluated on the same images.

    Without a baseline, and for a reference accuracy of exactly 0 or 1, cells are NaN and a warning is logged. The
    baseline's own models are included; their value is their residual.
    """
    parts = [
        _measure(points, baseline_of(*key), settings, intervals)
        for key, points in pairs.groupby(["architecture", "testset", "classes"], sort=False)
    ]
    table = pd.concat(parts).sort_index() if parts else pairs
    return table.reindex(columns=ROBUSTNESS_COLUMNS)


def _measure(points: pd.DataFrame, baseline: Baseline, settings: Settings, intervals: Intervals | None) -> pd.DataFrame:
    _warn_extrapolation(points, baseline, settings)
    measured = None
    if isinstance(intervals, Parts) and settings.baseline_pool:
        measured = intervals.effective_robustness(points, settings.baseline_pool)
    if measured is None:
        shifted = clopper_pearson(points["correct"], points["n"], settings.line_confidence)
        reference = clopper_pearson(points["reference_correct"], points["reference_n"], settings.line_confidence)
        measured = [
            effective_robustness(
                *(Estimate(*y), Estimate(*x)), baseline.line, baseline.lines, settings.scale, settings.line_confidence
            )
            for y, x in zip(
                zip(points["value"], *shifted, strict=True),
                zip(points["reference_value"], *reference, strict=True),
                strict=True,
            )
        ]
    columns = pd.DataFrame(measured, columns=ROBUSTNESS_COLUMNS[-3:], index=points.index)
    return points.assign(scale=settings.scale, baseline=settings.baseline).join(columns)


def _warn_extrapolation(points: pd.DataFrame, baseline: Baseline, settings: Settings) -> None:
    first = points.iloc[0]
    where = f"{first['testset']}, classes {first['classes']}, {first['architecture']}"
    if np.isnan(baseline.line.slope):
        log.warning("%s: %s has no line here, so effective robustness is empty", where, settings.baseline)
        return
    low, high = baseline.reference_min, baseline.reference_max
    beyond = points[~points["reference_value"].between(low, high)]
    if len(beyond):
        log.warning(
            "%s: %d of %d models lie outside of the baseline's reference accuracies (%.3f to %.3f), where its line is "
            "extrapolated: %s",
            *(where, len(beyond), len(points), low, high, ", ".join(beyond["model"])),
        )
