"""A figure of lettered panels in rows and columns, with a headline above and a legend below."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed.figures.style import STYLE

# inches: the full width of a two-column paper, around the panels, between them, and a row of the legend
WIDTH = 6.9
LEFT, RIGHT, HEADLINE, TOP, BOTTOM = 0.5, 0.14, 0.24, 0.24, 0.42
BESIDE, BELOW = 0.52, 0.68
ROW = 0.165
# height of a panel by its width
SHAPE = 0.95


def lettered_grid(
    headline: str, titles: Sequence[str], columns: int, entries: Sequence[Artist], legend_columns: int
) -> tuple[Figure, list[Axes]]:
    """A figure with one panel for each of `titles`, row by row, and a legend of `entries`.

    Call it, and draw on the panels, within `matplotlib.rc_context(STYLE)`. Everything is placed in inches, so that the
    PDF and the PNG of a figure are the same.
    """
    rows = -(-len(titles) // columns)
    width = (WIDTH - LEFT - RIGHT - (columns - 1) * BESIDE) / columns
    height = width * SHAPE
    legend = -(-len(entries) // legend_columns) * ROW + 0.1
    above = HEADLINE + TOP
    total = above + rows * height + (rows - 1) * BELOW + BOTTOM + legend
    figure = Figure(figsize=(WIDTH, total))
    figure.text(0.5, 1 - 0.5 * HEADLINE / total, headline, ha="center", va="center", fontsize=STYLE["axes.titlesize"])
    panels = []
    for index, title in enumerate(titles):
        row, column = divmod(index, columns)
        left = LEFT + column * (width + BESIDE)
        bottom = total - above - (row + 1) * height - row * BELOW
        axes = figure.add_axes((left / WIDTH, bottom / total, width / WIDTH, height / total))
        axes.set_title(f"{'abcdefghijkl'[index]}  {title}", loc="left", fontsize=STYLE["axes.labelsize"])
        panels.append(axes)
    figure.legend(
        handles=list(entries), loc="lower center", bbox_to_anchor=(0.5, 0), ncols=legend_columns, borderaxespad=0.3
    )
    return figure, panels
