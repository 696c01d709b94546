"""Names of lines at their ends, where there is room. The legend has all names."""

from collections.abc import Iterator, Sequence
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
ALONG = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Places on a line, from its left end to its right one, beside which a label may stand: above it or below it."""
HINT = "higher at the same x: more robust"
POINTS = 100
"""Points of a line that a label must not cover."""


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

    def holds(self, points: NDArray[np.float64]) -> bool:
        """Whether any of `points` (n, 2) is inside."""
        x, y = points.T
        return bool(((x > self.x0) & (x < self.x1) & (y > self.y0) & (y < self.y1)).any())


def add_hint(axes: Axes) -> None:
    """Say in the upper left corner, above the line y = x, how to read the panel."""
    axes.text(
        *(0.02, 0.985, HINT),
        transform=axes.transAxes,
        ha="left",
        va="top",
        fontsize=SIZE,
        color="#555555",
        path_effects=[withStroke(linewidth=1.6, foreground="white")],
    )


def label_lines(axes: Axes, ends: Sequence[LineEnd], points: NDArray[np.float64]) -> list[str]:
    """Write the names of lines at their `ends` and return the names that have found room.

    A name stands right of its line, or else left of it, or else along it. It covers no other name, no line, not y = x and no
    marker at `points` (n, 2), in data coordinates, and stays in the panel. The highest line comes first, so that equal
    figures have equal labels.
    """
    width, height = (
        length * size for length, size in zip(axes.get_position().size, axes.figure.get_size_inches(), strict=True)
    )
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()

    def inches(x: float, y: float) -> tuple[float, float]:
        return (x - left) / (right - left) * width, (y - low) / (high - low) * height

    hint = Box(0, height - 2 * HEIGHT, LETTER * len(HINT), height)
    taken = [hint] + [
        Box(x - MARKER, y - MARKER, x + MARKER, y + MARKER) for x, y in (inches(*point) for point in points)
    ]
    diagonal = LineEnd("y = x", "", *((end, end) for end in (max(left, low), min(right, high))))
    drawn = np.concatenate([np.linspace(inches(*end.left), inches(*end.right), POINTS) for end in (*ends, diagonal)])
    named: list[str] = []

    def is_free(box: Box) -> bool:
        inside = box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
        return inside and not box.holds(drawn) and not any(box.meets(other) for other in taken)

    for end in sorted(ends, key=lambda one: (-one.right[1], one.name)):
        places = _places(end, inches(*end.right), inches(*end.left))
        free = (place for place in places if is_free(place[0]))
        box, side = next(free, (None, ""))
        if box is None:
            continue
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


def _places(end: LineEnd, right: tuple[float, float], left: tuple[float, float]) -> Iterator[tuple[Box, str]]:
    """Yield boxes for a name in inches, the best first, and the side of the text that is at the line."""
    length = LETTER * SIZE / 7.5 * len(end.name)
    for (x, y), side in ((right, "left"), (left, "right")):
        for step in STEPS:
            start = x + DISTANCE if side == "left" else x - DISTANCE - length
            yield Box(start, y + step - HEIGHT / 2, start + length, y + step + HEIGHT / 2), side
    for share in ALONG:
        x, y = (share * to + (1 - share) * start for start, to in zip(left, right, strict=True))
        for side, step in (("right", HEIGHT), ("left", -HEIGHT)):
            start = x + MARKER if side == "left" else x - MARKER - length
            yield Box(start, y + step - HEIGHT / 2, start + length, y + step + HEIGHT / 2), side
