"""Draw the learning curves of one pool's models: a panel per model with loss, learning rate and speed.

In:  each model's training.csv
Out: results/plots/learning_curves/<pool>.pdf and .png
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.figures.style import COLOURS, STYLE, FigureError, save_figure, size_label
from testbed.records.log import log_to

if TYPE_CHECKING:
    from snakemake.script import snakemake

COLUMNS = 4
PANEL = (1.9, 1.85)
LOSS, RATE, CHANCE = COLOURS[0], "#999999", "#555555"


def read_curve(path: Path | str) -> pd.DataFrame:
    """The rows of a model's training.csv; raises `FigureError` if it is missing or has no step."""
    try:
        curve = pd.read_csv(path)
    except (FileNotFoundError, pd.errors.EmptyDataError) as error:
        raise FigureError(
            f"{path}: cannot be read ({error}). Force train_clip for this model to write its learning curve again."
        ) from error
    if curve.empty:
        raise FigureError(f"{path}: has no step. Force train_clip for this model to write its learning curve again.")
    return curve


def draw_curve(axes: Axes, curve: pd.DataFrame, batch_size: int, title: str) -> None:
    """Draw loss (left) and learning rate (right, without ticks) over the samples seen, and the loss of guessing."""
    seen = curve["samples_seen"]
    axes.plot(seen, curve["loss"], color=LOSS, linewidth=1.1, zorder=3)
    axes.axhline(math.log(batch_size), color=CHANCE, linewidth=0.8, linestyle=":")
    axes.set_ylim(0, 1.08 * max(curve["loss"].max(), math.log(batch_size)))
    axes.set_xlim(0, None)
    speed = curve["samples_per_second"].median()
    axes.set_title(f"{title}\n{speed:,.0f} samples/s", fontweight="normal", fontsize=7.5)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(3))
    axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
    rate = axes.twinx()
    rate.plot(seen, curve["lr"], color=RATE, linewidth=0.8, zorder=2)
    rate.set_ylim(0, 1.08 * curve["lr"].max())
    rate.set_yticks([])
    rate.grid(False)


def plot_learning_curves(pool: str, models: Sequence[dict]) -> Figure:
    """The figure of the `models` of `pool`, each with its `curve` (path), `architecture`, `size`, `seed` and `batch_size`.

    Raises `FigureError` if a learning curve is missing.
    """
    columns = min(COLUMNS, len(models))
    rows = -(-len(models) // columns)
    several = len({model["architecture"] for model in models}) > 1
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PANEL[0] * columns + 0.5, PANEL[1] * rows + 0.65), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, model in zip(grid.flat, models, strict=False):
            title = f"{size_label(model['size'])} samples, seed {model['seed']}"
            title = f"{model['architecture']}, {title}" if several else title
            draw_curve(axes, read_curve(model["curve"]), model["batch_size"], title)
        for axes in grid.flat[len(models) :]:
            axes.axis("off")
        figure.supxlabel("samples seen", fontsize=8)
        figure.supylabel("loss", fontsize=8)
        lines = {
            "loss": (LOSS, "-"),
            "loss of guessing": (CHANCE, ":"),
            "learning rate, from 0 to its peak": (RATE, "-"),
        }
        figure.legend(
            handles=[
                Line2D([], [], color=colour, linestyle=dash, label=label) for label, (colour, dash) in lines.items()
            ],
            # As the legend's title: a title of the figure would overlap the legend.
            title=pool,
            title_fontproperties={"size": 9, "weight": "bold"},
            loc="outside upper center",
            ncols=len(lines),
        )
    return figure


if __name__ == "__main__":
    log_to(snakemake.log[0])
    figure = plot_learning_curves(snakemake.wildcards.pool, snakemake.params.models)
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
