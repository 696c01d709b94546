"""The numbers behind the interactive scatter: everything that it draws or says, computed here as for the tables.

The page itself fits nothing. Accuracies are fractions, effective robustness is in percentage points, and places are
scaled accuracies within the limits of their axes. What cannot be computed is None.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Outline
from numpy.typing import ArrayLike

from testbed.axes import FINE, ROUND, Limits, panel_limits, panel_shape, place
from testbed.backdrop import TITLES as BASELINE_TITLES
from testbed.baselines import STANDARD_BASELINES, Baseline
from testbed.figures import (
    MARKERS,
    FigureError,
    Series,
    make_series,
    marker_areas,
    mixture_label,
    size_label,
    title_of,
)
from testbed.panels import BEYOND
from testbed.pools import Pool
from testbed.robustness import BaselineOf, measure_robustness, pool_baseline, standard_baseline
from testbed.scales import SCALES, transform
from testbed.statistics import clopper_pearson, line_band
from testbed.trends import POOL_BASELINE, TREND_KEY, Settings, bootstrap_trend, fit_pool_trends, line_of, on_scale

ROBUSTNESS = ["effective_robustness", "effective_robustness_low", "effective_robustness_high"]
BAND_POINTS = 25
# on the linear scale these are as far from each other as they look
EVEN = [0, 50, 100, 20, 40, 60, 80, 10, 30, 70, 90]
PUBLISHED, PUBLIC = "published checkpoint", "public CLIP model"
COMMANDS = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}


@dataclass(frozen=True)
class Tables:
    """What the scatter is drawn from, as pairs of shift and reference (see `testbed.tables.pair_with_reference`).

    `published` are pairs of published checkpoints; `models` is the table of public models, of which only accuracies are
    known; `baselines` the lines of standard models. Each of these may be None.
    """

    pairs: pd.DataFrame
    published: pd.DataFrame | None = None
    models: pd.DataFrame | None = None
    baselines: pd.DataFrame | None = None


def explorer_data(
    tables: Tables, experiment: str, reference: str, shifts: Sequence[str], pools: Sequence[Pool], settings: Settings
) -> dict:
    """All that the page shows of an experiment, for every shift, scale and baseline, as JSON takes it.

    Raises `FigureError` where no model of `pools` was evaluated, or none on any of `shifts`.
    """
    series = make_series(tables.pairs, pools)
    drawn = {(one.pool, one.architecture) for one in series}
    known = [key in drawn for key in zip(tables.pairs["pool"], tables.pairs["architecture"], strict=True)]
    tables = replace(tables, pairs=tables.pairs[known])
    keys = _panel_keys(tables.pairs, shifts)
    if not keys:
        raise FigureError(f"no model was evaluated on {', '.join(shifts)}; evaluate one, or name other shifts")
    points = {key: _points(tables, key, series) for key in keys}
    models = pd.concat(points.values()).drop_duplicates(["series", "model"], ignore_index=True)
    offered = _offered_baselines(tables, pools)
    with _told_elsewhere():
        views = {scale: _views(tables, points, series, offered, replace(settings, scale=scale)) for scale in SCALES}
    return {
        "experiment": experiment,
        "reference": title_of(reference),
        "start": {"shift": keys[0][0], "scale": settings.scale, "baseline": settings.baseline},
        "start_classes": settings.classes,
        "point_confidence": settings.point_confidence,
        "line_confidence": settings.line_confidence,
        "scales": list(SCALES),
        "ticks": {scale: _ticks(scale) for scale in SCALES},
        "baselines": [{"key": key, "label": _baseline_label(key)} for key in ("none", *offered)],
        "series": [_look(one, tables.pairs, pools) for one in series] + _behind(tables),
        "models": _models(models),
        "panels": [_panel(key, points[key], models, settings) for key in keys],
        "views": views,
    }


@contextmanager
def _told_elsewhere() -> Iterator[None]:
    """Without the warnings of gaps and extrapolations: `fit_trends` gives those of the experiment's own baseline and scale,
    and the page says of each point and pool what there is not."""
    loggers = [logging.getLogger(name) for name in ("testbed.trends", "testbed.robustness")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _panel_keys(pairs: pd.DataFrame, shifts: Iterable[str]) -> list[tuple[str, str]]:
    """Shift and classes of every panel: over all of the reference's classes first, then over the shift's own."""
    present = set(zip(pairs["testset"], pairs["classes"], strict=True))
    return [key for shift in shifts for key in ((shift, "all"), (shift, shift)) if key in present]


def _points(tables: Tables, key: tuple[str, str], series: Sequence[Series]) -> pd.DataFrame:
    """All points of one panel with the index of their series: in its order, and along x."""
    order = {(one.pool, one.architecture): index for index, one in enumerate(series)}
    own = _on(tables.pairs, key)
    parts = [own.assign(series=[order[one] for one in zip(own["pool"], own["architecture"], strict=True)])]
    for index, behind in enumerate(behind for behind in (tables.published, tables.models) if behind is not None):
        parts.append(_on(behind, key).assign(series=len(series) + index))
    return pd.concat(parts, ignore_index=True).sort_values(["series", "reference_value", "model"], ignore_index=True)


def _on(table: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    return table[(table["testset"] == key[0]) & (table["classes"] == key[1])]


def _offered_baselines(tables: Tables, pools: Sequence[Pool]) -> list[str]:
    """The standard models' lines that some shift has, and every source: mixtures are measured against these."""
    lines = tables.baselines
    known = set() if lines is None else set(lines.loc[lines["testset"].isin(tables.pairs["testset"]), "baseline"])
    sources = [pool["name"] for pool in pools if pool["kind"] in ("source", "baseline")]
    evaluated = set(tables.pairs["pool"])
    standard = [name for name in reversed(STANDARD_BASELINES) if name in known]
    return standard + [POOL_BASELINE + name for name in sources if name in evaluated]


def _baseline_label(key: str) -> str:
    return BASELINE_TITLES.get(key, key.removeprefix(POOL_BASELINE))


def _look(one: Series, pairs: pd.DataFrame, pools: Sequence[Pool]) -> dict:
    pool = next(pool for pool in pools if pool["name"] == one.pool)
    members = dict(pool.get("members") or {})
    return {
        "pool": one.pool,
        "architecture": one.architecture,
        "kind": one.kind,
        "label": one.label,
        "data": _data_of(pool, members),
        "family": _family(pool, pools),
        "colour": one.colour,
        "marker": _outline(one.marker),
        "hollow": one.hollow,
        "dashes": [] if one.dashes == "-" else list(one.dashes[1]),
        "models": int(
            pairs[(pairs["pool"] == one.pool) & (pairs["architecture"] == one.architecture)]["model"].nunique()
        ),
    }


def _data_of(pool: Pool, members: Mapping[str, float]) -> str:
    """What a pool is made of, in words; nothing for a source."""
    if members:
        averaged = f"{pool['average']} averaged: " if pool.get("average") else ""
        return averaged + mixture_label(members)
    return f"filtered from {pool['of']}" if pool.get("of") else ""


def _family(pool: Pool, pools: Sequence[Pool]) -> list[str]:
    """The pools that light up with this one: a mixture's members, and what a filter takes from."""
    names = [pool["name"], *(pool.get("members") or {}), *([pool["of"]] if pool.get("of") else [])]
    known = {one["name"] for one in pools}
    return [name for name in names if name in known]


def _behind(tables: Tables) -> list[dict]:
    """What stands behind the pools: crosses and dots, which are part of no trend."""
    entries = []
    for label, kind, marker, table in (
        (PUBLISHED, "published", "x", tables.published),
        (PUBLIC, "public", "o", tables.models),
    ):
        if table is not None:
            entries.append(
                {"pool": label, "architecture": "", "kind": kind, "label": label, "data": "", "family": [label]}
                | {"colour": "", "marker": _outline(marker), "hollow": False, "dashes": []}
                | {"models": int(table["model"].nunique())}
            )
    return entries


def _outline(marker: str) -> str:
    """A marker of the figures as the `d` of an SVG path, as large as one that is 1 point in size."""
    style = MarkerStyle(marker)
    outline = style.get_path().transformed(style.get_transform())
    factor = np.sqrt(MARKERS.get(marker, 1.0))
    steps = []
    for vertices, code in outline.iter_segments(simplify=False):
        # SVG counts y downwards
        numbers = np.reshape(vertices, (-1, 2)) * [factor, -factor]
        steps.append("Z" if code == Outline.CLOSEPOLY else COMMANDS[code] + " ".join(f"{x:.3g}" for x in numbers.flat))
    return "".join(steps)


def _models(rows: pd.DataFrame) -> dict:
    """Every model once, as columns; points name a model by its place here."""
    rows = rows.assign(**{column: rows[column].fillna(0).astype(int) for column in ("size", "seed")})
    # a published model's size is not known; its marker has the middle one
    areas = marker_areas([size for size in rows["size"] if size > 0] or [1])
    middle = float(np.mean(list(areas.values())))
    return {
        "name": rows["model"].tolist(),
        "series": rows["series"].tolist(),
        "architecture": rows["architecture"].tolist(),
        "pool": rows["pool"].tolist(),
        "size": rows["size"].tolist(),
        "samples": [size_label(size) if size else "" for size in rows["size"]],
        "seed": rows["seed"].tolist(),
        "diameter": _rounded([np.sqrt(areas.get(size, middle)) for size in rows["size"]], 2),
    }


def _panel(key: tuple[str, str], points: pd.DataFrame, models: pd.DataFrame, settings: Settings) -> dict:
    """Accuracies with counts and intervals of one panel's points, as columns: all that does not depend on the scale."""
    y_low, y_high = _interval(points["correct"], points["n"], settings.point_confidence)
    x_low, x_high = _interval(points["reference_correct"], points["reference_n"], settings.point_confidence)
    columns = {"value": points["value"], "low": y_low, "high": y_high}
    columns |= {"reference_value": points["reference_value"], "reference_low": x_low, "reference_high": x_high}
    index = {one: number for number, one in enumerate(zip(models["series"], models["model"], strict=True))}
    return {
        "shift": key[0],
        "classes": "all" if key[1] == "all" else "shift",
        "title": title_of(key[0]),
        "model": [index[one] for one in zip(points["series"], points["model"], strict=True)],
        "n": _whole(points["n"]),
        "reference_n": _whole(points["reference_n"]),
        **{name: _rounded(column, 5) for name, column in columns.items()},
    }


def _interval(correct: pd.Series, n: pd.Series, confidence: float) -> np.ndarray:
    """Ends of the points' intervals (2, n): NaN for public models, of which the counts are not known."""
    ends = np.full((2, len(n)), np.nan)
    known = n.notna().to_numpy()
    ends[:, known] = clopper_pearson(correct[known].astype(float), n[known].astype(float), confidence)
    return ends


def _views(
    tables: Tables,
    points: Mapping[tuple[str, str], pd.DataFrame],
    series: Sequence[Series],
    offered: Sequence[str],
    settings: Settings,
) -> list[dict]:
    """Each panel on one scale: limits, places, lines with bands, and effective robustness against each baseline."""
    trends = fit_pool_trends(tables.pairs, settings)
    against = {key: replace(settings, baseline=key) for key in offered}
    find = {key: cache(_baseline_of(tables, trends, chosen)) for key, chosen in against.items()}
    measured = {key: _measured(tables, find[key], chosen) for key, chosen in against.items()}
    views = []
    for key, rows in points.items():
        x, y = _limits(rows, len(series), settings.scale)
        lines = [_line(_on(tables.pairs, key), trends, index, one, x, settings) for index, one in enumerate(series)]
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
                "x": _rounded(x),
                "y": _rounded(y),
                "shape": round(panel_shape(x, y), 4),
                **_places(rows, x, y, settings),
                "lines": [line for line in lines if line],
                "baselines": {name: found for name, found in baselines.items() if found["lines"]},
            }
        )
    return views


def _limits(points: pd.DataFrame, pools: int, scale: str) -> tuple[Limits, Limits]:
    """Limits of one panel. Published checkpoints have room in it, public models make none for themselves."""
    x, (y,) = panel_limits([points[(points["series"] < pools) | points["n"].notna()]], scale)
    return x, y


def _places(points: pd.DataFrame, x: Limits, y: Limits, settings: Settings) -> dict:
    """Where points and their intervals stand. A point of the experiment without a finite place, such as one at 0 %,
    stands on the frame; a public model beyond it is left out."""
    xs, ys = place(points["reference_value"], x, settings.scale), place(points["value"], y, settings.scale)
    beyond = points["n"].isna().to_numpy()
    for column, limits in (("reference_value", x), ("value", y)):
        scaled = transform(points[column], settings.scale)
        inside = (scaled >= limits[0]) & (scaled <= limits[1])
        xs[beyond & ~inside] = np.nan
    x_ends = _interval(points["reference_correct"], points["reference_n"], settings.point_confidence)
    y_ends = _interval(points["correct"], points["n"], settings.point_confidence)
    columns = {"px": xs, "py": ys}
    for name, ends, limits in (("x", x_ends, x), ("y", y_ends, y)):
        for side, end in zip(("low", "high"), ends, strict=True):
            placed = np.full(len(points), np.nan)
            placed[~np.isnan(end)] = place(end[~np.isnan(end)], limits, settings.scale)
            columns[f"{name}_{side}"] = placed
    return {name: _rounded(column) for name, column in columns.items()}


def _line(
    points: pd.DataFrame, trends: pd.DataFrame, index: int, one: Series, x: Limits, settings: Settings
) -> dict | None:
    """The line of one series in one panel with its band, over its own models and little more; None where there is none."""
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
        **dict(zip(numbers, _rounded(trend[numbers].astype(float)), strict=True)),
        "ends": _rounded([*ends, *line.at(ends)]),
        "band": _band(bootstrap_trend(own, settings), ends, settings),
    }


def _band(lines: np.ndarray, ends: Limits, settings: Settings) -> list[list[float]] | None:
    if len(lines) == 0:
        return None
    x = np.linspace(*ends, BAND_POINTS)
    return [_rounded(column) for column in (x, *line_band(lines, x, settings.line_confidence))]


def _baseline_of(tables: Tables, trends: pd.DataFrame, settings: Settings) -> BaselineOf:
    if settings.baseline_pool is None:
        return standard_baseline(tables.baselines, settings)
    return pool_baseline(tables.pairs, trends, settings)


def _baseline_lines(
    find: BaselineOf, architectures: Sequence[str], key: tuple[str, str], x: Limits, settings: Settings, name: str
) -> list[dict]:
    """A baseline's lines over the whole panel: one for all architectures, or of a pool one for each."""
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
        "fitted": _rounded([*fitted, *baseline.line.at(fitted)]),
        "whole": _rounded([*x, *baseline.line.at(x)]),
        # a pool's own line has its band
        "band": None if architecture else _band(baseline.lines, x, settings),
    }


def _measured(tables: Tables, find: BaselineOf, settings: Settings) -> pd.DataFrame:
    """Effective robustness by model, test set and classes: as measured here, and of public models as their table has it."""
    parts = [measure_robustness(tables.pairs, find, settings)]
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
    return [_rounded(beside[column], 3) for column in ROBUSTNESS]


def _ticks(scale: str) -> list[list[list]]:
    """Round accuracies as place and label, and finer ones for narrow axes, those that a reader looks for first in front;
    the page takes what has room."""
    return [
        [[round(float(transform(percent / 100, scale)), 4), f"{percent:g}"] for percent in candidates]
        for candidates in (EVEN if scale == "linear" else ROUND, FINE)
    ]


def _rounded(numbers: ArrayLike, digits: int = 4) -> list[float | None]:
    """As a list that JSON takes: rounded, and None for NaN."""
    values = np.round(np.asarray(numbers, dtype=np.float64), digits).tolist()
    return [None if value != value else value for value in values]


def _whole(numbers: pd.Series) -> list[int | None]:
    return [None if pd.isna(number) else int(number) for number in numbers]
