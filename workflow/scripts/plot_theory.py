"""Draw the simple setting of testbed.theory.closed_forms, a reconstruction: closed forms as lines, Monte Carlo as markers.

In:  results/tables/theory.csv and theory_models.csv (see simulate_theory.py)
Out: results/plots/theory.pdf and .png
"""

from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.figures.axes import scale_axes
from testbed.figures.layout import lettered_grid
from testbed.figures.style import BASELINE, COLOURS, STYLE, save_figure
from testbed.records.log import log_to
from testbed.statistics.scales import transform
from testbed.theory.closed_forms import (
    SOURCES,
    clean_share,
    clean_share_limit,
    effective_robustness,
    ensemble,
    filtered_slope,
    kept_fraction,
    mixture,
    mixture_slope,
    probits,
    slope,
    standard_slope,
)

if TYPE_CHECKING:
    from snakemake.script import snakemake

HEADLINE = "A reconstruction of the paper's simple setting: closed forms (lines) and Monte Carlo (markers)"
TITLES = [
    "Size moves along a line",
    "Mixtures lie between",
    "Mixing dilutes the slope",
    "… and effective robustness",
    "Filters move the slope",
    "Filters clean labels",
]
DASHED, DOTTED, GREY = (0, (4, 1.4)), (0, (1, 1.3)), "#555555"
A, B, INPUT, OUTPUT = COLOURS[:4]
SHARES = np.linspace(0, 1, 101)
THRESHOLDS = np.linspace(-8, 8, 161)
STANDARD_DASHES = (0, (2.2, 1.2))
STYLES = {
    "A": {"color": A, "marker": "o", "markersize": 3.6},
    "B": {"color": B, "marker": "s", "markersize": 3.4},
    "mixture": {"color": INPUT, "marker": "^", "markersize": 4.0},
    # nearly at the same positions, so one is drawn inside the other
    "input mixing": {"color": INPUT, "marker": "^", "markersize": 7, "markerfacecolor": "white"},
    "output mixing": {"color": OUTPUT, "marker": "D", "markersize": 2.4, "zorder": 3.5},
}
PURITIES = {"60 % clean": ("#222222", "P"), "30 % clean": ("#666666", "X"), "10 % clean": ("#8a8a8a", "v")}


def plot_theory(table: pd.DataFrame, models: pd.DataFrame) -> Figure:
    """The figure for the tables of `simulate_theory`."""
    with matplotlib.rc_context(STYLE):
        figure, panels = lettered_grid(HEADLINE, TITLES, 3, _legend(), 4)
        _draw_trends(panels[0], models)
        _draw_mixing(panels[1], table)
        _draw_slopes(panels[2], table)
        _draw_robustness(panels[3], table)
        _draw_filters(panels[4], table)
        _draw_cleaning(panels[5], table)
    return figure


def _legend() -> list[Line2D]:
    def entry(name: str, label: str, dashes: object = "-") -> Line2D:
        return Line2D([], [], linestyle=dashes, linewidth=1.2, label=label, **STYLES[name])

    return [
        entry("A", "source A"),
        entry("B", "source B"),
        entry("input mixing", "input mixing", "-"),
        entry("output mixing", "output mixing", DASHED),
        Line2D([], [], color=BASELINE, linestyle=STANDARD_DASHES, linewidth=1.0, label="standard models"),
        Line2D([], [], color=GREY, linestyle=DOTTED, linewidth=0.9, label="y = x (a), limits (e, f)"),
        Line2D([], [], color=GREY, linestyle="", marker="*", markersize=8, label="unlimited samples (a)"),
    ]


def _probit_axes(axes: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    scale_axes(axes, tuple(transform(x, "probit")), tuple(transform(y, "probit")), "probit")
    axes.set_xlabel("reference accuracy (%), probit scale")
    axes.set_ylabel("shifted accuracy (%)", labelpad=2)


def _line(axes: Axes, incline: float, **style: object) -> None:
    axes.axline((0, 0), slope=incline, **style)


def _draw_trends(axes: Axes, models: pd.DataFrame) -> None:
    _probit_axes(axes, (0.49, 0.945), (0.49, 0.895))
    means = {**SOURCES, "mixture": mixture([0.5, 0.5], list(SOURCES.values()))}
    _line(axes, 1, color=GREY, linestyle=DOTTED, linewidth=0.9)
    _line(axes, standard_slope(), color=BASELINE, linestyle=STANDARD_DASHES, linewidth=1.0)
    for name, own in models.groupby("setting", sort=False):
        style = STYLES[name]
        _line(axes, float(slope(means[name])), color=style["color"], linewidth=1.2)
        x, y = (transform(own[column], "probit") for column in ("reference_accuracy", "shifted_accuracy"))
        small = {**style, "markersize": 0.55 * style["markersize"], "markeredgewidth": 0}
        axes.plot(x, y, linestyle="", alpha=0.5, zorder=2.5, **small)
        star = {"marker": "*", "markersize": 10, "markeredgecolor": "white", "markeredgewidth": 0.6}
        axes.plot(*probits(means[name]), linestyle="", color=style["color"], zorder=4, **star)


def _draw_mixing(axes: Axes, table: pd.DataFrame) -> None:
    _probit_axes(axes, (0.79, 0.94), (0.53, 0.855))
    means = list(SOURCES.values())
    _line(axes, standard_slope(), color=BASELINE, linestyle=STANDARD_DASHES, linewidth=1.0)
    for statement, combine, dashes in (("input mixing", mixture, "-"), ("output mixing", ensemble, DASHED)):
        path = np.array([probits(combine([share, 1 - share], means)) for share in SHARES])
        axes.plot(*path.T, color=STYLES[statement]["color"], linestyle=dashes, linewidth=1.2)
        _markers(axes, table, statement, "shifted accuracy", transform, "reference accuracy")
    for name, mean in SOURCES.items():
        _line(axes, float(slope(mean)), color=STYLES[name]["color"], linewidth=0.8, alpha=0.7)
        axes.plot(*probits(mean), linestyle="", zorder=4, **{**STYLES[name], "markersize": 5})
    for share, side in ((0.1, (7, -3)), (0.5, (-31, -3)), (0.9, (6, 2))):
        place = probits(mixture([share, 1 - share], means))
        axes.annotate(f"{100 * share:g} % A", place, side, textcoords="offset points", fontsize=6, color=GREY)


def _markers(axes: Axes, table: pd.DataFrame, statement: str, quantity: str, scale=None, against: str = "") -> None:
    """Draw simulated values of a statement against its parameter or, on the probit scale, against another quantity."""
    rows = table[(table["statement"] == statement) & (table["quantity"] == quantity)]
    x, y = rows["parameter"], rows["monte_carlo"]
    if scale is not None:
        other = table[(table["statement"] == statement) & (table["quantity"] == against)]
        x, y = scale(other["monte_carlo"], "probit"), scale(y, "probit")
    axes.plot(x, y, **{"linestyle": "", "zorder": 3, **STYLES[statement]})


def _draw_slopes(axes: Axes, table: pd.DataFrame) -> None:
    means = list(SOURCES.values())
    norms = [np.linalg.norm(mean) for mean in means]
    shares = np.stack([SHARES, 1 - SHARES], axis=1)
    axes.plot(SHARES, [mixture_slope(share, means) for share in shares], color=INPUT, linewidth=1.2)
    lengths = [mixture_slope(share / norms, means) for share in shares]
    axes.plot(SHARES, lengths, color=OUTPUT, linestyle=DASHED, linewidth=1.2)
    for statement in ("input mixing", "output mixing"):
        _markers(axes, table, statement, "slope")
    axes.axhline(standard_slope(), color=BASELINE, linestyle=STANDARD_DASHES, linewidth=1.0)
    for name, place in (("A", 1), ("B", 0)):
        axes.plot([place], [slope(SOURCES[name])], linestyle="", clip_on=False, zorder=4, **STYLES[name])
    _share_axis(axes, "slope on the probit scale")


def _draw_robustness(axes: Axes, table: pd.DataFrame) -> None:
    means = list(SOURCES.values())
    for combine, colour, dashes in ((mixture, INPUT, "-"), (ensemble, OUTPUT, DASHED)):
        scaled = np.array([probits(combine([share, 1 - share], means)) for share in SHARES])
        axes.plot(SHARES, 100 * effective_robustness(scaled), color=colour, linestyle=dashes, linewidth=1.2)
    percent = table.assign(monte_carlo=100 * table["monte_carlo"])
    for statement in ("input mixing", "output mixing"):
        _markers(axes, percent, statement, "effective robustness")
    axes.axhline(0, color=BASELINE, linestyle=STANDARD_DASHES, linewidth=1.0)
    single = percent[(percent["statement"] == "accuracy") & (percent["quantity"] == "effective robustness")]
    for row in single.itertuples():
        place = {"A": 1, "B": 0}[row.setting]
        axes.plot([place], [row.monte_carlo], linestyle="", clip_on=False, zorder=4, **STYLES[row.setting])
    _share_axis(axes, "effective robustness (points)")


def _share_axis(axes: Axes, label: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_xticks(np.linspace(0, 1, 5), ["0", "25", "50", "75", "100"])
    axes.set_xlabel("share of source A (%)")
    axes.set_ylabel(label, labelpad=2)


def _draw_filters(axes: Axes, table: pd.DataFrame) -> None:
    for name, other in (("B", "A"), ("A", "B")):
        mean, teacher = SOURCES[name], SOURCES[other]
        style = {"color": STYLES[name]["color"], "linewidth": 1.2}
        axes.plot(kept_fraction(mean, teacher, THRESHOLDS), filtered_slope(mean, teacher, THRESHOLDS), **style)
        rows = table[table["setting"] == f"{name} filtered by {other}"]
        kept, slopes = (
            rows.loc[rows["quantity"] == quantity, "monte_carlo"] for quantity in ("kept fraction", "slope")
        )
        axes.plot(kept, slopes, linestyle="", zorder=3, **STYLES[name])
        axes.axhline(slope(teacher), color=GREY, linestyle=DOTTED, linewidth=0.9)
    axes.text(0.9, 0.80, "A filtered by B", color=A, fontsize=6.5, va="top")
    axes.text(0.9, 0.17, "B filtered by A", color=B, fontsize=6.5, va="bottom")
    axes.text(0.012, slope(SOURCES["A"]) - 0.02, "teacher A", color=GREY, fontsize=6, ha="right", va="top")
    axes.text(0.012, slope(SOURCES["B"]) - 0.02, "teacher B", color=GREY, fontsize=6, ha="right", va="top")
    axes.set_ylim(0.05, 0.95)
    axes.set_ylabel("slope on the probit scale", labelpad=2)
    _kept_axis(axes)


def _draw_cleaning(axes: Axes, table: pd.DataFrame) -> None:
    mean = SOURCES["A"]
    for setting, (colour, marker) in PURITIES.items():
        rows = table[table["setting"] == setting]
        share = float(setting.split()[0]) / 100
        curve = clean_share(share, mean, mean, THRESHOLDS)
        axes.plot(_kept_of_noisy(share, THRESHOLDS), 100 * curve, color=colour, linewidth=1.2)
        kept = _kept_of_noisy(share, rows["parameter"].to_numpy())
        markers = {"color": colour, "marker": marker, "markersize": 5.2, "markeredgecolor": "white"}
        axes.plot(kept, 100 * rows["monte_carlo"], linestyle="", zorder=3, markeredgewidth=0.4, **markers)
        axes.axhline(100 * clean_share_limit(share), color=GREY, linestyle=DOTTED, linewidth=0.9)
        below = 100 * clean_share_limit(share) - 3
        axes.text(0.011, below, setting, color=colour, fontsize=6.5, ha="right", va="top")
    axes.set_ylim(0, 100)
    axes.set_ylabel("clean share of what is kept (%)", labelpad=2)
    _kept_axis(axes)


def _kept_of_noisy(share: float, threshold: np.ndarray) -> np.ndarray:
    """Kept fraction of a source with a clean `share`, filtered by its own teacher."""
    mean = SOURCES["A"]
    right = kept_fraction(mean, mean, threshold)
    return share * right / clean_share(share, mean, mean, threshold)


def _kept_axis(axes: Axes) -> None:
    """Set up the axis of the kept fraction, decreasing, so that filters become stricter from left to right."""
    axes.set_xscale("log")
    axes.set_xlim(1.05, 0.01)
    ticks = [1, 0.3, 0.1, 0.03, 0.01]
    axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_xlabel("kept by the filter (%)")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    figure = plot_theory(pd.read_csv(snakemake.input.comparisons), pd.read_csv(snakemake.input.models))
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
