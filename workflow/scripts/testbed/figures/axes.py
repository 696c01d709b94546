"""Scaled axes with ticks in percent: limits that are equal between panels, and ticks that do not crowd."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from testbed.statistics.scales import transform

# inches from one tick to the next, so that labels of three characters stay apart
TICK_GAP = 0.24
# round accuracies in percent, those that a reader looks for first in front
ROUND = [50, 10, 90, 1, 99, 20, 80, 30, 70, 5, 95, 2, 98, 40, 60, 0.1, 99.9, 0.5, 99.5, 0.2, 99.8]
FINE = [value for step in (5, 1, 0.5, 0.1) for value in np.round(np.arange(step, 100, step), 1)]
MARGIN = 0.09
# the shape of a panel, height by width: wide enough for its title, and no tower
SHAPES = (0.62, 0.92)
NARROWEST = 0.4

Limits = tuple[float, float]


def panel_limits(panels: Sequence[pd.DataFrame], scale: str) -> tuple[Limits, list[Limits]]:
    """Limits on the scaled x axis, for all panels, and on each panel's scaled y axis.

    `panels` holds the rows of `testbed.tables.pair_with_reference` of each panel. All y axes are equally long, and a
    unit is as long on y as on x when a panel is as high by wide as its limits (see `panel_shape`): so a slope looks the
    same in all panels, and y = x rises at 45 degrees.
    """
    xs = [_extent(points["reference_value"], scale) for points in panels]
    ys = [_extent(points["value"], scale) for points in panels]
    low, high = min(x[0] for x in xs), max(x[1] for x in xs)
    width = (1 + 2 * MARGIN) * max(high - low, NARROWEST)
    height = (1 + 2 * MARGIN) * max(y[1] - y[0] for y in ys)
    height = max(height, SHAPES[0] * width)
    width = max(width, height / SHAPES[1])
    return _around((low + high) / 2, width), [_around((y[0] + y[1]) / 2, height) for y in ys]


def panel_shape(x: Limits, y: Limits) -> float:
    """Height of a panel by its width at which a unit is as long on y as on x."""
    return (y[1] - y[0]) / (x[1] - x[0])


def scale_axes(axes: Axes, x: Limits, y: Limits, scale: str) -> None:
    """Give `axes`, which hold scaled accuracies, these limits, and ticks labelled in percent."""
    axes.set_xlim(x)
    axes.set_ylim(y)
    width = axes.get_position().width * axes.figure.get_figwidth()
    gap = TICK_GAP / width * (x[1] - x[0])
    for axis, limits in ((axes.xaxis, x), (axes.yaxis, y)):
        ticks = percent_ticks(*limits, scale, gap)
        axis.set_ticks(transform(np.array(ticks) / 100, scale), [f"{tick:g}" for tick in ticks])


def percent_ticks(low: float, high: float, scale: str, gap: float) -> list[float]:
    """Round accuracies in percent between two scaled limits, ascending, at least a scaled `gap` apart."""
    chosen: list[float] = []
    for candidates in (ROUND, FINE):
        for percent in candidates:
            place = transform(percent / 100, scale)
            gaps = np.abs(transform(np.array(chosen) / 100, scale) - place)
            if low <= place <= high and np.all(gaps >= gap):
                chosen.append(float(percent))
        if len(chosen) >= 3:
            break
    return sorted(chosen)


def place(accuracy: pd.Series, limits: Limits, scale: str) -> NDArray[np.float64]:
    """Scaled accuracies, held within the limits: what has no finite place, such as 0 %, stands on the frame."""
    return np.clip(transform(accuracy, scale), *limits)


def _extent(accuracy: pd.Series, scale: str) -> Limits:
    scaled = transform(accuracy, scale)
    finite = scaled[np.isfinite(scaled)]
    # a panel whose models all stand at 0 or 1 is still drawn, around 50 %
    return (finite.min(), finite.max()) if finite.size else (float(transform(0.5, scale)),) * 2


def _around(middle: float, length: float) -> Limits:
    return middle - length / 2, middle + length / 2
