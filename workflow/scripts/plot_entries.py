"""Draw how a filter balances entries: their matches before and after, on logarithmic axes.

In:  the filter's table of entries, and the manifest of the kept samples
Out: the figure as PDF and PNG
"""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from testbed.figures.style import COLOURS, STYLE, save_figure
from testbed.records.log import log_to
from testbed.records.manifest import read_json

if TYPE_CHECKING:
    from snakemake.script import snakemake

BEFORE, AFTER, GREY = "#777777", COLOURS[0], "#555555"


def summary(facts: dict, table: pd.DataFrame) -> str:
    """A summary of the filter's result in numbers."""
    head = table[table["part"] == "head"]
    share = head["count"].sum() / table["count"].sum()
    left = head["kept"].sum() / max(1, table["kept"].sum())
    return (
        f"{facts['samples']:,} of {facts['of']:,} samples stay ({facts['samples'] / facts['of']:.1%}; "
        f"{facts['expected']:,.0f} expected), t = {facts['t']:,}. {facts['matched']:,} captions have an entry.\n"
        f"{len(table):,} of {facts['entries']:,} entries are in captions. {len(head):,} of them, with t matches or more, "
        f"have {share:.1%} of all matches before and {left:.1%} after."
    )


def draw_entries(table: pd.DataFrame, facts: dict) -> Figure:
    """The figure of a filter's table of entries (entry, count, kept, part) and its manifest `facts`."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.7), layout="constrained")
        ranks, points = figure.subplots(1, 2)
        for values, colour, label in (
            (table["count"], BEFORE, "all captions"),
            (table["kept"], AFTER, "those that stay"),
        ):
            ordered = np.sort(values.to_numpy())[::-1]
            ordered = ordered[ordered > 0]
            ranks.plot(np.arange(1, len(ordered) + 1), ordered, color=colour, linewidth=1.4, label=label)
        ranks.set(xlabel="rank of the entry", ylabel="matches", title="Entries by rank")
        seen = table[table["kept"] > 0]
        points.plot(
            seen["count"], seen["kept"], ".", color=AFTER, markersize=4, alpha=0.5, markeredgewidth=0, rasterized=True
        )
        top = float(table["count"].max())
        points.plot([1, top], [1, top], color="#bbbbbb", linewidth=0.9, label="y = x", zorder=1)
        points.set(xlabel="matches in all captions", ylabel="matches in those that stay", title="Each entry")
        ranks.axhline(facts["t"], color=GREY, linestyle=":", linewidth=0.9, label="t")
        points.axvline(facts["t"], color=GREY, linestyle=":", linewidth=0.9, label="t")
        for axes in (ranks, points):
            axes.set(xscale="log", yscale="log")
            axes.legend(loc="best")
        figure.suptitle(summary(facts, table), fontsize=7.5, x=0.01, ha="left")
    return figure


if __name__ == "__main__":
    log_to(snakemake.log[0])
    # An entry may be called NA or null.
    table = pd.read_csv(snakemake.input.table, keep_default_na=False)
    facts = read_json(Path(snakemake.input.manifest))
    save_figure(draw_entries(table, facts), snakemake.output.pdf, snakemake.output.png)
