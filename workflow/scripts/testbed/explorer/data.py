"""The data of the interactive scatter plot, computed as for the tables.

The page itself computes no statistics. Accuracies are fractions, effective robustness is in percentage points, and
positions are scaled accuracies within the limits of their axes. Values that cannot be computed are None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Outline

from testbed.experiment.pools import Pool
from testbed.experiment.titles import title_of, title_of_pool
from testbed.explorer.views import Tables, interval, on_panel, panel_views, rounded
from testbed.figures.axes import FINE, ROUND
from testbed.figures.background import TITLES as BASELINE_TITLES
from testbed.figures.style import (
    MARKERS,
    FigureError,
    Series,
    make_series,
    marker_areas,
    mixture_label,
    size_label,
)
from testbed.statistics.baselines import STANDARD_BASELINES
from testbed.statistics.lines import fit_line
from testbed.statistics.scales import SCALES, transform
from testbed.statistics.settings import POOL_BASELINE, Settings
from testbed.statistics.similarity import FEWEST, compared_sizes
from testbed.statistics.tables import scaled_points

# ticks at equal distances, for the linear scale
EVEN = [0, 50, 100, 20, 40, 60, 80, 10, 30, 70, 90]
PUBLISHED, PUBLIC = "published checkpoint", "public CLIP model"
COMMANDS = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}


class Similarity(NamedTuple):
    """The accuracy of models by similarity (results/tables/similarity_accuracy.csv), and the name of the teacher."""

    accuracy: pd.DataFrame
    teacher: str


def explorer_data(
    tables: Tables,
    experiment: str,
    reference: str,
    shifts: Sequence[str],
    pools: Sequence[Pool],
    settings: Settings,
    similarity: Similarity | None = None,
) -> dict:
    """The data that the page shows, for every shift, scale and baseline, ready for JSON.

    Raises `FigureError` if no model of `pools` was evaluated, or none on any of `shifts`.
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
    views = {
        scale: panel_views(tables, points, series, offered, replace(settings, scale=scale), reference)
        for scale in SCALES
    }
    return {
        "experiment": experiment,
        "reference": title_of(reference),
        "start": {
            "shift": _most_different(tables.pairs, series, keys, settings),
            "scale": settings.scale,
            "baseline": settings.baseline,
        },
        "start_hidden": _hidden_at_first(series),
        "start_classes": settings.classes,
        "point_confidence": settings.point_confidence,
        "line_confidence": settings.line_confidence,
        "scales": list(SCALES),
        "ticks": {scale: _ticks(scale) for scale in SCALES},
        "baselines": [{"key": key, "label": _baseline_label(key, pools)} for key in ("none", *offered)],
        "series": [_series(one, tables.pairs, pools) for one in series] + _background_series(tables),
        "models": _models(models),
        "panels": [_panel(key, points[key], models, settings) for key in keys],
        "views": views,
        "similarity": None if similarity is None else _similarity(similarity, series, pools),
    }


def _similarity(similarity: Similarity, series: Sequence[Series], pools: Sequence[Pool]) -> dict:
    """The accuracy by similarity of the compared trainset of each series, on each test set."""
    accuracy = similarity.accuracy
    sizes = compared_sizes(accuracy, pools)
    lines = []
    for index, one in enumerate(series):
        is_own = (accuracy["pool"] == one.pool) & (accuracy["architecture"] == one.architecture)
        own = accuracy[is_own & (accuracy["size"] == sizes.get(one.pool)) & (accuracy["n"] >= FEWEST)]
        for testset, line in own.sort_values("bin").groupby("testset", sort=False):
            names = {"x": "similarity", "y": "accuracy", "low": "accuracy_low", "high": "accuracy_high"}
            columns = {name: rounded(line[column], 5) for name, column in names.items()}
            place = {"shift": testset, "series": index, "samples": size_label(sizes[one.pool]), "n": _whole(line["n"])}
            lines.append(place | columns)
    return {"teacher": similarity.teacher, "lines": lines}


def _panel_keys(pairs: pd.DataFrame, shifts: Iterable[str]) -> list[tuple[str, str]]:
    """Shift and classes of every panel: all classes of the reference first, then the shift's own."""
    present = set(zip(pairs["testset"], pairs["classes"], strict=True))
    return [key for shift in shifts for key in ((shift, "all"), (shift, shift)) if key in present]


def _most_different(
    pairs: pd.DataFrame, series: Sequence[Series], keys: Sequence[tuple[str, str]], settings: Settings
) -> str:
    """The shift on which the lines of the sources lie furthest apart, in the middle of their models; else the first."""
    apart = {}
    for key in keys:
        if key[1] != "all":
            continue
        points = on_panel(pairs, key)
        own = [points[points["pool"] == one.pool] for one in series if one.kind == "source"]
        scaled = [scaled_points(one, settings.scale) for one in own if len(one)]
        middle = np.mean(np.concatenate([x for x, _ in scaled])) if scaled else np.nan
        heights = [fit_line(x, y).at(middle) for x, y in scaled]
        if np.isfinite(heights).sum() > 1:
            apart[key[0]] = float(np.nanmax(heights) - np.nanmin(heights))
    return max(apart, key=apart.get, default=keys[0][0])


def _hidden_at_first(series: Sequence[Series]) -> list[str]:
    """The keys of the series that are not shown at first: all but sources and baseline, if there is a source."""
    if not any(one.kind == "source" for one in series):
        return []
    return [f"{one.pool}/{one.architecture}" for one in series if one.kind not in ("source", "baseline")]


def _points(tables: Tables, key: tuple[str, str], series: Sequence[Series]) -> pd.DataFrame:
    """All points of one panel with the index of their series, sorted by series and x."""
    order = {(one.pool, one.architecture): index for index, one in enumerate(series)}
    own = on_panel(tables.pairs, key)
    parts = [own.assign(series=[order[one] for one in zip(own["pool"], own["architecture"], strict=True)])]
    background = [table for table in (tables.published, tables.models) if table is not None]
    for index, table in enumerate(background):
        parts.append(on_panel(table, key).assign(series=len(series) + index))
    return pd.concat(parts, ignore_index=True).sort_values(["series", "reference_value", "model"], ignore_index=True)


def _offered_baselines(tables: Tables, pools: Sequence[Pool]) -> list[str]:
    """The baselines to choose from: lines of standard models that some shift has, and every source's trend."""
    lines = tables.baselines
    known = set() if lines is None else set(lines.loc[lines["testset"].isin(tables.pairs["testset"]), "baseline"])
    sources = [pool["name"] for pool in pools if pool["kind"] in ("source", "baseline")]
    evaluated = set(tables.pairs["pool"])
    standard = [name for name in reversed(STANDARD_BASELINES) if name in known]
    return standard + [POOL_BASELINE + name for name in sources if name in evaluated]


def _baseline_label(key: str, pools: Sequence[Pool]) -> str:
    titles = {POOL_BASELINE + pool["name"]: title_of_pool(pool) for pool in pools}
    return (BASELINE_TITLES | titles).get(key, key)


def _series(one: Series, pairs: pd.DataFrame, pools: Sequence[Pool]) -> dict:
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
    """The composition of a pool in words; empty for a source."""
    if members:
        averaged = f"{pool['average']} averaged: " if pool.get("average") else ""
        return averaged + mixture_label(members)
    return f"filtered from {pool['of']}" if pool.get("of") else ""


def _family(pool: Pool, pools: Sequence[Pool]) -> list[str]:
    """The pools that are highlighted with this one: a mixture's members, and the pool that a filter is made from."""
    names = [pool["name"], *(pool.get("members") or {}), *([pool["of"]] if pool.get("of") else [])]
    known = {one["name"] for one in pools}
    return [name for name in names if name in known]


def _background_series(tables: Tables) -> list[dict]:
    """The series of the background: published checkpoints and public models, which are not part of a trend."""
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
    """The `d` attribute of an SVG path for a marker of the figures, at a size of 1 point."""
    style = MarkerStyle(marker)
    outline = style.get_path().transformed(style.get_transform())
    factor = np.sqrt(MARKERS.get(marker, 1.0))
    steps = []
    for vertices, code in outline.iter_segments(simplify=False):
        # y points down in SVG
        numbers = np.reshape(vertices, (-1, 2)) * [factor, -factor]
        steps.append("Z" if code == Outline.CLOSEPOLY else COMMANDS[code] + " ".join(f"{x:.3g}" for x in numbers.flat))
    return "".join(steps)


def _models(rows: pd.DataFrame) -> dict:
    """All models without repeats, as columns; points refer to a model by its index."""
    rows = rows.assign(**{column: rows[column].fillna(0).astype(int) for column in ("size", "seed")})
    # the size of a published model is not known; its marker has the mean area
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
        "diameter": rounded([np.sqrt(areas.get(size, middle)) for size in rows["size"]], 2),
    }


def _panel(key: tuple[str, str], points: pd.DataFrame, models: pd.DataFrame, settings: Settings) -> dict:
    """Accuracies, counts and intervals of one panel's points, as columns; they do not depend on the scale."""
    y_low, y_high = interval(points["correct"], points["n"], settings.point_confidence)
    x_low, x_high = interval(points["reference_correct"], points["reference_n"], settings.point_confidence)
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
        **{name: rounded(column, 5) for name, column in columns.items()},
    }


def _ticks(scale: str) -> list[list[list]]:
    """Position and label of candidate ticks, the most important first: round accuracies, and finer ones for short axes. The
    page draws those that have room."""
    return [
        [[round(float(transform(percent / 100, scale)), 4), f"{percent:g}"] for percent in candidates]
        for candidates in (EVEN if scale == "linear" else ROUND, FINE)
    ]


def _whole(numbers: pd.Series) -> list[int | None]:
    return [None if pd.isna(number) else int(number) for number in numbers]
