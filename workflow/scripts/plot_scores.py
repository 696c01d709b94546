"""Draw the CLIP scores of a filter: histograms of all samples and of the kept samples.

In:  the manifests of the scores and of the kept samples, which contain the histograms
Out: the figure as PDF and PNG
"""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from testbed.figures.style import COLOURS, STYLE, save_figure
from testbed.filtering.selection import EDGES
from testbed.records.log import log_to
from testbed.records.manifest import read_json

if TYPE_CHECKING:
    from snakemake.script import snakemake

SHOWN_BINS = 60
"""Largest number of bars, so that each is visible. A narrow histogram keeps its own fine bins."""


def merge_bins(counts: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of at most `bins` merged bins that cover all counts, and the index of the first old bin in each."""
    filled = np.flatnonzero(counts)
    step = max(1, -(-(filled[-1] + 1 - filled[0]) // bins))
    first = filled[0] // step * step
    stop = min(len(counts), -(-(filled[-1] + 1) // step) * step)
    starts = np.arange(first, stop, step)
    return np.append(EDGES[starts], EDGES[min(starts[-1] + step, len(counts))]), starts


def draw_scores(scores: dict, kept: dict) -> Figure:
    """The figure of the histograms in the manifests of the scores and of the kept samples."""
    before, after = np.array(scores["histogram"]), np.array(kept["histogram"])
    edges, starts = merge_bins(before, SHOWN_BINS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.2), layout="constrained")
        axes = figure.subplots()
        for counts, colour, label in (
            (before, "#bbbbbb", f"all {scores['samples']:,} samples"),
            (after, COLOURS[0], f"{kept['samples']:,} that are kept ({kept['samples'] / scores['samples']:.1%})"),
        ):
            axes.stairs(np.add.reduceat(counts, starts), edges, fill=True, color=colour, label=label)
        threshold = kept["threshold"]
        if not isinstance(threshold, dict):
            axes.axvline(threshold, color="#555555", linestyle=":", linewidth=0.9, label=f"threshold {threshold:.3f}")
        axes.set(xlabel="cosine similarity of image and caption", ylabel="samples", title=kept["pool"])
        # The legend stands above the bars, which may be anywhere.
        axes.set_ylim(0, 1.35 * float(np.add.reduceat(before, starts).max()))
        axes.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    log_to(snakemake.log[0])
    scores, kept = (read_json(Path(path)) for path in (snakemake.input.scores, snakemake.input.manifest))
    save_figure(draw_scores(scores, kept), snakemake.output.pdf, snakemake.output.png)
