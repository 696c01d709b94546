"""Shapes in unit coordinates (x to the right, y down): what every drawing of an object is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

ROLES = ("main", "second", "third", "dark", "light")
"""Colour roles. A sixth, ``hole``, shows what lies behind the object."""

Points = np.ndarray | Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled area (``width`` 0) or a line, as an (n, 2) array of points, with the role of its colour."""

    role: str
    points: np.ndarray
    width: float = 0.0


def area(role: str, points: Points) -> Shape:
    """A filled polygon."""
    return Shape(role, np.asarray(points, dtype=float))


def line(role: str, points: Points, width: float = 0.015) -> Shape:
    """An open line of a given width, which line drawings show as one stroke."""
    return Shape(role, np.asarray(points, dtype=float), width)


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    """Corners of an upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def ellipse(
    x: float, y: float, rx: float, ry: float, turn: float = 0.0, start: float = 0.0, end: float = 360.0, steps: int = 24
) -> np.ndarray:
    """Points of an ellipse or a part of one; angles in degrees, clockwise from the right as seen, y pointing down."""
    unit = _circle(start, end, steps)
    if not turn:
        return unit * (rx, ry) + (x, y)
    return rotated(unit * (rx, ry), turn) + (x, y)


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> np.ndarray:
    """Outline of a rectangle with round corners."""
    corners = ((right, top, 270), (right, bottom, 0), (left, bottom, 90), (left, top, 180))
    inward = ((-1, 1), (-1, -1), (1, -1), (1, 1))
    parts = [
        ellipse(x + radius * dx, y + radius * dy, radius, radius, 0, angle, angle + 90, 5)
        for (x, y, angle), (dx, dy) in zip(corners, inward, strict=True)
    ]
    return np.concatenate(parts)


def curve(points: Points, closed: bool = True, steps: int = 5) -> np.ndarray:
    """A smooth Catmull-Rom curve through points, with ``steps`` points for each one given."""
    knots = np.asarray(points, dtype=float)
    smooth = (_weights(steps) @ knots[_neighbours(len(knots), closed)]).reshape(-1, 2)
    return smooth if closed else np.concatenate([smooth, knots[-1:]])


def ribbon(points: Points, width: float, end_width: float | None = None) -> np.ndarray:
    """Outline of a band along a path, whose width changes evenly from ``width`` to ``end_width``."""
    path = np.asarray(points, dtype=float)
    along = np.empty_like(path)
    along[1:-1] = path[2:] - path[:-2]
    along[0] = path[1] - path[0]
    along[-1] = path[-1] - path[-2]
    along /= np.sqrt((along * along).sum(axis=1, keepdims=True)) + 1e-9
    half = np.linspace(width, width if end_width is None else end_width, len(path))[:, None] / 2
    side = along[:, ::-1] * (-1, 1) * half
    return np.concatenate([path + side, (path - side)[::-1]])


def spiral(x: float, y: float, radius: float, turns: float, start: float, steps: int = 36) -> np.ndarray:
    """Points of a spiral from its outer end inwards; ``start`` is the angle of the outer end in degrees."""
    share = np.linspace(0, 1, steps)
    angle = np.radians(start) + share * turns * 2 * np.pi
    distance = radius * (1 - 0.92 * share)
    return np.stack([x + distance * np.cos(angle), y + distance * np.sin(angle)], axis=1)


def rotated(points: Points, degrees: float, centre: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Points turned clockwise as seen, about a centre."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (np.asarray(points) - centre) @ np.array([[c, s], [-s, c]]) + centre


def symmetric(half: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A closed outline from its right half, whose first and last points lie on the axis x = 0."""
    return [*half, *((-x, y) for x, y in half[-2:0:-1])]


def mirrored(points: Points, x: float = 0.0) -> np.ndarray:
    """Points reflected left to right about a vertical line."""
    return np.asarray(points, dtype=float) * (-1, 1) + (2 * x, 0)


@lru_cache(maxsize=256)
def _circle(start: float, end: float, steps: int) -> np.ndarray:
    whole = abs(end - start) >= 360
    angle = np.radians(np.linspace(start, end, steps, endpoint=not whole))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@lru_cache(maxsize=16)
def _weights(steps: int) -> np.ndarray:
    t = np.arange(steps)[:, None] / steps
    powers = np.concatenate([np.ones_like(t), t, t**2, t**3], axis=1)
    return powers @ (np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2)


@lru_cache(maxsize=64)
def _neighbours(count: int, closed: bool) -> np.ndarray:
    around = np.arange(count if closed else count - 1)[:, None] + np.arange(-1, 3)
    return around % count if closed else np.clip(around, 0, count - 1)
