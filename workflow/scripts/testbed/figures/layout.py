"""Figures with panels in rows and columns and a legend below.

Everything is placed in inches, not by a layout engine. Layout engines need several drawings to converge, so that the PDF
and the PNG of a figure would differ.
"""

from collections.abc import Sequence
from string import ascii_lowercase
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed.figures.style import STYLE

WIDTH, COLUMN_WIDTH = 6.9, 3.3
"""The full text width of a two-column paper, and the width of one of its columns, in inches."""

COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2}
"""Columns of `new_figure` by number of panels; 3 for more."""


class Spacing(NamedTuple):
    """Inches around all panels, between columns, between rows, and for a row of the legend."""

    left: float
    right: float
    top: float
    bottom: float
    between_columns: float
    between_rows: float
    legend_row: float

    def panel_width(self, columns: int, width: float = WIDTH) -> float:
        return (width - self.left - self.right - (columns - 1) * self.between_columns) / columns


SHARED_LABELS = Spacing(0.6, 0.1, 0.24, 0.46, 0.42, 0.5, 0.162)
OWN_LABELS = Spacing(0.5, 0.14, 0.24, 0.42, 0.52, 0.68, 0.165)
HEADLINE = 0.24
"""Height of the headline in inches."""

NARROW_LEGEND = {"fontsize": 6.5, "handlelength": 1.5, "handletextpad": 0.5, "columnspacing": 1.0, "labelspacing": 0.75}
"""The legend of a figure of COLUMN_WIDTH, with rows as high as those of other figures."""

SHAPE = 0.95
"""Height of a lettered panel divided by its width."""


def new_figure(
    count: int, shape: float, entries: list[Artist], labels: tuple[str, str], total_width: float = WIDTH
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, with x and y `labels` for all of them, and a legend of `entries`.

    `shape` is a panel's height divided by its width. `total_width` is WIDTH, or COLUMN_WIDTH for a single panel.
    """
    space = SHARED_LABELS
    columns = min(count, COLUMNS.get(count, 3))
    rows = -(-count // columns)
    width = space.panel_width(columns, total_width)
    legend_columns = _legend_columns(entries, total_width)
    legend = -(-len(entries) // legend_columns) * space.legend_row + 0.12
    panels = rows * width * shape + (rows - 1) * space.between_rows
    height = space.top + panels + space.bottom + legend
    figure = Figure(figsize=(total_width, height))
    grid = []
    for index in range(count):
        row, column = divmod(index, columns)
        left = space.left + column * (width + space.between_columns)
        bottom = height - space.top - (row + 1) * width * shape - row * space.between_rows
        grid.append(figure.add_axes((left / total_width, bottom / height, width / total_width, width * shape / height)))
    middle = (space.left + total_width - space.right) / 2 / total_width
    text = {"ha": "center", "va": "center", "fontsize": STYLE["axes.labelsize"]}
    figure.text(middle, (legend + 0.08) / height, labels[0], **text)
    figure.text(0.13 / total_width, (height - space.top - panels / 2) / height, labels[1], rotation=90, **text)
    _add_legend(figure, entries, legend_columns)
    return figure, grid


def note_figure(text: str) -> Figure:
    """A small figure that says in place of panels why there are none."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.8))
        figure.text(0.5, 0.5, text, ha="center", va="center", color="#555555")
    return figure


def lettered_grid(
    headline: str,
    titles: Sequence[str],
    columns: int,
    entries: Sequence[Artist],
    legend_columns: int,
    shape: float = SHAPE,
) -> tuple[Figure, list[Axes]]:
    """A figure with a lettered panel for each of `titles`, row by row, a headline, and a legend of `entries`.

    `shape` is a panel's height divided by its width. Call it, and draw on the panels, within `matplotlib.rc_context(STYLE)`.
    """
    space = OWN_LABELS
    rows = -(-len(titles) // columns)
    width = space.panel_width(columns)
    height = width * shape
    legend = -(-len(entries) // legend_columns) * space.legend_row + 0.1
    above = HEADLINE + space.top
    total = above + rows * height + (rows - 1) * space.between_rows + space.bottom + legend
    figure = Figure(figsize=(WIDTH, total))
    figure.text(0.5, 1 - 0.5 * HEADLINE / total, headline, ha="center", va="center", fontsize=STYLE["axes.titlesize"])
    panels = []
    for index, title in enumerate(titles):
        row, column = divmod(index, columns)
        left = space.left + column * (width + space.between_columns)
        bottom = total - above - (row + 1) * height - row * space.between_rows
        axes = figure.add_axes((left / WIDTH, bottom / total, width / WIDTH, height / total))
        axes.set_title(f"{ascii_lowercase[index % 26]}  {title}", loc="left", fontsize=STYLE["axes.labelsize"])
        panels.append(axes)
    _add_legend(figure, entries, legend_columns)
    return figure, panels


def _legend_columns(entries: list[Artist], width: float = WIDTH) -> int:
    """As many columns as fit into `width`, with the average width of a letter in the legend."""
    longest = max(len(entry.get_label()) for entry in entries)
    gap, letter = (0.55, 0.058) if width > COLUMN_WIDTH else (0.27, 0.05)
    return int(np.clip(width / (gap + letter * longest), 1, 5))


def _add_legend(figure: Figure, entries: Sequence[Artist], columns: int) -> None:
    narrow = figure.get_figwidth() <= COLUMN_WIDTH
    figure.legend(
        handles=list(entries),
        loc="lower center",
        bbox_to_anchor=(0.5, 0),
        ncols=columns,
        borderaxespad=0.3,
        **(NARROW_LEGEND if narrow else {}),
    )
