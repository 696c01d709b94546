"""Figures of the example evaluations, and what tests read from them."""

import matplotlib
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from example_evaluations import LINES, POOLS, REFERENCE, example
from fit_trends import fit_trends
from plot_effective_robustness import plot_effective_robustness
from testbed.figures.style import STYLE, make_series
from testbed.statistics.settings import Settings
from testbed.statistics.tables import pair_with_reference

SHIFTS = list(LINES)

BASELINE = Settings(baseline="pool:labels")


def main_figure(evaluations: pd.DataFrame, settings: Settings = BASELINE, pools=POOLS) -> Figure:
    trends, _ = fit_trends(evaluations, REFERENCE, settings)
    return plot_effective_robustness(evaluations, trends, REFERENCE, SHIFTS, pools, settings)


SERIES = {one.pool: one for one in make_series(pair_with_reference(example([600]), REFERENCE), POOLS)}
"""Colour and marker of each of the example's pools."""


def labels_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def fitted_lines(axes, colour: str) -> list:
    return [line for line in axes.lines if line.get_color() == colour and line.get_linestyle() != "None"]


def points_drawn(axes, marker: str) -> int:
    return sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == marker)


def boxes_of(figure: Figure) -> list[Bbox]:
    """The boxes of all axes and texts as the figure is drawn; each is within the page."""
    canvas = FigureCanvasAgg(figure)
    with matplotlib.rc_context(STYLE):
        canvas.draw()
    renderer, page = canvas.get_renderer(), figure.bbox
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [text.get_window_extent(renderer) for text in [*figure.texts, *figure.legends]]
    for box in boxes:
        assert box.x0 >= page.x0 and box.y0 >= page.y0 and box.x1 <= page.x1 and box.y1 <= page.y1
    return boxes
