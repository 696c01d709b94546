"""Draw what is in the pools, for print: lengths of captions, sizes of images, classes that captions name, and shares.

In:  the description of each pool
Out: results/plots/pools.pdf and .png
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from testbed.cards.measures import MEASURES, shares_of
from testbed.figures.layout import lettered_grid
from testbed.figures.style import PLAIN, STYLE, Series, make_series, save_figure
from testbed.records.log import log_to
from testbed.records.manifest import read_json

if TYPE_CHECKING:
    from snakemake.script import snakemake

LABELS = {"words": "Words of a caption", "side": "Shorter side of the fetched image (pixels)"}
SHARES = {"repeated\ncaptions": "repeated_captions", "English": "en", "name\na class": "naming"}
SHARES |= {"repeated\nimages": "repeated_images", "grey\nimages": "grey_images"}
AREA = 20.0
SHOWN = 0.999
"""The share of the samples of each pool that the axes show."""


def plot_pools(descriptions: Mapping[str, Mapping], pools: Sequence[Mapping], reference: str) -> Figure:
    """The figure of the pools with `descriptions`, by name, in the order of `pools`; of a filter, what it kept.

    `reference` is the title of the reference. Lines are cumulative, so that many pools can be told apart.
    """
    shown = [pool for pool in pools if pool["name"] in descriptions]
    series = make_series(pd.DataFrame({"pool": list(descriptions), "architecture": ""}), shown)
    groups = {name: description["groups"][0] for name, description in descriptions.items()}
    entries = [
        Line2D([], [], color=one.colour, linestyle=one.dashes, linewidth=1.3, label=one.label, **one.marker_style(AREA))
        for one in series
    ]
    titles = ["Length of captions", "Size of images", f"Captions that name a class of {reference}", "Shares"]
    with matplotlib.rc_context(STYLE):
        figure, axes = lettered_grid("What is in the pools", titles, 2, entries, 3)
        for panel, name in zip(axes, LABELS, strict=False):
            _draw_cumulative(panel, name, series, groups)
        _draw_classes(axes[2], series, groups)
        _draw_shares(axes[3], series, groups)
    return figure


def cumulative(name: str, counts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The edges of a measure's bins, and the share of samples below each."""
    return MEASURES[name].edges, np.cumsum(shares_of(counts))[:-1]


def _draw_cumulative(axes: Axes, name: str, series: Sequence[Series], groups: Mapping[str, Mapping]) -> None:
    """The share of samples that have at most a number of words, or images with a shorter side below a number of pixels."""
    ends = []
    for one in series:
        counts = groups[one.pool]["measures"][name]["counts"]
        if not sum(counts):
            continue
        edges, below = cumulative(name, counts)
        # Below the edge n + 1 are the captions of at most n words.
        x = edges - 1 if name == "words" else edges
        axes.plot(x, 100 * below, color=one.colour, linestyle=one.dashes, linewidth=1.2, drawstyle=_steps(name))
        inside = np.flatnonzero((below > 1 - SHOWN) & (below < SHOWN))
        ends += [x[max(0, inside[0] - 1)], x[min(len(x) - 1, inside[-1] + 1)]] if len(inside) else []
    if name == "side":
        axes.set_xscale("log", base=2)
    if ends and name == "words":
        axes.set_xlim(max(0, min(ends)), max(ends))
    elif ends:
        axes.set_xlim(min(ends) / 1.1, max(ends) * 1.1)
        ticks = _powers(*axes.get_xlim())
        axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axes.minorticks_off()
    axes.set(xlabel=LABELS[name], ylabel=f"samples {'up to' if name == 'words' else 'below'} it (%)", ylim=(0, 102))


def _powers(low: float, high: float) -> list[float]:
    """Powers of two between two numbers, at most six; with numbers between them where there are fewer than three."""
    powers = 2.0 ** np.arange(np.ceil(np.log2(low)), np.floor(np.log2(high)) + 1)
    if len(powers) < 3:
        between = 2.0 ** np.arange(np.floor(np.log2(low)), np.ceil(np.log2(high)) + 1)
        powers = np.unique(np.concatenate([between, 1.25 * between, 1.5 * between, 1.75 * between]))
    return powers[(powers >= low) & (powers <= high)][:: -(-len(powers) // 6)].tolist()


def _steps(name: str) -> str:
    return "steps-post" if name == "words" else "default"


def _draw_classes(axes: Axes, series: Sequence[Series], groups: Mapping[str, Mapping]) -> None:
    """The share of captions that name each class, the most frequent class first; classes that none names are left out."""
    for one in series:
        group = groups[one.pool]
        named = np.sort(np.array(group["named"]))[::-1]
        named = 100 * named[named > 0] / max(1, group["samples"])
        axes.plot(np.arange(1, len(named) + 1), named, color=one.colour, linestyle=one.dashes, linewidth=1.2)
    classes = max((len(group["named"]) for group in groups.values()), default=1)
    axes.set_yscale("log")
    if classes > 100:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter(PLAIN))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(LogLocator(10))
    axes.yaxis.set_major_formatter(StrMethodFormatter(PLAIN))
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    axes.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high)))
    axes.set(xlabel="rank of the class", ylabel="captions that name it (%, logarithmic)")


def _draw_shares(axes: Axes, series: Sequence[Series], groups: Mapping[str, Mapping]) -> None:
    """Shares of each pool, a row each; pools are a little apart, so that equal shares can be seen."""
    for place, one in enumerate(series):
        group = groups[one.pool]
        offset = 0.6 * ((place + 0.5) / len(series) - 0.5)
        for row, key in enumerate(SHARES.values()):
            axes.plot(
                [100 * share(group, key)],
                [row + offset],
                linestyle="",
                clip_on=False,
                zorder=3,
                **one.marker_style(AREA),
            )
    axes.set_yticks(range(len(SHARES)), list(SHARES), fontsize=6.5)
    axes.set(xlim=(0, 100), ylim=(len(SHARES) - 0.5, -0.5), xlabel="samples (%)")


def share(group: Mapping, key: str) -> float:
    """A share of a group: one that it has, or one of its counts."""
    if key == "en":
        return group["languages"].get("en", 0) / max(1, group["drawn_captions"])
    if key == "naming":
        return group["naming"] / max(1, group["samples"])
    if key == "grey_images":
        return group["grey_images"] / max(1, group["decoded_images"])
    return group[key]


if __name__ == "__main__":
    log_to(snakemake.log[0])
    descriptions = {one["pool"]: one for one in map(read_json, snakemake.input.descriptions)}
    config, pools = snakemake.config, snakemake.params.pools
    order = [pools[name] for name in [*config["sources"], *config["filters"]] if name in pools]
    figure = plot_pools(descriptions, order, snakemake.params.reference)
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
