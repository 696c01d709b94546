"""One panel per shift: models as points with their intervals, the line of each pool with its band, one legend."""

import logging
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed.figures.axes import panel_limits, panel_shape, place, scale_axes
from testbed.figures.backdrop import EMPTY, Backdrop
from testbed.figures.style import STYLE, FigureError, Series, legend_entries, marker_areas, title_of
from testbed.statistics.lines import clopper_pearson, line_band
from testbed.statistics.scales import transform
from testbed.statistics.trends import Settings, bootstrap_trend, line_of, on_scale

log = logging.getLogger(__name__)

# inches. The full width of a two-column paper; around the panels; from one panel to the next; a row of the legend
WIDTH = 6.9
LEFT, RIGHT, TOP, BOTTOM = 0.6, 0.1, 0.24, 0.46
BESIDE, BELOW = 0.42, 0.5
ROW = 0.162
COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2}
# how far a pool's line goes beyond its own models, as a share of the x axis
BEYOND = 0.02


def draw_panels(
    pairs: pd.DataFrame,
    trends: pd.DataFrame,
    series: Sequence[Series],
    reference: str,
    shifts: Sequence[str],
    settings: Settings,
    backdrop: Backdrop = EMPTY,
) -> Figure:
    """A figure with one panel for each of `shifts`, in their order, and a legend below.

    `pairs` are rows of `testbed.tables.pair_with_reference`; `trends` is the table of
    `testbed.trends.fit_pool_trends`, from which the lines come. A pool without a line has points alone. A panel's x axis
    is over all of the reference's classes or, where `settings.classes` is `shift`, over those of its shift, if it has
    fewer; its title then says so.

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
                f"no model was evaluated on {shift!r}; evaluate one, or take it from the experiment's shifts"
            )
    areas = marker_areas(pairs["size"])
    shown = [backdrop.with_crosses(*panel) for panel in zip(panels, shifts, classes, strict=True)]
    x, ys = panel_limits(shown, settings.scale)
    entries = legend_entries(series, areas, settings) + backdrop.entries(settings)
    with matplotlib.rc_context(STYLE):
        labels = (
            f"{title_of(reference)} accuracy (%), both axes on the {settings.scale} scale",
            "Shifted accuracy (%)",
        )
        figure, grid = new_figure(len(shifts), panel_shape(x, ys[0]), entries, labels)
        for axes, shift, scored, points, y in zip(grid, shifts, classes, panels, ys, strict=True):
            axes.set_title(title_of(shift) + (" (x: its classes)" if scored != "all" else ""))
            scale_axes(axes, x, y, settings.scale)
            axes.axline((x[0], x[0]), slope=1, color="#555555", linewidth=0.9, linestyle=":", zorder=1)
            backdrop.draw(axes, shift, scored, settings)
            for one in series:
                _draw_series(axes, points, trends, one, areas, settings)
    return figure


def _classes_of(pairs: pd.DataFrame, shift: str, settings: Settings) -> str:
    return shift if settings.classes == "shift" and not _on(pairs, shift, shift).empty else "all"


def _on(pairs: pd.DataFrame, testset: str, classes: str) -> pd.DataFrame:
    return pairs[(pairs["testset"] == testset) & (pairs["classes"] == classes)]


def new_figure(count: int, shape: float, entries: list[Artist], labels: tuple[str, str]) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels of that shape (height by width), x and y labels for all of them, and a legend below.

    Everything is placed in inches, and not by a layout engine: these settle after several drawings only, so that a PDF
    and a PNG of the same figure would differ.
    """
    columns = min(count, COLUMNS.get(count, 3))
    rows = -(-count // columns)
    width = (WIDTH - LEFT - RIGHT - (columns - 1) * BESIDE) / columns
    legend_columns = _legend_columns(entries)
    legend = -(-len(entries) // legend_columns) * ROW + 0.12
    panels = rows * width * shape + (rows - 1) * BELOW
    height = TOP + panels + BOTTOM + legend
    figure = Figure(figsize=(WIDTH, height))
    grid = []
    for index in range(count):
        row, column = divmod(index, columns)
        left = LEFT + column * (width + BESIDE)
        bottom = height - TOP - (row + 1) * width * shape - row * BELOW
        grid.append(figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, width * shape / height)))
    middle = (LEFT + WIDTH - RIGHT) / 2 / WIDTH
    text = {"ha": "center", "va": "center", "fontsize": STYLE["axes.labelsize"]}
    figure.text(middle, (legend + 0.08) / height, labels[0], **text)
    figure.text(0.13 / WIDTH, (height - TOP - panels / 2) / height, labels[1], rotation=90, **text)
    figure.legend(handles=entries, loc="lower center", bbox_to_anchor=(0.5, 0), ncols=legend_columns, borderaxespad=0.3)
    return figure, grid


def _legend_columns(entries: list[Artist]) -> int:
    """As many columns as fit into the width, by the usual width of a letter at the legend's size."""
    longest = max(len(entry.get_label()) for entry in entries)
    return int(np.clip(WIDTH / (0.55 + 0.058 * longest), 1, 5))


def _draw_series(
    axes: Axes, points: pd.DataFrame, trends: pd.DataFrame, one: Series, areas: dict[int, float], settings: Settings
) -> None:
    own = points[(points["pool"] == one.pool) & (points["architecture"] == one.architecture)]
    if own.empty:
        log.warning("pool %s, %s: no model on %s", one.pool, one.architecture, points["testset"].iloc[0])
        return
    _draw_line(axes, points, own, _trend_of(own, trends, settings), one, settings)
    _draw_points(axes, own, one, areas, settings)


def _trend_of(own: pd.DataFrame, trends: pd.DataFrame, settings: Settings) -> pd.Series:
    key = own.iloc[0][["pool", "architecture", "testset", "classes"]]
    rows = trends[(trends[list(key.index)] == key).all(axis=1) & (trends["scale"] == settings.scale)]
    if len(rows) != 1:
        named = ", ".join(f"{name} {value}" for name, value in key.items())
        raise FigureError(f"trends: {len(rows)} rows for {named}, scale {settings.scale}; run fit_trends again")
    return rows.iloc[0]


def _draw_line(
    axes: Axes, points: pd.DataFrame, own: pd.DataFrame, trend: pd.Series, one: Series, settings: Settings
) -> None:
    line = line_of(trend)
    if np.isnan(line.slope):
        return
    ends = _ends(axes, own, settings.scale)
    look = {"color": one.colour, "linestyle": one.dashes, "zorder": 2.5}
    axes.plot(ends, line.at(ends), linewidth=1.3, **look)
    if one.kind == "baseline":
        # every model is measured against it, also where it has none of its own: thin, as it is extrapolated there
        whole = _ends(axes, points, settings.scale)
        for beyond in ([whole[0], ends[0]], [ends[1], whole[1]]):
            axes.plot(beyond, line.at(beyond), linewidth=0.7, **look)
    x = np.linspace(*ends, 60)
    low, high = line_band(bootstrap_trend(own, settings), x, settings.line_confidence)
    axes.fill_between(x, low, high, color=one.colour, alpha=0.12, linewidth=0, zorder=1.5)


def _ends(axes: Axes, points: pd.DataFrame, scale: str) -> tuple[float, float]:
    """Scaled reference accuracies between which the line of `points` is drawn."""
    fitted = transform(points.loc[on_scale(points, scale), "reference_value"], scale)
    margin = BEYOND * np.ptp(axes.get_xlim())
    return fitted.min() - margin, fitted.max() + margin


def _draw_points(axes: Axes, own: pd.DataFrame, one: Series, areas: dict[int, float], settings: Settings) -> None:
    x = place(own["reference_value"], axes.get_xlim(), settings.scale)
    y = place(own["value"], axes.get_ylim(), settings.scale)
    x_ends = clopper_pearson(own["reference_correct"], own["reference_n"], settings.point_confidence)
    y_ends = clopper_pearson(own["correct"], own["n"], settings.point_confidence)
    bars = {"color": one.colour, "linewidth": 0.7, "alpha": 0.55, "zorder": 2.8}
    axes.hlines(y, *(place(end, axes.get_xlim(), settings.scale) for end in x_ends), **bars)
    axes.vlines(x, *(place(end, axes.get_ylim(), settings.scale) for end in y_ends), **bars)
    for size in sorted(own["size"].unique()):
        here = (own["size"] == size).to_numpy()
        axes.plot(x[here], y[here], linestyle="", zorder=3, clip_on=False, **one.marker_style(areas[int(size)]))
