"""Names of lines at their ends, where there is room. The legend has all names."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

# inches: width of a letter and height of a label, distance from the end of a line, and half the size of a marker
LETTER, HEIGHT, DISTANCE, MARKER = 0.058, 0.115, 0.07, 0.045
SIZE = 6.8
STEPS = (0.0, 0.07, -0.07, 0.13, -0.13)
"""Inches by which a label may be moved up or down from the end of its line."""


class LineEnd(NamedTuple):
    """The right and the left end of a line in data coordinates, with its name and colour."""

    name: str
    colour: str
    right: tuple[float, float]
    left: tuple[float, float]


class Box(NamedTuple):
    """A rectangle in inches."""

    x0: float
    y0: float
    x1: float
    y1: float

    def meets(self, other: "Box") -> bool:
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1


def label_lines(axes: Axes, ends: Sequence[LineEnd], points: NDArray[np.float64]) -> list[str]:
    """Write the names of lines at their `ends`, right or else left, and return the names that have found room.

    A name covers neither another one nor one of the markers at `points` (n, 2), in data coordinates, and stays in the panel.
    The highest line comes first, so that equal figures have equal labels.
    """
    width, height = (
        length * size for length, size in zip(axes.get_position().size, axes.figure.get_size_inches(), strict=True)
    )
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()

    def inches(x: float, y: float) -> tuple[float, float]:
        return (x - left) / (right - left) * width, (y - low) / (high - low) * height

    taken = [Box(x - MARKER, y - MARKER, x + MARKER, y + MARKER) for x, y in (inches(*point) for point in points)]
    panel, named = Box(0, 0, width, height), []
    for end in sorted(ends, key=lambda one: (-one.right[1], one.name)):
        found = _place(end, inches(*end.right), inches(*end.left), taken, panel)
        if found is None:
            continue
        box, side = found
        taken.append(box)
        named.append(end.name)
        axes.text(
            (box.x0 if side == "left" else box.x1) / width,
            (box.y0 + box.y1) / 2 / height,
            end.name,
            transform=axes.transAxes,
            ha=side,
            va="center",
            fontsize=SIZE,
            color=end.colour,
            zorder=5,
            path_effects=[withStroke(linewidth=1.6, foreground="white")],
        )
    return named


def _place(
    end: LineEnd, right: tuple[float, float], left: tuple[float, float], taken: Sequence[Box], panel: Box
) -> tuple[Box, str] | None:
    """A free box for a name in inches, and the side of the text that is at the line; None if there is none."""
    length = LETTER * SIZE / 7.5 * len(end.name)
    for (x, y), side in ((right, "left"), (left, "right")):
        for step in STEPS:
            start = x + DISTANCE if side == "left" else x - DISTANCE - length
            box = Box(start, y + step - HEIGHT / 2, start + length, y + step + HEIGHT / 2)
            inside = box.x0 >= panel.x0 and box.x1 <= panel.x1 and box.y0 >= panel.y0 and box.y1 <= panel.y1
            if inside and not any(box.meets(other) for other in taken):
                return box, side
    return None
