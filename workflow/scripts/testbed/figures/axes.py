"""Scaled axes with ticks in percent: limits that are comparable between panels, and ticks that do not overlap."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from testbed.statistics.scales import transform

# minimum distance of ticks in inches, so that labels of three characters do not overlap
TICK_GAP = 0.24
# round accuracies in percent, the most important first
ROUND = [50, 10, 90, 1, 99, 20, 80, 30, 70, 5, 95, 2, 98, 40, 60, 0.1, 99.9, 0.5, 99.5, 0.2, 99.8]
FINE = [value for step in (5, 1, 0.5, 0.1) for value in np.round(np.arange(step, 100, step), 1)]
MARGIN = 0.09
# smallest and largest height of a panel divided by its width
SHAPES = (0.62, 0.92)
NARROWEST = 0.4

Limits = tuple[float, float]


def panel_limits(panels: Sequence[pd.DataFrame], scale: str) -> tuple[Limits, list[Limits]]:
    """Limits of the scaled x axis of all panels, and limits of each panel's scaled y axis.

    `panels` has the rows of `pair_with_reference` of each panel. All y axes have the same length. If a panel has the shape
    of its limits (see `panel_shape`), a unit has the same length on x and y. So equal slopes look equal in all panels, and
    y = x rises at 45 degrees.
    """
    xs = [_extent(points["reference_value"], scale) for points in panels]
    ys = [_extent(points["value"], scale) for points in panels]
    low, high = min(x[0] for x in xs), max(x[1] for x in xs)
    width = (1 + 2 * MARGIN) * max(high - low, NARROWEST)
    height = (1 + 2 * MARGIN) * max(y[1] - y[0] for y in ys)
    height = max(height, SHAPES[0] * width)
    width = max(width, height / SHAPES[1])
    return _centred((low + high) / 2, width), [_centred((y[0] + y[1]) / 2, height) for y in ys]


def panel_shape(x: Limits, y: Limits) -> float:
    """Height of a panel divided by its width, such that a unit has the same length on x and y."""
    return (y[1] - y[0]) / (x[1] - x[0])


def scale_axes(axes: Axes, x: Limits, y: Limits, scale: str) -> None:
    """Set the limits of `axes` of scaled accuracies, and their ticks with labels in percent."""
    axes.set_xlim(x)
    axes.set_ylim(y)
    width = axes.get_position().width * axes.figure.get_figwidth()
    gap = TICK_GAP / width * (x[1] - x[0])
    for axis, limits in ((axes.xaxis, x), (axes.yaxis, y)):
        ticks = percent_ticks(*limits, scale, gap)
        axis.set_ticks(transform(np.array(ticks) / 100, scale), [f"{tick:g}" for tick in ticks])


def percent_ticks(low: float, high: float, scale: str, gap: float) -> list[float]:
    """Round accuracies in percent between two scaled limits, ascending, with a scaled distance of at least `gap`."""
    chosen: list[float] = []
    for candidates in (ROUND, FINE):
        for percent in candidates:
            scaled = transform(percent / 100, scale)
            gaps = np.abs(transform(np.array(chosen) / 100, scale) - scaled)
            if low <= scaled <= high and np.all(gaps >= gap):
                chosen.append(float(percent))
        if len(chosen) >= 3:
            break
    return sorted(chosen)


def axis_position(accuracy: pd.Series, limits: Limits, scale: str) -> NDArray[np.float64]:
    """Scaled accuracies clipped to the limits: an accuracy of 0 % without a finite logit is drawn at the edge."""
    return np.clip(transform(accuracy, scale), *limits)


def _extent(accuracy: pd.Series, scale: str) -> Limits:
    scaled = transform(accuracy, scale)
    finite = scaled[np.isfinite(scaled)]
    # a panel whose models all have an accuracy of 0 or 1 is drawn around 50 %
    return (finite.min(), finite.max()) if finite.size else (float(transform(0.5, scale)),) * 2


def _centred(middle: float, length: float) -> Limits:
    return middle - length / 2, middle + length / 2
