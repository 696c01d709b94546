"""Figures with a panel per shift: models as points with intervals, and the trend of each pool with its band."""

import logging
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed.experiment.titles import title_of
from testbed.figures.axes import axis_position, panel_limits, panel_shape, scale_axes
from testbed.figures.background import EMPTY_BACKGROUND, Background
from testbed.figures.labels import LineEnd, add_hint, label_lines
from testbed.figures.layout import COLUMN_WIDTH, WIDTH, new_figure
from testbed.figures.style import STYLE, FigureError, Series, legend_entries, marker_areas
from testbed.statistics.intervals import Intervals
from testbed.statistics.lines import clopper_pearson
from testbed.statistics.scales import transform
from testbed.statistics.settings import Settings
from testbed.statistics.tables import on_scale
from testbed.statistics.trends import line_of

log = logging.getLogger(__name__)

# how far a pool's line is drawn beyond its models, as a fraction of the x axis
BEYOND = 0.02
MOST_NAMED = 8
"""Most lines in a panel that have their names at their ends."""


def draw_panels(
    pairs: pd.DataFrame,
    trends: pd.DataFrame,
    series: Sequence[Series],
    reference: str,
    shifts: Sequence[str],
    settings: Settings,
    intervals: Intervals,
    background: Background = EMPTY_BACKGROUND,
    total_width: float = WIDTH,
) -> Figure:
    """A figure of `total_width` inches with one panel for each of `shifts`, in their order, and a legend below.

    `pairs` are rows of `pair_with_reference`; `trends` is the table of `fit_pool_trends` with the lines, and `intervals`
    (see `testbed.statistics.intervals.intervals_of`) has their bands. A pool without a line is drawn as points only. The x
    axis of a panel is the accuracy over all classes of the reference. If `settings.classes` is `shift` and the shift has
    fewer classes, it is the accuracy over these, and the title says so.

    Raises `FigureError` for a shift on which no model of `series` was evaluated, and for a line that `trends` lacks.
    """
    known = {(one.pool, one.architecture) for one in series}
    drawn = [key in known for key in zip(pairs["pool"], pairs["architecture"], strict=True)]
    pairs = pairs[np.array(drawn, dtype=bool)]
    classes = [_classes_of(pairs, shift, settings) for shift in shifts]
    panels = [_on(pairs, *key) for key in zip(shifts, classes, strict=True)]
    for shift, points in zip(shifts, panels, strict=True):
        if points.empty:
            raise FigureError(
                f"no model was evaluated on {shift!r}; evaluate one, or remove it from the experiment's shifts"
            )
    areas = marker_areas(pairs["size"])
    shown = [background.with_published(*panel) for panel in zip(panels, shifts, classes, strict=True)]
    x, ys = panel_limits(shown, settings.scale)
    entries = legend_entries(series, areas, settings) + background.entries(settings)
    with matplotlib.rc_context(STYLE):
        both = "" if total_width <= COLUMN_WIDTH else "both axes on the "
        labels = f"{title_of(reference)} accuracy (%), {both}{settings.scale} scale", "Shifted accuracy (%)"
        figure, grid = new_figure(len(shifts), panel_shape(x, ys[0]), entries, labels, total_width)
        for axes, shift, scored, points, y in zip(grid, shifts, classes, panels, ys, strict=True):
            axes.set_title(title_of(shift) + (" (x: its classes)" if scored != "all" else ""))
            scale_axes(axes, x, y, settings.scale)
            axes.axline((x[0], x[0]), slope=1, color="#555555", linewidth=0.9, linestyle=":", zorder=1)
            background.draw(axes, shift, scored, settings)
            ends = [_draw_series(axes, points, trends, one, areas, settings, intervals) for one in series]
            if len(series) <= MOST_NAMED:
                places = (
                    axis_position(points["reference_value"], x, settings.scale),
                    axis_position(points["value"], y, settings.scale),
                )
                label_lines(axes, [end for end in ends if end], np.stack(places, axis=1))
        add_hint(grid[0])
    return figure


def _classes_of(pairs: pd.DataFrame, shift: str, settings: Settings) -> str:
    return shift if settings.classes == "shift" and not _on(pairs, shift, shift).empty else "all"


def _on(pairs: pd.DataFrame, testset: str, classes: str) -> pd.DataFrame:
    return pairs[(pairs["testset"] == testset) & (pairs["classes"] == classes)]


def _draw_series(
    axes: Axes,
    points: pd.DataFrame,
    trends: pd.DataFrame,
    one: Series,
    areas: dict[int, float],
    settings: Settings,
    intervals: Intervals,
) -> LineEnd | None:
    own = points[(points["pool"] == one.pool) & (points["architecture"] == one.architecture)]
    if own.empty:
        log.warning("pool %s, %s: no model on %s", one.pool, one.architecture, points["testset"].iloc[0])
        return None
    ends = _draw_line(axes, points, own, _trend_of(own, trends, settings), one, settings, intervals)
    _draw_points(axes, own, one, areas, settings)
    return ends


def _trend_of(own: pd.DataFrame, trends: pd.DataFrame, settings: Settings) -> pd.Series:
    key = own.iloc[0][["pool", "architecture", "testset", "classes"]]
    rows = trends[(trends[list(key.index)] == key).all(axis=1) & (trends["scale"] == settings.scale)]
    if len(rows) != 1:
        named = ", ".join(f"{name} {value}" for name, value in key.items())
        raise FigureError(f"trends: {len(rows)} rows for {named}, scale {settings.scale}; run fit_trends again")
    return rows.iloc[0]


def _draw_line(
    axes: Axes,
    points: pd.DataFrame,
    own: pd.DataFrame,
    trend: pd.Series,
    one: Series,
    settings: Settings,
    intervals: Intervals,
) -> LineEnd | None:
    line = line_of(trend)
    if np.isnan(line.slope):
        return None
    ends = _line_ends(axes, own, settings.scale)
    style = {"color": one.colour, "linestyle": one.dashes, "zorder": 2.5}
    axes.plot(ends, line.at(ends), linewidth=1.3, **style)
    if one.kind == "baseline":
        # also drawn, as a thin line, where it is extrapolated: every model is measured against it
        whole = _line_ends(axes, points, settings.scale)
        for beyond in ([whole[0], ends[0]], [ends[1], whole[1]]):
            axes.plot(beyond, line.at(beyond), linewidth=0.7, **style)
    x = np.linspace(*ends, 60)
    low, high = intervals.band(own, x)
    axes.fill_between(x, low, high, color=one.colour, alpha=0.12, linewidth=0, zorder=1.5)
    left, right = ((float(end), float(line.at(end))) for end in ends)
    return LineEnd("baseline" if one.kind == "baseline" else one.label, one.colour, right, left)


def _line_ends(axes: Axes, points: pd.DataFrame, scale: str) -> tuple[float, float]:
    """Scaled reference accuracies between which the line of `points` is drawn."""
    fitted = transform(points.loc[on_scale(points, scale), "reference_value"], scale)
    margin = BEYOND * np.ptp(axes.get_xlim())
    return fitted.min() - margin, fitted.max() + margin


def _draw_points(axes: Axes, own: pd.DataFrame, one: Series, areas: dict[int, float], settings: Settings) -> None:
    x = axis_position(own["reference_value"], axes.get_xlim(), settings.scale)
    y = axis_position(own["value"], axes.get_ylim(), settings.scale)
    x_limits = clopper_pearson(own["reference_correct"], own["reference_n"], settings.point_confidence)
    y_limits = clopper_pearson(own["correct"], own["n"], settings.point_confidence)
    bars = {"color": one.colour, "linewidth": 0.7, "alpha": 0.55, "zorder": 2.8}
    axes.hlines(y, *(axis_position(limit, axes.get_xlim(), settings.scale) for limit in x_limits), **bars)
    axes.vlines(x, *(axis_position(limit, axes.get_ylim(), settings.scale) for limit in y_limits), **bars)
    for size in sorted(own["size"].unique()):
        here = (own["size"] == size).to_numpy()
        axes.plot(x[here], y[here], linestyle="", zorder=3, clip_on=False, **one.marker_style(areas[int(size)]))
