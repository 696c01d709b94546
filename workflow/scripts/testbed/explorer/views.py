"""The panels of the interactive scatter plot on one scale: positions, lines with bands, and effective robustness."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from testbed.figures.axes import Limits, axis_position, panel_limits, panel_shape
from testbed.figures.panels import BEYOND
from testbed.figures.style import Series
from testbed.statistics.baselines import STANDARD_BASELINES, Baseline
from testbed.statistics.intervals import INDEPENDENT, Intervals, intervals_of
from testbed.statistics.joint_correct import JointCorrect
from testbed.statistics.lines import clopper_pearson, line_band
from testbed.statistics.robustness import BaselineOf, measure_robustness, pool_baseline, standard_baseline
from testbed.statistics.scales import transform
from testbed.statistics.settings import Settings
from testbed.statistics.tables import on_scale
from testbed.statistics.trends import TREND_KEY, fit_pool_trends, line_of

ROBUSTNESS = ["effective_robustness", "effective_robustness_low", "effective_robustness_high"]
BAND_POINTS = 25


@dataclass(frozen=True)
class Tables:
    """The tables of the scatter plot; `pairs` are pairs of shift and reference (see `pair_with_reference`).

    `published` are pairs of published checkpoints; `models` is the table of public models, without counts; `baselines` has
    the lines of standard models. Each of these may be None. `joint` is how often models are right about the same image.
    """

    pairs: pd.DataFrame
    published: pd.DataFrame | None = None
    models: pd.DataFrame | None = None
    baselines: pd.DataFrame | None = None
    joint: JointCorrect = INDEPENDENT


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Context without warnings of the statistics: `fit_trends` logs those for the experiment's baseline and scale, and the
    page shows missing values."""
    logger = logging.getLogger("testbed.statistics")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@_without_warnings()
def panel_views(
    tables: Tables,
    points: Mapping[tuple[str, str], pd.DataFrame],
    series: Sequence[Series],
    offered: Sequence[str],
    settings: Settings,
    reference: str,
) -> list[dict]:
    """The panels on one scale: limits, positions, lines with bands, and effective robustness against each baseline."""
    ensembles = {one.pool for one in series if one.kind == "ensemble"}
    intervals = intervals_of(tables.pairs, settings, reference, tables.joint, ensembles)
    trends = fit_pool_trends(tables.pairs, settings, intervals)
    against = {key: replace(settings, baseline=key) for key in offered}
    find = {key: cache(_baseline_of(tables, trends, chosen)) for key, chosen in against.items()}
    measured = {key: _measured(tables, find[key], chosen, intervals) for key, chosen in against.items()}
    views = []
    for key, rows in points.items():
        x, y = _limits(rows, len(series), settings.scale)
        lines = [
            _line(on_panel(tables.pairs, key), trends, index, one, x, settings, intervals)
            for index, one in enumerate(series)
        ]
        architectures = sorted({one.architecture for one in series})
        baselines = {
            name: {
                "lines": _baseline_lines(find[name], architectures, key, x, settings, name),
                "robustness": _robustness(rows, measured[name]),
            }
            for name in offered
        }
        views.append(
            {
                "x": rounded(x),
                "y": rounded(y),
                "shape": round(panel_shape(x, y), 4),
                **_positions(rows, x, y, settings),
                "lines": [line for line in lines if line],
                "baselines": {name: found for name, found in baselines.items() if found["lines"]},
            }
        )
    return views


def _limits(points: pd.DataFrame, pools: int, scale: str) -> tuple[Limits, Limits]:
    """Limits of one panel, which include published checkpoints but not all public models."""
    x, (y,) = panel_limits([points[(points["series"] < pools) | points["n"].notna()]], scale)
    return x, y


def _positions(points: pd.DataFrame, x: Limits, y: Limits, settings: Settings) -> dict:
    """Positions of points and their intervals. A point of the experiment without a finite scaled accuracy, such as one at
    0 %, is drawn at the edge. A public model outside of the limits is left out."""
    xs, ys = (
        axis_position(points["reference_value"], x, settings.scale),
        axis_position(points["value"], y, settings.scale),
    )
    is_public = points["n"].isna().to_numpy()
    for column, limits in (("reference_value", x), ("value", y)):
        scaled = transform(points[column], settings.scale)
        inside = (scaled >= limits[0]) & (scaled <= limits[1])
        xs[is_public & ~inside] = np.nan
    x_ends = interval(points["reference_correct"], points["reference_n"], settings.point_confidence)
    y_ends = interval(points["correct"], points["n"], settings.point_confidence)
    columns = {"px": xs, "py": ys}
    for name, ends, limits in (("x", x_ends, x), ("y", y_ends, y)):
        for side, end in zip(("low", "high"), ends, strict=True):
            placed = np.full(len(points), np.nan)
            placed[~np.isnan(end)] = axis_position(end[~np.isnan(end)], limits, settings.scale)
            columns[f"{name}_{side}"] = placed
    return {name: rounded(column) for name, column in columns.items()}


def _line(
    points: pd.DataFrame,
    trends: pd.DataFrame,
    index: int,
    one: Series,
    x: Limits,
    settings: Settings,
    intervals: Intervals,
) -> dict | None:
    """The line of one series in one panel with its band, over the range of its models; None if there is no line."""
    own = points[(points["pool"] == one.pool) & (points["architecture"] == one.architecture)]
    if own.empty:
        return None
    trend = trends[(trends[TREND_KEY] == own.iloc[0][TREND_KEY]).all(axis=1)].iloc[0]
    line = line_of(trend)
    if np.isnan(line.slope):
        return None
    fitted = transform(own.loc[on_scale(own, settings.scale), "reference_value"], settings.scale)
    margin = BEYOND * (x[1] - x[0])
    ends = (fitted.min() - margin, fitted.max() + margin)
    numbers = ["slope", "slope_low", "slope_high", "intercept", "intercept_low", "intercept_high", "r2"]
    return {
        "series": index,
        "n": line.n,
        "left_out": int(trend["left_out"]),
        **dict(zip(numbers, rounded(trend[numbers].astype(float)), strict=True)),
        "ends": rounded([*ends, *line.at(ends)]),
        "band": _band(partial(intervals.band, own), ends),
    }


def _band(limits: Callable[[np.ndarray], Sequence[np.ndarray]], ends: Limits) -> list[list[float]] | None:
    x = np.linspace(*ends, BAND_POINTS)
    low, high = limits(x)
    return None if np.isnan(low).any() else [rounded(column) for column in (x, low, high)]


def _baseline_of(tables: Tables, trends: pd.DataFrame, settings: Settings) -> BaselineOf:
    if settings.baseline_pool is None:
        return standard_baseline(tables.baselines, settings)
    return pool_baseline(tables.pairs, trends, settings)


def _baseline_lines(
    find: BaselineOf, architectures: Sequence[str], key: tuple[str, str], x: Limits, settings: Settings, name: str
) -> list[dict]:
    """The lines of a baseline over the whole panel: one for all architectures, or for a pool one per architecture."""
    standard = name in STANDARD_BASELINES
    found = [
        (architecture, find(architecture, *key)) for architecture in (architectures[:1] if standard else architectures)
    ]
    return [
        _baseline_line(baseline, "" if standard else architecture, x, settings)
        for architecture, baseline in found
        if np.isfinite(baseline.line.slope)
    ]


def _baseline_line(baseline: Baseline, architecture: str, x: Limits, settings: Settings) -> dict:
    fitted = np.clip(transform([baseline.reference_min, baseline.reference_max], settings.scale), *x)
    return {
        "architecture": architecture,
        "slope": round(baseline.line.slope, 5),
        "intercept": round(baseline.line.intercept, 5),
        "reference_min": round(float(baseline.reference_min), 5),
        "reference_max": round(float(baseline.reference_max), 5),
        "fitted": rounded([*fitted, *baseline.line.at(fitted)]),
        "whole": rounded([*x, *baseline.line.at(x)]),
        # the band of a pool's baseline is drawn with the pool
        "band": None
        if architecture
        else _band(partial(line_band, baseline.lines, confidence=settings.line_confidence), x),
    }


def _measured(tables: Tables, find: BaselineOf, settings: Settings, intervals: Intervals) -> pd.DataFrame:
    """Effective robustness by model, test set and classes; the table of public models already has it."""
    parts = [measure_robustness(tables.pairs, find, settings, intervals)]
    if tables.published is not None:
        parts.append(measure_robustness(tables.published, find, settings))
    if tables.models is not None and "scale" in tables.models:
        models = tables.models
        parts.append(models[(models["scale"] == settings.scale) & (models["baseline"] == settings.baseline)])
    columns = ["model", "pool", "testset", "classes", *ROBUSTNESS]
    return pd.concat([part.reindex(columns=columns) for part in parts if len(part)])


def _robustness(points: pd.DataFrame, measured: pd.DataFrame) -> list[list[float | None]]:
    key = ["model", "pool", "testset", "classes"]
    beside = points[key].merge(measured, on=key, how="left", validate="many_to_one")
    return [rounded(beside[column], 3) for column in ROBUSTNESS]


def on_panel(table: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    """The rows of one panel; `key` is its test set and classes."""
    return table[(table["testset"] == key[0]) & (table["classes"] == key[1])]


def interval(correct: pd.Series, n: pd.Series, confidence: float) -> np.ndarray:
    """Limits of the points' intervals (2, n); NaN for public models, whose counts are not known."""
    limits = np.full((2, len(n)), np.nan)
    known = n.notna().to_numpy()
    limits[:, known] = clopper_pearson(correct[known].astype(float), n[known].astype(float), confidence)
    return limits


def rounded(numbers: ArrayLike, digits: int = 4) -> list[float | None]:
    """The rounded numbers as a list for JSON, with None for NaN."""
    values = np.round(np.asarray(numbers, dtype=np.float64), digits).tolist()
    return [None if value != value else value for value in values]
