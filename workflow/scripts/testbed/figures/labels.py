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


class Place(NamedTuple):
    """A box for a name, and the side of its text that is at the line."""

    box: Box
    side: str


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
    marker at `points` (n, 2), in data coordinates, and stays in the panel. Of lines with the same choice the highest
    comes first, so that equal figures have equal labels.
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

    def is_free(box: Box) -> bool:
        inside = box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
        return inside and not box.holds(drawn) and not any(box.meets(other) for other in taken)

    left_over = sorted(ends, key=lambda one: (-one.right[1], one.name))
    for places in (_right_places, _left_places, _places_along):
        for end in list(left_over):
            free = (one for one in places(end.name, inches(*end.right), inches(*end.left)) if is_free(one.box))
            if place := next(free, None):
                taken.append(place.box)
                left_over.remove(end)
                _write(axes, end, place, width, height)
    return [end.name for end in ends if end not in left_over]


def _write(axes: Axes, end: LineEnd, place: Place, width: float, height: float) -> None:
    box, side = place
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


def _place(name: str, x: float, y: float, side: str) -> Place:
    """The place of a name whose left or right `side` is at x, and whose middle is at y."""
    length = LETTER * SIZE / 7.5 * len(name)
    start = x if side == "left" else x - length
    return Place(Box(start, y - HEIGHT / 2, start + length, y + HEIGHT / 2), side)


def _right_places(name: str, right: tuple[float, float], left: tuple[float, float]) -> Iterator[Place]:
    for step in STEPS:
        yield _place(name, right[0] + DISTANCE, right[1] + step, "left")


def _left_places(name: str, right: tuple[float, float], left: tuple[float, float]) -> Iterator[Place]:
    for step in STEPS:
        yield _place(name, left[0] - DISTANCE, left[1] + step, "right")


def _places_along(name: str, right: tuple[float, float], left: tuple[float, float]) -> Iterator[Place]:
    for share in ALONG:
        x, y = (share * to + (1 - share) * start for start, to in zip(left, right, strict=True))
        yield _place(name, x - MARKER, y + HEIGHT, "right")
        yield _place(name, x + MARKER, y - HEIGHT, "left")
