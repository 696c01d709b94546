"""Draw how near test images are to the pools, and the accuracy of models by this similarity: two panels a test set.

In:  results/tables/similarity.csv and similarity_accuracy.csv
Out: results/plots/similarity.pdf and .png
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.experiment.pools import testsets_in_order
from testbed.experiment.titles import title_of
from testbed.figures.layout import lettered_grid, note_figure
from testbed.figures.style import STYLE, Series, make_series, save_figure, size_label
from testbed.records.log import log_to
from testbed.statistics.similarity import FEWEST, compared_sizes

if TYPE_CHECKING:
    from snakemake.script import snakemake

SHAPE = 0.55
AREA = 18.0


def plot_similarity(
    summary: pd.DataFrame, accuracy: pd.DataFrame, testsets: Sequence[str], pools: Sequence[Mapping], teacher: str
) -> Figure:
    """The figure of the two tables, for the sources and the baseline among `pools`; `teacher` is the name of the model."""
    shown = [pool for pool in pools if pool["kind"] in ("source", "baseline")] or list(pools)
    sizes = compared_sizes(summary, shown)
    if not sizes:
        return note_figure("No trainset was compared with test images.")
    architecture = min(accuracy["architecture"], default="")
    series = make_series(pd.DataFrame({"pool": list(sizes), "architecture": architecture}), shown)
    usual = max(set(sizes.values()), key=list(sizes.values()).count)
    summary, accuracy = (table[table["size"] == table["pool"].map(sizes)] for table in (summary, accuracy))
    accuracy = accuracy[(accuracy["architecture"] == architecture) & (accuracy["n"] >= FEWEST)]
    present = [testset for testset in testsets if testset in set(summary["testset"])]
    entries = [_entry(one, sizes[one.pool], usual) for one in series]
    titles = [title for testset in present for title in (title_of(testset), f"Accuracy on {title_of(testset)}")]
    with matplotlib.rc_context(STYLE):
        headline = f"Nearest of {size_label(usual)} training images, by the embeddings of {teacher}"
        figure, grid = lettered_grid(headline, titles, 2, entries, 3, SHAPE)
        for testset, left, right in zip(present, grid[::2], grid[1::2], strict=True):
            own = summary[summary["testset"] == testset].set_index("pool")
            _draw_distributions(left, own, series)
            _draw_accuracy(right, accuracy[accuracy["testset"] == testset], series)
            right.set_xlim(left.get_xlim())
        for axes in grid[-2:]:
            axes.set_xlabel("similarity to the nearest training image")
    return figure


def _entry(one: Series, size: int, usual: int) -> Line2D:
    label = one.label if size == usual else f"{one.label}, {size_label(size)} samples"
    return Line2D([], [], color=one.colour, linestyle=one.dashes, linewidth=1.3, label=label, **one.marker_style(AREA))


def _draw_distributions(axes: Axes, summary: pd.DataFrame, series: Sequence[Series]) -> None:
    """For each pool the similarity of the test images: median, the middle half and the middle nine tenths."""
    for row, one in enumerate(series):
        if one.pool not in summary.index:
            continue
        own = summary.loc[one.pool]
        axes.plot(own[["q05", "q95"]], [row, row], color=one.colour, linewidth=0.9, solid_capstyle="butt")
        axes.plot(own[["q25", "q75"]], [row, row], color=one.colour, linewidth=3.2, solid_capstyle="butt", alpha=0.55)
        axes.plot([own["median"]], [row], linestyle="", zorder=3, **one.marker_style(AREA))
    axes.set(ylim=(len(series) - 0.4, -0.6))
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)


def _draw_accuracy(axes: Axes, accuracy: pd.DataFrame, series: Sequence[Series]) -> None:
    """Accuracy in each bin of similarity, at the mean similarity of its images, with the interval."""
    if accuracy.empty:
        axes.set_yticks([])
        why = f"no range has {FEWEST} images with a class"
        axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", color="#555555")
        return
    for one in series:
        own = accuracy[accuracy["pool"] == one.pool].sort_values("bin")
        x, y = own["similarity"], 100 * own["accuracy"]
        axes.vlines(
            x, 100 * own["accuracy_low"], 100 * own["accuracy_high"], color=one.colour, linewidth=0.6, alpha=0.5
        )
        axes.plot(x, y, color=one.colour, linestyle=one.dashes, linewidth=1.1, **one.marker_style(AREA * 0.5))
    axes.set(ylabel="accuracy (%)")
    axes.set_ylim(bottom=0)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    params, config = snakemake.params, snakemake.config
    # Parameters are sorted by name: the order of keys causes no rerun.
    order = [*config["sources"], *config["mixtures"], *config["filters"]]
    figure = plot_similarity(
        pd.read_csv(snakemake.input.similarity),
        pd.read_csv(snakemake.input.accuracy),
        testsets_in_order(params.testsets, config),
        [params.pools[name] for name in order],
        params.teacher,
    )
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
