"""How household things are drawn: mug, key, clock, umbrella, chair, guitar, teapot."""

import numpy as np
from numpy.random import Generator

from testbed.miniweb.objects_shapes import (
    Shape,
    area,
    box,
    curve,
    ellipse,
    line,
    mirrored,
    ribbon,
    rotated,
    rounded,
    symmetric,
)


def mug(rng: Generator) -> list[Shape]:
    """A mug with its handle to the right, seen slightly from above; plain, banded or with a badge."""
    wide, top, taper, low = rng.uniform(0.28, 0.36), rng.uniform(0.1, 0.24), rng.uniform(0.78, 1.0), 0.9
    rim = rng.uniform(0.06, 0.1)
    grip_top, grip_low = top + 0.14, low - 0.16
    reach = wide + rng.uniform(0.22, 0.3)
    handle = [(wide * 0.9, grip_top), (reach * 0.92, grip_top - 0.01), (reach, (grip_top + grip_low) / 2)]
    handle += [(reach * 0.88, grip_low), (wide * taper * 0.9, grip_low)]
    shapes = [area("main", ribbon(curve(handle, False, 5), rng.uniform(0.075, 0.1)))]
    floor = ellipse(0, low, wide * taper, rim * 0.8, 0, 0, 180, 12)
    shapes.append(area("main", np.concatenate([[(-wide, top), (wide, top)], floor])))
    pattern, middle = rng.integers(4), (top + low) / 2 + rim * 0.6
    if pattern == 0:
        edge = ellipse(0, middle - 0.08, wide * (1 + taper) / 2, rim * 0.8, 0, 0, 180, 10)
        shapes.append(area("second", np.concatenate([edge, edge[::-1] + (0, 0.17)])))
    elif pattern == 1:
        shapes.append(area("second", ellipse(0, middle + 0.02, 0.13, 0.14, steps=16)))
    elif pattern == 2:
        half = [(0, -0.06), (0.07, -0.13), (0.15, -0.08), (0.12, 0.04), (0, 0.15)]
        shapes.append(area("second", np.asarray(symmetric(half)) + (0, middle)))
    shapes.append(area("light", ellipse(0, top, wide, rim, steps=24)))
    shapes.append(area("dark", ellipse(0, top + rim * 0.12, wide * 0.86, rim * 0.72, steps=24)))
    if rng.random() < 0.35:
        for x in (-0.1, 0.08):
            steam = curve(
                [(x, top - 0.05), (x + 0.05, top - 0.13), (x - 0.02, top - 0.2), (x + 0.04, top - 0.27)], False, 4
            )
            shapes.append(line("light", steam, 0.025))
    return shapes


def key(rng: Generator) -> list[Shape]:
    """A key that lies on its side: bow to the left, teeth at the right end."""
    style = rng.integers(3)
    if style == 2:
        return _flat_key(rng)
    bow, shaft = rng.uniform(0.15, 0.19), rng.uniform(0.06, 0.085)
    end, deep = 0.62, rng.uniform(0.14, 0.19)
    shapes = [area("main", box(-0.2, -shaft / 2, end, shaft / 2))]
    for x in (end - 0.07, end - 0.2) if rng.random() < 0.5 else (end - 0.06, end - 0.16, end - 0.26):
        shapes.append(area("main", box(x - 0.04, 0.0, x + 0.04, deep * rng.uniform(0.8, 1.1))))
    shapes.append(area("main", box(-0.17, -shaft * 0.95, -0.12, shaft * 0.95)))
    if style == 0:
        shapes.append(area("main", ellipse(-0.34, 0, bow, bow, steps=24)))
        return shapes + [area("hole", ellipse(-0.34, 0, bow * 0.58, bow * 0.58, steps=18))]
    centres = [(-0.28, -0.12), (-0.28, 0.12), (-0.44, 0.0)]
    shapes += [area("main", ellipse(x, y, 0.125, 0.125, steps=18)) for x, y in centres]
    return shapes + [area("hole", ellipse(x, y, 0.062, 0.062, steps=12)) for x, y in centres]


def _flat_key(rng: Generator) -> list[Shape]:
    bow = [
        (-0.5, -0.1),
        (-0.42, -0.2),
        (-0.22, -0.2),
        (-0.13, -0.09),
        (-0.13, 0.09),
        (-0.22, 0.2),
        (-0.42, 0.2),
        (-0.5, 0.1),
    ]
    teeth = [(-0.16, -0.075), (0.56, -0.075), (0.64, 0.0)]
    x, depths = 0.58, rng.uniform(0.0, 0.1, 5)
    for depth in depths:
        teeth += [(x, 0.11 - depth * 0.3), (x - 0.055, 0.11 - depth), (x - 0.1, 0.11)]
        x -= 0.12
    teeth += [(-0.04, 0.13), (-0.16, 0.13)]
    return [
        area("main", teeth),
        area(rng.choice(["main", "dark"]), curve(bow, steps=3)),
        line("dark", [(-0.1, -0.01), (0.52, -0.01)], 0.02),
        area("hole", ellipse(-0.37, 0, 0.065, 0.065, steps=14)),
    ]


def clock(rng: Generator) -> list[Shape]:
    """A round or square wall clock, or an alarm clock with bells and feet."""
    style, hour, minute = rng.integers(4), rng.uniform(0, 360), rng.integers(12) * 30.0
    shapes: list[Shape] = []
    if style >= 2:
        shapes.append(area("second", ribbon(ellipse(0, -0.44, 0.1, 0.12, 0, 180, 360, 10), 0.035)))
        for side in (-1, 1):
            shapes.append(area("dark", ribbon([(side * 0.24, 0.3), (side * 0.36, 0.52)], 0.08, 0.06)))
            shapes.append(line("dark", [(side * 0.2, -0.3), (side * 0.27, -0.42)], 0.035))
            shapes.append(area("second", ellipse(side * 0.27, -0.4, 0.16, 0.12, side * 35, 180, 360, 12)))
    if style == 1:
        shapes += [
            area("main", rounded(-0.46, -0.46, 0.46, 0.46, 0.1)),
            area("light", ellipse(0, 0, 0.38, 0.38, steps=28)),
        ]
    else:
        shapes.append(area("main", ellipse(0, 0, 0.44, 0.44, steps=32)))
        inner = rng.uniform(0.33, 0.38)
        shapes.append(area("light", ellipse(0, 0, inner, inner, steps=28)))
    every = 30 if rng.random() < 0.6 else 90
    for angle in range(0, 360, every):
        start = 0.25 if angle % 90 == 0 else 0.28
        shapes.append(line("dark", rotated([(start, 0), (0.325, 0)], angle), 0.035 if angle % 90 == 0 else 0.02))
    shapes.append(area("dark", rotated(ribbon([(-0.03, 0), (0.18, 0)], 0.06, 0.04), hour)))
    shapes.append(area("dark", rotated(ribbon([(-0.04, 0), (0.28, 0)], 0.045, 0.025), minute)))
    return shapes + [area("third", ellipse(0, 0, 0.035, 0.035, steps=10))]


def umbrella(rng: Generator) -> list[Shape]:
    """An open umbrella from the side, with ribs, a pole and mostly a hooked handle."""
    panels, high, half = rng.integers(4, 7), rng.uniform(0.36, 0.48), 0.5
    rim = 0.08 + high
    edges = np.sin(np.linspace(-np.pi / 2, np.pi / 2, panels + 1)) * half
    hook = rng.random() < 0.8
    pole = [(0, 0.06), (0, 0.88)]
    shapes = [area("dark", ribbon(pole, 0.032)), area("dark", ribbon([(0, -0.02), (0, 0.12)], 0.025))]
    if hook:
        shapes.append(
            area("third", ribbon(ellipse(rng.choice([-0.085, 0.085]), 0.86, 0.085, 0.1, 0, 0, 180, 10), 0.045))
        )
        shapes.append(area("third", ribbon([(0, 0.74), (0, 0.88)], 0.045)))
    scallop = rng.uniform(0.05, 0.09)
    for index, (left, right) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        low = curve([(right, rim), ((left + right) / 2, rim - scallop), (left, rim)], False, 4)
        outer = _rib(right, half, rim, high)
        inner = _rib(left, half, rim, high)[::-1]
        role = "main" if index % 2 == 0 else "second"
        shapes.append(area(role, np.concatenate([inner, outer, low])))
    return shapes


def _rib(x: float, half: float, rim: float, high: float) -> np.ndarray:
    share = np.linspace(0, 90, 7) * np.pi / 180
    return np.stack([x * np.sin(share), rim - high * np.cos(share)], axis=1)


def chair(rng: Generator) -> list[Shape]:
    """A wooden chair with slats, bars or a solid back, or an upholstered armchair."""
    if rng.random() < 0.22:
        return _armchair(rng)
    seat, wide, back = rng.uniform(0.52, 0.58), rng.uniform(0.4, 0.48), rng.uniform(0.0, 0.08)
    shift, leg, far = 0.14, rng.uniform(0.05, 0.065), 0.88
    rake = rng.uniform(0.0, 0.06)
    left, right = -wide / 2, wide / 2
    posts = [(x + shift, seat - 0.1, x + shift + rake, back) for x in (left, right)]
    shapes = [area("second", ribbon([(x + shift, seat), (x + shift + 0.01, far)], leg)) for x in (left, right)]
    style = rng.integers(3)
    (x0, low, x2, high), (x1, _, x3, _) = posts
    if style == 0:
        for share in (0.08, 0.38, 0.68):
            y, dx = high + (low - high) * share, rake * (1 - share)
            shapes.append(area("main", box(x0 + dx, y, x1 + dx, y + 0.09)))
    elif style == 1:
        shapes += [
            area("main", ribbon([(x0 + (x1 - x0) * s, low), (x2 + (x3 - x2) * s, high + 0.05)], 0.04))
            for s in (0.25, 0.5, 0.75)
        ]
        shapes.append(area("main", box(x2, high + 0.01, x3, high + 0.11)))
    else:
        shapes.append(area("third", [(x2, high + 0.03), (x3, high + 0.03), (x1, low - 0.02), (x0, low - 0.02)]))
    shapes += [area("main", ribbon([(x, seat), (x + (top - x), high)], leg * 1.1)) for x, top in ((x0, x2), (x1, x3))]
    shapes += [
        area("main", ribbon([(x - 0.02, seat + 0.08), (x - 0.03, 1.0)], leg * 1.15)) for x in (left, right - 0.02)
    ]
    top = [
        (left - 0.06, seat + 0.08),
        (right - 0.0, seat + 0.08),
        (right + shift + 0.03, seat - 0.08),
        (left + shift - 0.03, seat - 0.08),
    ]
    shapes.append(area("third" if rng.random() < 0.5 else "main", top))
    shapes.append(area("main", box(left - 0.06, seat + 0.08, right, seat + 0.13)))
    return shapes


def _armchair(rng: Generator) -> list[Shape]:
    half, back = rng.uniform(0.28, 0.34), rng.uniform(0.02, 0.14)
    arm = rounded(half - 0.04, 0.42, half + 0.13, 0.86, 0.07)
    shapes = [area("dark", ribbon([(side * half, 0.84), (side * (half + 0.03), 1.0)], 0.07, 0.045)) for side in (-1, 1)]
    shapes.append(area("main", rounded(-half, back, half, 0.7, 0.12)))
    shapes += [area("dark", ellipse(x, back + 0.2, 0.018, 0.018, steps=8)) for x in (-0.14, 0.0, 0.14)]
    shapes.append(area("main", box(-half, 0.68, half, 0.86)))
    shapes.append(area("third", rounded(-half + 0.02, 0.54, half - 0.02, 0.7, 0.06)))
    return shapes + [area("main", arm), area("main", mirrored(arm))]


def guitar(rng: Generator) -> list[Shape]:
    """An acoustic guitar with a sound hole, or an electric one with horns and pickups, upright."""
    acoustic = rng.random() < 0.6
    hip, waist, shoulder = rng.uniform(0.22, 0.26), rng.uniform(0.13, 0.16), rng.uniform(0.17, 0.21)
    if acoustic:
        half = [
            (0, 0.5),
            (shoulder * 0.8, 0.52),
            (shoulder, 0.6),
            (waist, 0.7),
            (hip, 0.84),
            (hip * 0.75, 0.98),
            (0, 1.01),
        ]
        body = curve(symmetric(half), steps=4)
    else:
        horns = [
            (0.04, 0.58),
            (0.11, 0.52),
            (0.17, 0.42),
            (0.19, 0.54),
            (waist, 0.68),
            (hip, 0.84),
            (hip * 0.7, 0.98),
            (0, 1.0),
        ]
        left = [
            (-hip * 0.75, 0.99),
            (-hip, 0.84),
            (-waist, 0.68),
            (-0.21, 0.54),
            (-0.2, 0.46),
            (-0.11, 0.55),
            (-0.04, 0.58),
        ]
        body = curve(horns + left, steps=4)
    shapes = [area("main", body)]
    top, reach = rng.uniform(-0.04, 0.02), 0.62 if acoustic else 0.66
    if acoustic:
        shapes.append(area("second", ellipse(0, 0.66, 0.105, 0.1, steps=20)))
        shapes.append(area("dark", ellipse(0, 0.66, 0.08, 0.076, steps=18)))
        shapes.append(area("dark", box(-0.1, 0.85, 0.1, 0.89)))
    else:
        shapes.append(
            area("light", curve([(-0.07, 0.6), (0.1, 0.6), (0.15, 0.8), (0.04, 0.92), (-0.07, 0.86)], steps=3))
        )
        shapes += [area("dark", box(-0.075, y, 0.075, y + 0.045)) for y in (0.71, 0.82)]
    shapes.append(area("second", box(-0.034, top + 0.1, 0.034, reach)))
    shapes += [line("light", [(-0.034, y), (0.034, y)], 0.012) for y in np.linspace(top + 0.17, 0.5, 5)]
    head = [
        (-0.04, top + 0.13),
        (-0.075, top - 0.06),
        (0.075, top - 0.08 if not acoustic else top - 0.06),
        (0.04, top + 0.13),
    ]
    for y in (top - 0.01, top + 0.055):
        shapes += [area("light", ellipse(side * 0.085, y, 0.026, 0.02, steps=8)) for side in (-1, 1)]
    shapes.append(area("third", head))
    return shapes + [line("light", [(x, top + 0.1), (x, 0.87)], 0.008) for x in (-0.014, 0.014)]


def teapot(rng: Generator) -> list[Shape]:
    """A teapot, round or tall, with its spout to the left and its handle to the right."""
    wide, high, tall = rng.uniform(0.28, 0.34), rng.uniform(0.24, 0.3), rng.random() < 0.3
    if tall:
        wide, high = wide * 0.82, high * 1.35
    y = 0.95 - high
    spout = [(-wide * 0.75, y + high * 0.45), (-wide - 0.12, y + 0.06)]
    spout += [(-wide - 0.15, y - high * 0.35), (-wide - 0.25, y - high * 0.72)]
    handle = [(wide * 0.6, y - high * 0.62), (wide + 0.1, y - high * 0.75), (wide + 0.2, y - high * 0.1)]
    handle += [(wide + 0.08, y + high * 0.45), (wide * 0.8, y + high * 0.5)]
    shapes = [
        area("main", ribbon(curve(spout, False), 0.17, 0.07)),
        area("second", ribbon(curve(handle, False), rng.uniform(0.055, 0.075))),
    ]
    bulge = rng.uniform(0.9, 1.02)
    half = [
        (0, -high),
        (wide * 0.55, -high * 0.92),
        (wide, -high * 0.2),
        (wide * 0.95 * bulge, high * 0.35),
        (wide * 0.55, high * 0.92),
        (0, high),
    ]
    body = curve(symmetric(half), steps=4) + (0, y)
    shapes.append(area("main", body))
    pattern = rng.integers(3)
    if pattern == 0:
        edge = ellipse(0, y - 0.04, wide * 0.98, 0.06, 0, 0, 180, 10)
        shapes.append(area("third", np.concatenate([edge, edge[::-1] + (0, 0.12)])))
    elif pattern == 1:
        shapes += [
            area("third", ellipse(x, y + 0.05 + abs(x) * 0.2, 0.055, 0.055, steps=12)) for x in (-0.17, 0.0, 0.17)
        ]
    lid = ellipse(0, y - high * 0.86, wide * 0.58, 0.1, 0, 180, 360, 12)
    shapes.append(area("second", lid))
    shapes.append(area("second", ellipse(0, y - high * 0.86 - 0.13, 0.05, 0.05, steps=12)))
    shapes.append(area("main", ellipse(0, y + high, wide * 0.5, 0.035, steps=14)))
    return shapes + [area("light", ellipse(-wide * 0.5, y - high * 0.35, 0.045, 0.085, 30, steps=10))]
