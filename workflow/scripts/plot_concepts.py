"""Draw the accuracy of each class over how often captions name it: a panel per pool, with the lines of all test sets.

In:  results/tables/concepts.csv and concept_classes.csv
Out: results/plots/concepts.pdf and .png
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from testbed.experiment.pools import testsets_in_order
from testbed.experiment.titles import title_of, title_of_pool
from testbed.figures.layout import new_figure, note_figure
from testbed.figures.style import COLOURS, PLAIN, STYLE, save_figure
from testbed.records.log import log_to

if TYPE_CHECKING:
    from snakemake.script import snakemake

SHAPE = 0.8
REFERENCE = "#1a1a1a"
DASHES = ("-", (0, (5, 1.2)), (0, (2.2, 1.2)), (0, (5, 1.2, 1, 1.2)))
"""Lines of the architectures, so that two can be told apart."""


def plot_concepts(
    fits: pd.DataFrame, classes: pd.DataFrame, testsets: Sequence[str], pools: Sequence[Mapping], reference: str
) -> Figure:
    """The figure of the two tables: points are the classes of `reference`, lines are the fits of each of `testsets`."""
    shown = [pool for pool in pools if pool["name"] in set(classes["pool"])]
    if not shown:
        return note_figure("No pool has both a description and a model.")
    others = [testset for testset in testsets if testset != reference]
    colours = {reference: REFERENCE} | {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(others)}
    architectures = sorted(classes["architecture"].unique())
    entries = [Line2D([], [], color=colour, linewidth=1.3, label=title_of(name)) for name, colour in colours.items()]
    entries[0].set_marker("o")
    entries[0].set_markersize(3.5)
    if len(architectures) > 1:
        entries += [
            Line2D([], [], color="#777777", linestyle=DASHES[place % len(DASHES)], linewidth=1.3, label=name)
            for place, name in enumerate(architectures)
        ]
    with matplotlib.rc_context(STYLE):
        labels = ("Captions of the trainset that name the class (logarithmic)", "Accuracy of the class (%)")
        figure, grid = new_figure(len(shown), SHAPE, entries, labels)
        for axes, pool in zip(grid, shown, strict=True):
            own = classes[(classes["pool"] == pool["name"]) & (classes["named"] > 0)]
            axes.set_title(title_of_pool(pool))
            points = own[(own["testset"] == reference) & (own["architecture"] == architectures[0])]
            axes.plot(
                points["named"],
                100 * points["accuracy"],
                "o",
                color=REFERENCE,
                markersize=2.4,
                alpha=0.55,
                clip_on=False,
            )
            for _, fit in fits[fits["pool"] == pool["name"]].iterrows():
                x = own.loc[(own["testset"] == fit["testset"]) & (own["architecture"] == fit["architecture"]), "named"]
                _draw_line(
                    axes, fit, x, colours.get(fit["testset"]), DASHES[architectures.index(fit["architecture"]) % 4]
                )
            _finish(axes, own, fits[(fits["pool"] == pool["name"]) & (fits["testset"] == reference)])
    return figure


def _draw_line(axes: Axes, fit: pd.Series, named: pd.Series, colour: str | None, dashes: object) -> None:
    if colour is None or not np.isfinite(fit["slope"]):
        return
    ends = np.array([named.min(), named.max()])
    accuracy = 100 * (fit["intercept"] + fit["slope"] * np.log10(ends))
    axes.plot(ends, accuracy, color=colour, linestyle=dashes, linewidth=1.2)


def _finish(axes: Axes, own: pd.DataFrame, reference: pd.DataFrame) -> None:
    """Axes, and the correlation on the reference with its interval."""
    axes.set_xscale("log")
    if len(own):
        low, high = own["named"].min(), own["named"].max()
        axes.set_xlim(low / 1.25, high * 1.25)
        ticks = _ticks(low / 1.25, high * 1.25)
        axes.set_xticks(ticks, [PLAIN.format(x=tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    # Above 100 % is the place of the correlation, so that it hides no point.
    axes.set_ylim(0, 116)
    axes.set_yticks(range(0, 101, 20))
    axes.yaxis.set_major_formatter(StrMethodFormatter(PLAIN))
    if len(reference) and np.isfinite(reference.iloc[0]["correlation"]):
        first = reference.iloc[0]
        text = f"r = {first['correlation']:.2f} ({first['correlation_low']:.2f} to {first['correlation_high']:.2f})"
        text = text.replace("-0.00", "0.00").replace("-", "\u2212")
        axes.text(0.03, 0.98, text, transform=axes.transAxes, va="top", fontsize=6.5)


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two numbers; with steps between them where there are fewer than two."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = sorted(power * step for power in powers for step in steps if low <= power * step <= high)
        if len(ticks) >= 2:
            break
    return ticks[:: -(-len(ticks) // 5)]


if __name__ == "__main__":
    log_to(snakemake.log[0])
    config, pools = snakemake.config, snakemake.params.pools
    # A class may be called null.
    classes = pd.read_csv(snakemake.input.classes, keep_default_na=False)
    figure = plot_concepts(
        pd.read_csv(snakemake.input.concepts),
        classes,
        testsets_in_order(snakemake.params.testsets, config),
        [pools[name] for name in [*config["sources"], *config["filters"]] if name in pools],
        snakemake.params.reference,
    )
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
