"""Draw accuracy against the number of training samples: a panel per test set, a power law of the error per pool.

In:  results/tables/evaluations.csv
Out: results/plots/data_efficiency.pdf and .png
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.experiment.pools import ensembles_of, in_order, testsets_in_order
from testbed.experiment.titles import title_of
from testbed.figures.layout import new_figure
from testbed.figures.style import STYLE, FigureError, Series, make_series, save_figure, size_label
from testbed.records.log import log_to
from testbed.statistics.scaling import BEYOND, accuracy_at, power_law, trained_on_size
from testbed.statistics.tables import read_evaluations

if TYPE_CHECKING:
    from snakemake.script import snakemake

SHAPE = 0.8
AREA = 22.0
# inches: width of a letter in a tick label, and distance between labels
LETTER, GAP = 0.062, 0.08


def plot_data_efficiency(evaluations: pd.DataFrame, testsets: Sequence[str], pools: Sequence[Mapping]) -> Figure:
    """The figure of `pools` (each with `name` and `kind`) on `testsets`, in their order, over all classes.

    A point is the mean over seeds, with a bar from the worst to the best seed. Lines are power laws, thin where they are
    extrapolated to twice the largest trainset; the table of `fit_scaling` has intervals of their exponents. Ensembles are
    left out: they saw the samples of all their members.

    Raises `FigureError` if no model of a known size was evaluated on one of `testsets`.
    """
    whole = trained_on_size(evaluations[evaluations["classes"] == "all"], ensembles_of(pools))
    panels = [whole[whole["testset"] == testset] for testset in testsets]
    for testset, points in zip(testsets, panels, strict=True):
        if points.empty:
            raise FigureError(f"no model was evaluated on {testset!r}; evaluate one, or remove it from the test sets")
    series = make_series(whole, pools)
    with matplotlib.rc_context(STYLE):
        labels = ("Training samples (logarithmic)", "Accuracy (%)")
        figure, grid = new_figure(len(testsets), SHAPE, _legend(series, whole), labels)
        for axes, testset, points in zip(grid, testsets, panels, strict=True):
            axes.set_title(title_of(testset))
            _scale(axes, points)
            for one in series:
                own = points[(points["pool"] == one.pool) & (points["architecture"] == one.architecture)]
                if not own.empty:
                    _draw(axes, own, one)
            axes.set_ylim(0, 1.05 * max(np.max(line.get_ydata()) for line in axes.lines))
    return figure


def _scale(axes: Axes, points: pd.DataFrame) -> None:
    sizes = sorted(points["size"].unique())
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.15, BEYOND * sizes[-1] * 1.15)
    low, high = np.log(axes.get_xlim())
    inches = axes.get_position().width * axes.figure.get_figwidth() / (high - low)
    shown = [sizes[-1]]
    for size in reversed(sizes[:-1]):
        letters = (len(size_label(int(size))) + len(size_label(int(shown[-1])))) / 2
        if inches * np.log(shown[-1] / size) >= letters * LETTER + GAP:
            shown.append(size)
    axes.set_xticks(shown, [size_label(int(size)) for size in shown])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))


def _draw(axes: Axes, own: pd.DataFrame, one: Series) -> None:
    line = power_law(own)
    if not np.isnan(line.slope):
        smallest, largest = own["size"].min(), own["size"].max()
        style = {"color": one.colour, "linestyle": one.dashes, "zorder": 2.5}
        inside = np.geomspace(smallest, largest, 40)
        beyond = np.geomspace(largest, BEYOND * largest, 20)
        axes.plot(inside, 100 * accuracy_at(line, inside), linewidth=1.3, **style)
        axes.plot(beyond, 100 * accuracy_at(line, beyond), linewidth=0.6, **style)
    seeds = own.groupby("size")["value"].agg(["mean", "min", "max", "count"])
    several = seeds[seeds["count"] > 1]
    axes.vlines(several.index, 100 * several["min"], 100 * several["max"], color=one.colour, linewidth=0.9, zorder=2.8)
    axes.plot(seeds.index, 100 * seeds["mean"], linestyle="", zorder=3, clip_on=False, **one.marker_style(AREA))


def _legend(series: Sequence[Series], whole: pd.DataFrame) -> list[Artist]:
    entries: list[Artist] = [
        Line2D([], [], color=one.colour, linestyle=one.dashes, linewidth=1.3, label=one.label, **one.marker_style(AREA))
        for one in series
    ]
    entries.append(Line2D([], [], color="#555555", linewidth=0.6, label="extrapolated"))
    if whole.groupby(["pool", "architecture", "testset", "size"]).size().max() > 1:
        entries.append(Line2D([], [], color="#555555", linewidth=0.9, marker="|", label="worst to best seed"))
    return entries


if __name__ == "__main__":
    log_to(snakemake.log[0])
    figure = plot_data_efficiency(
        read_evaluations(snakemake.input.evaluations),
        testsets_in_order(snakemake.params.testsets, snakemake.config),
        in_order(snakemake.params.pools, snakemake.config),
    )
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
