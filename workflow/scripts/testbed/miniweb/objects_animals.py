"""How animals are drawn: fish, cat, bird, butterfly, snail."""

import numpy as np
from numpy.random import Generator

from testbed.miniweb.objects_shapes import Shape, area, curve, ellipse, line, mirrored, ribbon, spiral, symmetric


def _both(role: str, points: np.ndarray) -> list[Shape]:
    return [area(role, points), area(role, mirrored(points))]


def _eye(x: float, y: float, radius: float) -> list[Shape]:
    return [
        area("light", ellipse(x, y, radius, radius, steps=12)),
        area("dark", ellipse(x + radius * 0.2, y, radius * 0.58, radius * 0.62, steps=10)),
    ]


def fish(rng: Generator) -> list[Shape]:
    """A fish from the side, slender or deep, with stripes, scales or a plain flank."""
    deep, fork = rng.uniform(0.17, 0.3), rng.uniform(0.04, 0.12)
    spread = deep * rng.uniform(0.8, 1.1)
    tail = [(0.24, 0), (0.36, -spread * 0.6), (0.52, -spread), (0.5 - fork, 0), (0.52, spread), (0.36, spread * 0.6)]
    back = [(-0.2, -deep * 0.7), (-0.02, -deep * 1.5), (0.14, -deep * 1.25), (0.2, -deep * 0.4)]
    belly = [(-0.08, deep * 0.7), (0.06, deep * 1.4), (0.14, deep * 1.2), (0.12, deep * 0.5)]
    half = [(-0.5, 0.02), (-0.4, -deep * 0.55), (-0.18, -deep), (0.08, -deep * 0.75), (0.28, -deep * 0.22)]
    body = half + [(0.28, deep * 0.22), (0.08, deep * 0.75), (-0.18, deep), (-0.4, deep * 0.6)]
    shapes = [
        area("second", curve(tail, steps=3)),
        area("second", curve(back, steps=3)),
        area("second", curve(belly, steps=3)),
        area("main", curve(body, steps=4)),
    ]
    pattern = rng.integers(3)
    if pattern == 0:
        for x in (-0.12, 0.0, 0.12):
            tall = deep * (0.78 - abs(x + 0.1) * 1.3)
            shapes.append(area("third", ribbon(curve([(x, -tall), (x + 0.03, 0), (x, tall)], False, 3), 0.05)))
    elif pattern == 1:
        for row, y in enumerate((-0.4, 0.0, 0.4)):
            for column in range(3):
                x = -0.08 + column * 0.1 + (row % 2) * 0.05
                shapes.append(line("dark", ellipse(x, y * deep, 0.045, 0.05, 0, 270, 450, 6), 0.014))
    fin = curve([(-0.1, deep * 0.1), (0.06, deep * 0.2), (0.09, deep * 0.6), (-0.04, deep * 0.45)], steps=3)
    shapes += [area("second", fin), line("dark", ellipse(-0.3, 0, 0.07, deep * 0.62, 0, -55, 55, 8), 0.018)]
    shapes.append(line("dark", [(-0.49, 0.04), (-0.41, 0.06)], 0.018))
    return shapes + _eye(-0.37, -deep * 0.25, 0.045)


def cat(rng: Generator) -> list[Shape]:
    """A sitting cat from the front, a cat's head, or a cat that stands, from the side."""
    style = rng.integers(5)
    if style < 2:
        return _sitting_cat(rng)
    return _cat_head(rng, 0, 0, 1.0) if style < 4 else _standing_cat(rng)


def _cat_head(rng: Generator, x: float, y: float, scale: float) -> list[Shape]:
    ear, wide = rng.uniform(0.3, 0.42), rng.uniform(0.44, 0.5)
    outline = [(0, -0.26), (wide * 0.45, -0.25), (wide, 0.05), (wide * 0.78, 0.3), (wide * 0.3, 0.42), (0, 0.43)]
    face = curve(symmetric(outline), steps=4)
    outer = np.array([(wide * 0.12, -0.22), (wide * 0.78, -0.27 - ear * 0.75), (wide * 0.98, 0.04)])
    inner = (outer - outer.mean(axis=0)) * 0.55 + outer.mean(axis=0) + (0, 0.015)
    shapes = [*_both("main", outer), *_both("third", inner), area("main", face)]
    if rng.random() < 0.5:
        shapes += [area("second", ribbon([(px, -0.26), (px * 0.8, -0.1)], 0.05, 0.03)) for px in (-0.12, 0.0, 0.12)]
        shapes += _both("second", ribbon([(wide * 0.97, 0.08), (wide * 0.68, 0.11)], 0.05, 0.02))
    muzzle = ellipse(0, 0.23, 0.19, 0.13, steps=16)
    shapes.append(area("light", muzzle))
    for side in (-1, 1):
        shapes.append(area("light", ellipse(side * 0.19, -0.01, 0.1, 0.085, steps=14)))
        shapes.append(area("dark", ellipse(side * 0.19, -0.01, 0.04, 0.082, steps=10)))
        shapes += [
            line("dark", [(side * 0.14, 0.22 + dy), (side * 0.56, 0.17 + 2.6 * dy)], 0.014) for dy in (-0.02, 0.035)
        ]
        shapes.append(line("dark", ellipse(side * 0.06, 0.235, 0.06, 0.06, 0, 10, 170, 6), 0.018))
    shapes.append(area("dark", [(-0.055, 0.15), (0.055, 0.15), (0, 0.215)]))
    return [Shape(s.role, s.points * scale + (x, y), s.width * scale) for s in shapes]


def _sitting_cat(rng: Generator) -> list[Shape]:
    wide, side = rng.uniform(0.24, 0.3), rng.choice([-1, 1])
    tail = curve([(wide * 0.4, 0.9), (wide + 0.12, 0.9), (wide + 0.2, 0.68), (wide + 0.1, 0.52)], False, 4)
    half = [(0, 0.36), (0.13, 0.42), (wide * 0.8, 0.66), (wide, 0.88), (wide * 0.7, 1.0), (0, 1.0)]
    body = curve(symmetric(half), steps=4)
    shapes = [area("main", ribbon(tail, 0.11, 0.06) * (side, 1)), area("main", body)]
    if rng.random() < 0.6:
        shapes.append(area("light", ellipse(0, 0.62, wide * 0.42, 0.17, steps=14)))
    paw = ellipse(0.09, 0.97, 0.075, 0.05, steps=12)
    shapes += [line("dark", [(x, 0.74), (x, 0.95)], 0.016) for x in (-0.03, 0.03)] + _both("main", paw)
    return shapes + _cat_head(rng, 0, 0.27, rng.uniform(0.52, 0.62))


def _standing_cat(rng: Generator) -> list[Shape]:
    lift = rng.uniform(-0.1, 0.08)
    tail = curve([(0.34, 0.5), (0.52, 0.42), (0.56, 0.18), (0.48, 0.02 + lift)], False, 4)
    shapes = [area("main", ribbon(tail, 0.08, 0.05))]
    shapes += [
        area("main", ribbon([(x, 0.6), (x + step, 0.97)], 0.11, 0.075)) for x, step in ((-0.2, 0.04), (0.33, -0.05))
    ]
    body = [(-0.3, 0.4), (0, 0.42), (0.3, 0.4), (0.4, 0.55), (0.3, 0.7), (0, 0.7), (-0.28, 0.72), (-0.36, 0.55)]
    shapes.append(area("main", curve(body, steps=4)))
    shapes += [
        area("main", ribbon([(x, 0.62), (x + step, 0.98)], 0.12, 0.08)) for x, step in ((-0.28, -0.03), (0.27, 0.04))
    ]
    if rng.random() < 0.6:
        shapes += [area("second", ribbon([(x, 0.41), (x + 0.02, 0.57)], 0.05, 0.03)) for x in (-0.05, 0.07, 0.19)]
    return shapes + _cat_head(rng, -0.36, 0.32, 0.46)


def bird(rng: Generator) -> list[Shape]:
    """A songbird that stands, or a bird in flight with raised wings."""
    return _flying_bird(rng) if rng.random() < 0.35 else _standing_bird(rng)


def _standing_bird(rng: Generator) -> list[Shape]:
    plump, lift, neck = rng.uniform(0.9, 1.15), rng.uniform(-0.12, 0.06), rng.uniform(0.0, 0.08)
    shapes = []
    for x in (-0.04, 0.08):
        shapes.append(line("third", [(x, 0.68), (x - 0.02, 0.96)], 0.028))
        shapes.append(line("third", [(x - 0.11, 0.965), (x + 0.05, 0.965)], 0.026))
    tail = [(0.2, 0.46), (0.56, 0.42 + lift), (0.6, 0.54 + lift), (0.22, 0.62)]
    shapes.append(area("second", tail))
    low = 0.5 + 0.24 * plump
    outline = [(-0.3, 0.14 - neck), (-0.14, 0.1 - neck), (-0.02, 0.28), (0.16, 0.38), (0.32, 0.5), (0.16, low - 0.06)]
    outline += [(-0.06, low), (-0.26, low - 0.12), (-0.33, 0.4), (-0.38, 0.26 - neck)]
    shapes.append(area("main", curve(outline, steps=4)))
    breast = [(-0.31, 0.36), (-0.16, 0.45), (-0.06, low - 0.05), (-0.17, low - 0.06), (-0.28, low - 0.16)]
    shapes.append(area("light", curve(breast, steps=3)))
    wing = curve([(-0.1, 0.38), (0.06, 0.36), (0.26, 0.5), (0.4, 0.62), (0.12, 0.63), (-0.06, 0.54)], steps=3)
    shapes.append(area("second", wing))
    shapes += [line("dark", [(x, 0.5 + x * 0.25), (x + 0.14, 0.56 + x * 0.25)], 0.012) for x in (0.0, 0.09)]
    beak = [(-0.37, 0.2 - neck), (-0.55, 0.26 - neck), (-0.36, 0.3 - neck)]
    return shapes + [area("third", beak), *_eye(-0.25, 0.21 - neck, 0.042)]


def _flying_bird(rng: Generator) -> list[Shape]:
    lift, wide = rng.uniform(0.85, 1.1), rng.uniform(0.9, 1.15)
    far = [(0.02, 0.0), (0.14, -0.3), (0.34, -0.44), (0.3, -0.22), (0.22, -0.02)]
    near = [(-0.14, -0.02), (-0.12, -0.3), (0.02, -0.55), (0.1, -0.36), (0.2, -0.24), (0.16, 0.02), (0.0, 0.08)]
    body = [
        (-0.46, 0.0),
        (-0.36, -0.1),
        (-0.2, -0.09),
        (0.1, -0.06),
        (0.34, 0.05),
        (0.1, 0.13),
        (-0.2, 0.13),
        (-0.38, 0.08),
    ]
    stretch = np.array([wide, lift])
    shapes = [
        area("second", curve(np.asarray(far) * stretch, steps=3)),
        area("second", [(0.26, 0.0), (0.56, -0.04), (0.5, 0.06), (0.56, 0.14), (0.26, 0.11)]),
        area("main", curve(body, steps=4)),
        area("light", curve([(-0.3, 0.08), (0.1, 0.06), (0.1, 0.12), (-0.2, 0.125)], steps=3)),
        area("second", curve(np.asarray(near) * stretch, steps=3)),
    ]
    for root, tip in (((-0.04, -0.02), (0.02, -0.36)), ((0.04, 0.0), (0.1, -0.24))):
        shapes.append(line("dark", np.asarray([root, tip]) * stretch, 0.014))
    return shapes + [area("third", [(-0.45, -0.04), (-0.6, 0.02), (-0.44, 0.05)]), *_eye(-0.36, -0.03, 0.035)]


def butterfly(rng: Generator) -> list[Shape]:
    """A butterfly with open wings, seen from above or half turned."""
    high, low, narrow = rng.uniform(0.36, 0.5), rng.uniform(0.34, 0.46), rng.choice([1.0, rng.uniform(0.5, 0.8)])
    upper = [
        (0.03, -0.06),
        (0.14, -0.32),
        (0.36, -high),
        (0.52, -high * 0.8),
        (0.47, -0.14),
        (0.26, 0.04),
        (0.03, 0.06),
    ]
    lower = [(0.03, 0.02), (0.26, 0.03), (0.41, 0.16), (0.38, low * 0.82), (0.22, low), (0.1, 0.27)]
    wings = [("main", curve(upper, steps=4)), ("second", curve(lower, steps=4))]
    spots = rng.integers(3)
    marks: list[tuple[str, np.ndarray]] = []
    if spots == 0:
        marks = [
            ("light", ellipse(0.38, -high * 0.62, 0.07, 0.07, steps=12)),
            ("light", ellipse(0.27, 0.2, 0.055, 0.055, steps=12)),
        ]
    elif spots == 1:
        marks = [
            (role, (points - (0.05, 0)) * 0.66 + (0.08, 0))
            for role, points in (("third", wings[0][1]), ("light", wings[1][1]))
        ]
    shapes = []
    for side, scale in ((-1, narrow), (1, 1.0)):
        shapes += [area(role, points * (side * scale, 1)) for role, points in (wings[1], wings[0], *marks)]
        if spots == 2:
            veins = (
                [(0.05, -0.04), (0.42, -high * 0.75)],
                [(0.05, 0), (0.44, -0.18)],
                [(0.05, 0.05), (0.3, low * 0.7)],
            )
            shapes += [line("dark", np.asarray(vein) * (side * scale, 1), 0.018) for vein in veins]
        feeler = curve([(0.01, -0.24), (0.07, -0.4), (0.16, -0.48)], False, 4)
        shapes.append(line("dark", feeler * (side, 1), 0.02))
    shapes.append(area("dark", ellipse(0, 0.04, 0.045, 0.26, steps=16)))
    return shapes + [area("dark", ellipse(0, -0.24, 0.055, 0.055, steps=12))]


def snail(rng: Generator) -> list[Shape]:
    """A snail from the side, with a spiral shell."""
    radius, reach = rng.uniform(0.27, 0.34), rng.uniform(0.0, 0.08)
    x, y = 0.12, 0.64 - radius
    foot = [(0.6, 0.78), (0.3, 0.68), (-0.1, 0.66), (-0.3, 0.56), (-0.36, 0.4 - reach), (-0.5, 0.38 - reach)]
    foot += [(-0.56, 0.5 - reach), (-0.5, 0.66), (-0.38, 0.78), (0.1, 0.8)]
    shapes = []
    for root, tip in (((-0.4, 0.42), (-0.36, 0.16)), ((-0.49, 0.42), (-0.56, 0.18))):
        stalk = np.asarray([root, tip]) - (0, reach)
        shapes += [area("second", ribbon(stalk, 0.04, 0.03)), area("dark", ellipse(*stalk[1], 0.036, 0.036, steps=10))]
    shapes.append(area("second", curve(foot, steps=4)))
    shapes.append(line("dark", ellipse(-0.5, 0.5 - reach, 0.05, 0.04, 0, 20, 120, 5), 0.016))
    shell = ellipse(x, y, radius, radius * rng.uniform(0.9, 1.02), steps=28)
    shapes.append(area("main", shell))
    turns = rng.uniform(1.8, 2.4)
    coil = spiral(x, y, radius * 0.9, turns, rng.uniform(60, 110))
    shapes.append(area("third" if rng.random() < 0.6 else "dark", ribbon(coil, 0.055, 0.025)))
    return shapes
