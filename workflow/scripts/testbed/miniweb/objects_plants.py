"""How plants and what grows on them are drawn: tree, flower, mushroom, apple."""

import numpy as np
from numpy.random import Generator

from testbed.miniweb.objects_shapes import Shape, area, curve, ellipse, line, mirrored, ribbon, rotated, symmetric


def tree(rng: Generator) -> list[Shape]:
    """A fir, a leafy tree with one wide crown, or one with a crown of several clumps."""
    style = rng.integers(3)
    if style == 0:
        return _fir(rng)
    return _leafy(rng) if style == 1 else _clumped(rng)


def _fir(rng: Generator) -> list[Shape]:
    tiers, half, droop = rng.integers(3, 5), rng.uniform(0.26, 0.38), rng.uniform(0.02, 0.07)
    shapes = [area("second", [(-0.06, 0.78), (0.06, 0.78), (0.07, 1.0), (-0.07, 1.0)])]
    for tier in range(tiers):
        low = 0.86 - tier * 0.72 / tiers
        top = low - 0.86 / tiers - 0.12
        wide = half * (1 - 0.72 * tier / tiers)
        right = [(0, top), (wide * 0.42, (top + low) / 2), (wide, low), (wide * 0.45, low + droop), (0, low)]
        shapes.append(area("main", symmetric(right)))
    return shapes


def _trunk(rng: Generator, top: float, width: float) -> list[Shape]:
    lean = rng.uniform(-0.05, 0.05)
    trunk = ribbon([(0, 1.0), (lean * 0.4, 0.8), (lean, top)], width * 1.5, width * 0.8)
    limbs = [
        area("second", ribbon([(lean * 0.6, top + 0.16), (side * 0.19, top - 0.03)], width * 0.55, width * 0.3))
        for side in (-1, 1)
    ]
    return [area("second", trunk), *limbs]


def _fruit(rng: Generator, reach: float, middle: float) -> list[Shape]:
    if rng.random() > 0.35:
        return []
    spots = rng.uniform(-1, 1, (6, 2)) * (reach * 0.6, 0.2) + (0, middle)
    return [area("third", ellipse(x, y, 0.035, 0.035, steps=10)) for x, y in spots]


def _leafy(rng: Generator) -> list[Shape]:
    lobes, wide, tall = rng.integers(8, 12), rng.uniform(0.36, 0.46), rng.uniform(0.3, 0.36)
    angle = np.arange(2 * lobes) * np.pi / lobes + rng.uniform(0, 3)
    reach = np.where(np.arange(2 * lobes) % 2, 0.84, 1.04) + rng.uniform(-0.05, 0.05, 2 * lobes)
    crown = np.stack([reach * np.cos(angle) * wide, 0.34 + reach * np.sin(angle) * tall], axis=1)
    shapes = [*_trunk(rng, 0.6, 0.1), area("main", curve(crown, steps=3))]
    shapes += [
        line("dark", ellipse(x, y, 0.09, 0.07, 0, 20, 160, 7), 0.014)
        for x, y in ((-0.15, 0.3), (0.12, 0.22), (0.1, 0.45))
    ]
    return shapes + _fruit(rng, wide, 0.33)


def _clumped(rng: Generator) -> list[Shape]:
    wide = rng.uniform(0.24, 0.32)
    clumps = [
        (-wide, 0.46, 0.19),
        (wide, 0.44, 0.19),
        (-0.16, 0.26, 0.2),
        (0.17, 0.25, 0.2),
        (0, 0.4, 0.25),
        (0, 0.17, 0.18),
    ]
    shapes = _trunk(rng, 0.55, rng.uniform(0.09, 0.13))
    for x, y, r in clumps:
        r *= rng.uniform(0.9, 1.12)
        shapes.append(area("main", ellipse(x, y, r, r * 0.9, steps=18)))
    return shapes + _fruit(rng, wide, 0.33)


def flower(rng: Generator) -> list[Shape]:
    """A flower with round or pointed petals about a disc, or a tulip, on a stem with leaves."""
    bend = rng.uniform(-0.08, 0.08)
    stem = curve([(0, 0.3), (bend, 0.62), (0, 1.0)], closed=False)
    shapes = [area("third", ribbon(stem, 0.035, 0.045))]
    for side in rng.permutation([-1, 1])[: rng.integers(1, 3)]:
        low = rng.uniform(0.76, 0.9)
        leaf = [(0, low), (0.12, low - 0.13), (0.27, low - 0.15), (0.18, low - 0.02)]
        shapes.append(area("third", curve(np.asarray(leaf) * (side, 1) + (bend * 0.7, 0), steps=4)))
    if rng.random() < 0.2:
        return shapes + _tulip(rng)
    count, reach = rng.integers(5, 10), rng.uniform(0.27, 0.33)
    wide, turn = 1.15 * np.pi * reach / count / 2 + 0.03, rng.uniform(0, 360)
    pointed = rng.random() < 0.4
    outline = [(0.06, 0), (0.6, -1), (1.0, -0.45), (1.0, 0.45), (0.6, 1)]
    if pointed:
        outline = [(0.06, 0), (0.5, -1), (0.85, -0.6), (1.12, 0), (0.85, 0.6), (0.5, 1)]
    petal = curve(np.asarray(outline) * (reach, wide), steps=4)
    shapes += [area("main", rotated(petal, turn + step * 360 / count) + (0, 0.3)) for step in range(count)]
    disc = rng.uniform(0.085, 0.12)
    return shapes + [area("second", ellipse(0, 0.3, disc, disc, steps=16))]


def _tulip(rng: Generator) -> list[Shape]:
    wide = rng.uniform(0.18, 0.24)
    side = [(0, 0.46), (wide, 0.36), (wide * 1.05, 0.16), (wide * 0.95, 0.02), (wide * 0.4, 0.18), (0.0, 0.25)]
    middle = [(0, 0.46), (wide * 0.6, 0.32), (wide * 0.5, 0.12), (0, 0.0), (-wide * 0.5, 0.12), (-wide * 0.6, 0.32)]
    return [
        area("main", curve(side, steps=3)),
        area("main", curve(mirrored(side), steps=3)),
        area("main", curve(middle, steps=3)),
        line("dark", [(0, 0.14), (0, 0.36)], 0.014),
    ]


def mushroom(rng: Generator) -> list[Shape]:
    """A capped mushroom with dots, gills or neither; sometimes with a small one beside it."""
    shapes = _one_mushroom(rng)
    if rng.random() < 0.3:
        side, scale = rng.choice([-1, 1]), rng.uniform(0.4, 0.55)
        small = _one_mushroom(rng)
        move = np.array([side * 0.42, 1 - scale])
        shapes = [Shape(s.role, s.points * scale + move, s.width * scale) for s in small] + shapes
    return shapes


def _one_mushroom(rng: Generator) -> list[Shape]:
    wide, dome, stem = rng.uniform(0.36, 0.48), rng.uniform(0.32, 0.48), rng.uniform(0.08, 0.13)
    brim = 0.05 + dome
    foot = [
        (-stem, brim),
        (-stem * 0.9, 0.75),
        (-stem * 1.5, 0.98),
        (stem * 1.5, 0.98),
        (stem * 0.9, 0.75),
        (stem, brim),
    ]
    shapes = [area("light", curve(foot, steps=3))]
    if rng.random() < 0.4:
        skirt = [
            (-stem * 1.1, brim + 0.14),
            (stem * 1.1, brim + 0.14),
            (stem * 1.8, brim + 0.23),
            (-stem * 1.8, brim + 0.23),
        ]
        shapes.append(area("light", skirt))
    under = ellipse(0, brim, wide * 0.95, 0.075, steps=20)
    shapes.append(area("third", under))
    shapes += [line("dark", [(x * 0.35, brim - 0.02), (x, brim + 0.055)], 0.01) for x in np.linspace(-0.22, 0.22, 5)]
    low = brim + rng.uniform(0.0, 0.02)
    peak = rng.uniform(0.7, 1.0)
    cap = [(-wide, low), (-wide * 0.92, low - dome * 0.5), (-wide * 0.5 * peak, low - dome * 0.93), (0, low - dome)]
    cap += [(wide * 0.5 * peak, low - dome * 0.93), (wide * 0.92, low - dome * 0.5), (wide, low), (0, low - 0.035)]
    shapes.append(area("main", curve(cap, steps=4)))
    if rng.random() < 0.65:
        spots = [(-0.55, 0.35, 0.055), (0.05, 0.62, 0.07), (0.58, 0.38, 0.05), (-0.1, 0.25, 0.045), (0.33, 0.74, 0.035)]
        for x, y, r in spots[: rng.integers(3, 6)]:
            shapes.append(area("light", ellipse(x * wide, low - y * dome, r * 1.15, r, steps=12)))
    return shapes


def apple(rng: Generator) -> list[Shape]:
    """A whole apple with its stalk and mostly a leaf; sometimes bitten, sometimes cut in half."""
    wide, taper, dip = rng.uniform(0.4, 0.47), rng.uniform(0.55, 0.7), rng.uniform(0.05, 0.09)
    half = [
        (0, 0.24 + dip),
        (wide * 0.45, 0.19),
        (wide * 0.95, 0.34),
        (wide, 0.58),
        (wide * taper, 0.9),
        (wide * 0.25, 0.98),
    ]
    outline = np.asarray(half + [(0, 0.94)] + [(-x, y) for x, y in half[:0:-1]])
    body = curve(outline)
    kind = rng.random()
    if 0.15 <= kind < 0.25:
        body = _bitten(_bitten(body, wide * 1.05, 0.46, 0.15), wide * 1.02, 0.68, 0.13)
    shapes = [area("main", body)]
    if kind < 0.15:
        shapes.append(area("light", (body - (0, 0.6)) * 0.86 + (0, 0.6)))
        shapes += [area("dark", ellipse(x, 0.6, 0.03, 0.06, turn, steps=10)) for x, turn in ((-0.07, 15), (0.07, -15))]
    else:
        shapes.append(area("light", ellipse(-wide * 0.55, 0.42, 0.05, 0.11, 25, steps=12)))
        shapes.append(line("dark", ellipse(0, 0.22, 0.12, 0.08, 0, 20, 160, 8), 0.02))
    lean = rng.uniform(-0.1, 0.1)
    shapes.append(area("dark", ribbon(curve([(0, 0.31), (lean * 0.4, 0.17), (lean, 0.05)], False, 4), 0.03, 0.05)))
    if rng.random() < 0.8:
        side = rng.choice([-1, 1])
        leaf = [(0.01, 0.18), (0.1, 0.05), (0.27, 0.03), (0.2, 0.14)]
        shapes.append(area("third", curve(np.asarray(leaf) * (side, 1), steps=4)))
        shapes.append(line("dark", np.asarray([(0.03, 0.16), (0.2, 0.07)]) * (side, 1), 0.01))
    return shapes


def _bitten(body: np.ndarray, x: float, y: float, radius: float) -> np.ndarray:
    """Move the points of an outline that lie in a circle to the left edge of that circle."""
    away = radius**2 - (body[:, 1] - y) ** 2
    edge = x - np.sqrt(np.maximum(away, 0))
    inside = (away > 0) & (body[:, 0] > edge)
    return np.stack([np.where(inside, edge, body[:, 0]), body[:, 1]], axis=1)
