"""Draw where mixtures of two pools lie between them, as a function of their shares: a panel per pair and shift.

In:  results/tables/mixture_law.csv
Out: results/plots/mixture_ratios.pdf and .png
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

from testbed.experiment.pools import in_order, testsets_in_order
from testbed.experiment.titles import title_of, title_of_pool
from testbed.figures.layout import lettered_grid, note_figure
from testbed.figures.style import COLOURS, STYLE, save_figure
from testbed.records.log import log_to
from testbed.statistics.mixture_law import fraction_at
from testbed.statistics.settings import Settings

if TYPE_CHECKING:
    from snakemake.script import snakemake

MOST_COLUMNS = 4
LIMITS = (-0.6, 1.6)
"""Largest limits of the y axis; intervals may leave them."""
COLOUR = COLOURS[0]
POINT = {"marker": "o", "color": COLOUR, "markersize": 4.5, "linestyle": ""}
HELD_OUT = {"marker": "D", "markerfacecolor": "white", "markeredgecolor": "#333333", "markersize": 4, "linestyle": ""}
PROPORTION = {"color": "#555555", "linewidth": 0.9, "linestyle": ":"}


def plot_mixture_ratios(
    law: pd.DataFrame, shifts: Sequence[str], pools: Sequence[Mapping], settings: Settings
) -> Figure:
    """The figure of the table `law` (see `fit_mixture_law`) on `shifts`, in their order, over all classes.

    A point is the fraction of a mixture, with its interval. The curve is the law fitted to all points, and a diamond is what
    the law predicts for a mixture from the others. `pools` are the experiment's, with their titles. A panel
    without any interval says why. Without any row on `shifts`, the figure says so.
    """
    whole = law[(law["classes"] == "all") & law["testset"].isin([*shifts])]
    if whole.empty:
        return note_figure("No mixture of two pools has evaluated models, or ones above statistics.minimum_reference.")
    titles = {pool["name"]: title_of_pool(pool) for pool in pools}
    pairs = [frozenset(pair) for pair in whole[["better", "other"]].itertuples(index=False)]
    panels = [
        (whole[[pair == one for pair in pairs]], architecture, shift)
        for one in dict.fromkeys(pairs)
        for architecture in whole["architecture"].unique()
        for shift in shifts
    ]
    panels = [
        own[(own["architecture"] == architecture) & (own["testset"] == shift)] for own, architecture, shift in panels
    ]
    panels = [own for own in panels if not own.empty]
    with matplotlib.rc_context(STYLE | {"xtick.labelsize": 7, "ytick.labelsize": 7}):
        scale = whole["scale"].iloc[0]
        headline = f"Line of a mixture between those of its two members, on the {scale} scale (0: other, 1: better)"
        several = whole["architecture"].nunique() > 1
        names = [_title(own, titles, several) for own in panels]
        columns = min(len(shifts), MOST_COLUMNS)
        figure, grid = lettered_grid(headline, names, columns, _entries(settings), 2)
        for place, (axes, own) in enumerate(zip(grid, panels, strict=True)):
            _draw(axes, own, titles)
            if place % columns == 0:
                axes.set_ylabel("fraction")
    return figure


def _title(own: pd.DataFrame, titles: Mapping[str, str], several: bool) -> str:
    shift = title_of(own["testset"].iloc[0])
    return f"{shift}, {own['architecture'].iloc[0]}" if several else shift


def _draw(axes: Axes, own: pd.DataFrame, titles: Mapping[str, str]) -> None:
    better, other = (titles[own[role].iloc[0]] for role in ("better", "other"))
    axes.set(xlim=(0, 100), xticks=[0, 25, 50, 75, 100])
    axes.set_xlabel(f"% {better}, rest {other}", fontsize=7)
    known = own[own["fraction_low"].notna() & own["fraction_high"].notna()]
    if known.empty:
        apart = (
            "the members' lines\nare not told apart"
            if own["fraction"].notna().any()
            else "no common reference\naccuracy"
        )
        axes.text(50, 0.5, apart, ha="center", va="center", fontsize=7, color="#555555")
        axes.set_ylim(0, 1)
        return
    axes.plot([0, 100], [0, 1], **PROPORTION)
    share = 100 * known["share"]
    curvature = own["curvature"].iloc[0]
    if np.isfinite(curvature):
        x = np.linspace(0, 1, 101)
        axes.plot(100 * x, fraction_at(x, curvature), color=COLOUR, linewidth=1.3)
    axes.vlines(share, known["fraction_low"], known["fraction_high"], color=COLOUR, linewidth=0.9, alpha=0.6)
    axes.plot(share, known["fraction"], **POINT)
    # beside the point that it predicts
    axes.plot(share + 4, known["held_out"], **HELD_OUT)
    ends = [0, 1, *known["fraction_low"], *known["fraction_high"]]
    axes.set_ylim(max(LIMITS[0], min(ends) - 0.08), min(LIMITS[1], max(ends) + 0.08))


def _entries(settings: Settings) -> list[Artist]:
    interval = f"mixture, {100 * settings.line_confidence:g} % interval"
    return [
        Line2D([], [], **POINT, label=interval),
        Line2D([], [], color=COLOUR, linewidth=1.3, label="law of mixtures, fitted to all shares"),
        Line2D([], [], **HELD_OUT, label="predicted from the other shares"),
        Line2D([], [], **PROPORTION, label="in proportion to the share"),
    ]


if __name__ == "__main__":
    log_to(snakemake.log[0])
    figure = plot_mixture_ratios(
        pd.read_csv(snakemake.input.law),
        testsets_in_order(snakemake.params.shifts, snakemake.config),
        in_order(snakemake.params.pools, snakemake.config),
        Settings(**snakemake.params.statistics),
    )
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
