"""How large things outdoors are drawn: house, car, sailboat, airplane."""

import numpy as np
from numpy.random import Generator

from testbed.miniweb.objects_shapes import Shape, area, box, curve, ellipse, line, mirrored, ribbon, rounded, symmetric


def _window(left: float, top: float, right: float, bottom: float) -> list[Shape]:
    x, y = (left + right) / 2, (top + bottom) / 2
    return [
        area("light", box(left, top, right, bottom)),
        line("dark", [(x, top), (x, bottom)], 0.016),
        line("dark", [(left, y), (right, y)], 0.016),
    ]


def house(rng: Generator) -> list[Shape]:
    """A cottage seen from a corner, a wide house from the front, or a narrow one with a gable."""
    style = rng.integers(3)
    if style == 0:
        return _corner_house(rng)
    return _wide_house(rng) if style == 1 else _gabled_house(rng)


def _chimney(x: float, top: float, bottom: float) -> list[Shape]:
    return [
        area("third", box(x - 0.05, top, x + 0.05, bottom)),
        area("dark", box(x - 0.065, top, x + 0.065, top + 0.04)),
    ]


def _corner_house(rng: Generator) -> list[Shape]:
    peak, eave, front = rng.uniform(0.12, 0.22), rng.uniform(0.46, 0.54), rng.uniform(0.36, 0.44)
    base, middle = 0.92, front / 2
    shapes = _chimney(0.72, peak - 0.1, eave - 0.1)
    shapes += [
        area("main", [(front, eave), (0.95, eave), (0.95, base - 0.04), (front, base)]),
        area("main", [(0, eave), (middle, peak + 0.04), (front, eave), (front, base), (0, base - 0.03)]),
        area("second", [(middle, peak), (0.82, peak), (1.03, eave + 0.02), (front + 0.04, eave + 0.03)]),
        area("second", ribbon([(middle, peak), (-0.05, eave + 0.03)], 0.05)),
        area("second", ribbon([(middle, peak), (front + 0.04, eave + 0.03)], 0.05)),
    ]
    door = middle + rng.uniform(-0.04, 0.04)
    shapes.append(area("third", box(door - 0.065, base - 0.27, door + 0.065, base - 0.015)))
    for x in (0.56, 0.78):
        shapes += _window(x - 0.07, eave + 0.09, x + 0.07, eave + 0.25)
    return shapes


def _wide_house(rng: Generator) -> list[Shape]:
    half, eave, peak = rng.uniform(0.42, 0.48), rng.uniform(0.44, 0.52), rng.uniform(0.14, 0.24)
    top, base = half * rng.uniform(0.55, 0.95), rng.uniform(0.86, 0.96)
    shapes = _chimney(rng.choice([-1, 1]) * top * 0.6, peak - 0.12, peak + 0.14)
    shapes.append(area("main", box(-half, eave - 0.02, half, base)))
    shapes.append(area("second", [(-half - 0.07, eave + 0.02), (-top, peak), (top, peak), (half + 0.07, eave + 0.02)]))
    tall = (base - eave) * 0.68
    shapes.append(area("third", box(-0.075, base - tall, 0.075, base)))
    shapes.append(area("light", ellipse(0.045, base - tall / 2, 0.016, 0.016, steps=8)))
    for x in (-0.62 * half, 0.62 * half):
        shapes += _window(x - 0.085, eave + 0.08, x + 0.085, eave + 0.25)
    return shapes


def _gabled_house(rng: Generator) -> list[Shape]:
    half, eave, base = rng.uniform(0.3, 0.38), rng.uniform(0.36, 0.44), 1.0
    peak, over = eave - rng.uniform(0.3, 0.38), 0.07
    shapes = _chimney(rng.choice([-1, 1]) * half * 0.6, peak + 0.02, eave)
    shapes.append(area("main", [(-half, eave), (0, peak + 0.05), (half, eave), (half, base), (-half, base)]))
    slope = np.array([(0, peak - 0.03), (half + over, eave + over * 0.5), (half + over, eave + 0.1), (0, peak + 0.09)])
    shapes += [area("second", slope), area("second", mirrored(slope))]
    side = rng.choice([-1, 1])
    shapes.append(area("third", box(side * half * 0.45 - 0.08, base - 0.3, side * half * 0.45 + 0.08, base)))
    shapes += _window(-side * half * 0.45 - 0.09, base - 0.28, -side * half * 0.45 + 0.09, base - 0.1)
    for x in (-half * 0.48, half * 0.48):
        shapes += _window(x - 0.075, eave + 0.1, x + 0.075, eave + 0.25)
    if rng.random() < 0.5:
        shapes.append(area("light", ellipse(0, eave - 0.07, 0.06, 0.06, steps=14)))
    return shapes


def car(rng: Generator) -> list[Shape]:
    """A saloon, a small round car or a van, from the side."""
    style = rng.integers(3)
    if style == 0:
        return _saloon(rng)
    return _round_car(rng) if style == 1 else _van(rng)


def _wheels(centres: tuple[float, float], y: float, radius: float) -> list[Shape]:
    shapes = []
    for x in centres:
        shapes.append(area("dark", ellipse(x, y, radius, radius, steps=20)))
        shapes.append(area("light", ellipse(x, y, radius * 0.5, radius * 0.5, steps=12)))
    return shapes


def _lamps(front: float, back: float, y: float) -> list[Shape]:
    return [
        area("light", ellipse(front, y, 0.03, 0.035, steps=10)),
        area("third", box(back - 0.025, y - 0.03, back, y + 0.035)),
    ]


def _saloon(rng: Generator) -> list[Shape]:
    roof, lean = rng.uniform(0.24, 0.3), rng.uniform(-0.03, 0.03)
    body = [(0.0, 0.66), (0.01, 0.5), (0.08, 0.45), (0.26, 0.42), (0.8, 0.42), (0.96, 0.46), (1.0, 0.55), (1.0, 0.67)]
    cabin = [
        (0.24, 0.43),
        (0.36 + lean, roof),
        (0.42 + lean, roof - 0.02),
        (0.66, roof - 0.02),
        (0.72, roof),
        (0.84, 0.43),
    ]
    shapes = [area("main", cabin), area("main", body)]
    shapes.append(area("light", [(0.31, 0.42), (0.4 + lean, roof + 0.03), (0.52, roof + 0.03), (0.52, 0.42)]))
    shapes.append(area("light", [(0.555, 0.42), (0.555, roof + 0.03), (0.67, roof + 0.03), (0.76, 0.42)]))
    shapes += [line("dark", [(0.54, 0.44), (0.54, 0.64)], 0.014), line("dark", [(0.58, 0.49), (0.64, 0.49)], 0.02)]
    return shapes + _lamps(0.035, 1.0, 0.52) + _wheels((0.22, 0.79), 0.66, rng.uniform(0.095, 0.12))


def _round_car(rng: Generator) -> list[Shape]:
    roof = rng.uniform(0.14, 0.2)
    body = [(0.0, 0.64), (0.02, 0.5), (0.16, 0.43), (0.25, 0.4), (0.34, 0.22), (0.5, roof), (0.68, 0.22), (0.8, 0.4)]
    body += [(0.94, 0.47), (1.0, 0.64), (0.9, 0.7), (0.1, 0.7)]
    shapes = [area("main", curve(body, steps=4))]
    left = [(0.31, 0.4), (0.37, 0.27), (0.49, roof + 0.06), (0.49, 0.4)]
    right = [(0.53, 0.4), (0.53, roof + 0.06), (0.65, 0.27), (0.73, 0.4)]
    shapes += [area("light", left), area("light", right)]
    shapes += [line("dark", [(0.51, 0.42), (0.51, 0.66)], 0.014), line("dark", [(0.55, 0.47), (0.61, 0.47)], 0.02)]
    return shapes + _lamps(0.06, 0.98, 0.54) + _wheels((0.22, 0.79), 0.68, rng.uniform(0.11, 0.13))


def _van(rng: Generator) -> list[Shape]:
    roof, nose = rng.uniform(0.14, 0.22), rng.uniform(0.02, 0.1)
    body = [
        (0, 0.66),
        (0.0, 0.5),
        (nose + 0.02, 0.43),
        (nose + 0.12, roof),
        (0.97, roof),
        (1.0, roof + 0.05),
        (1.0, 0.68),
    ]
    shapes = [area("main", body)]
    if rng.random() < 0.6:
        shapes.append(area("second", box(0.005, 0.5, 0.995, 0.6)))
    low = 0.43
    shapes.append(area("light", [(nose + 0.07, low), (nose + 0.15, roof + 0.06), (0.34, roof + 0.06), (0.34, low)]))
    shapes += [area("light", box(x, roof + 0.06, x + 0.22, low)) for x in (0.39, 0.67)]
    shapes += [line("dark", [(x, roof + 0.05), (x, 0.64)], 0.013) for x in (0.365, 0.64)]
    return shapes + _lamps(0.035, 1.0, 0.54) + _wheels((0.2, 0.8), 0.67, rng.uniform(0.095, 0.115))


def sailboat(rng: Generator) -> list[Shape]:
    """A sailing boat with a mainsail and mostly a jib, from the side."""
    tall, rake, boom = rng.uniform(-0.02, 0.1), rng.uniform(-0.02, 0.03), rng.uniform(0.34, 0.44)
    hull = [(-0.48, 0.76), (0.52, 0.74), (0.38, 0.9), (0.28, 0.94), (-0.3, 0.94), (-0.42, 0.88)]
    shapes = [area("dark", ribbon([(0.03, 0.77), (0.03 + rake, tall - 0.02)], 0.035))]
    bulge = rng.uniform(0.0, 0.07)
    sail = [(-0.0, tall + 0.02), (-0.0, 0.68), (-boom, 0.68), (-boom * 0.62 - bulge, 0.42), (-0.12 - bulge, 0.16)]
    shapes.append(area("second", sail))
    if rng.random() < 0.5:
        shapes.append(area("third", [(-0.0, 0.6), (-0.0, 0.68), (-boom, 0.68), (-boom * 0.88 - bulge * 0.4, 0.6)]))
    else:
        shapes += [line("dark", [(-0.0, y), (-boom * (y - tall) / 0.7, y)], 0.01) for y in (0.32, 0.5)]
    if rng.random() < 0.85:
        jib = [(0.07 + rake, tall + 0.1), (0.46, 0.69), (0.24, 0.66), (0.08, 0.68)]
        shapes.append(area(rng.choice(["second", "third"]), jib))
    if rng.random() < 0.5:
        top = tall - 0.02
        shapes.append(area("third", [(0.03 + rake, top - 0.05), (0.17 + rake, top - 0.01), (0.03 + rake, top + 0.03)]))
    shapes.append(area("main", hull))
    shapes.append(line("light", [(-0.43, 0.82), (0.44, 0.81)], 0.025))
    return shapes


def airplane(rng: Generator) -> list[Shape]:
    """An airliner from the side or from above, or a small aircraft with a propeller."""
    style = rng.integers(5)
    if style < 2:
        return _airliner(rng)
    return _airliner_from_above(rng) if style < 4 else _propeller_aircraft(rng)


def _airliner(rng: Generator) -> list[Shape]:
    thick, sweep = rng.uniform(0.065, 0.085), rng.uniform(0.0, 0.08)
    far_wing = [(-0.06, -0.03), (0.08, -0.03), (0.25 + sweep, -0.3), (0.17 + sweep, -0.3)]
    fin = [(0.3, -thick + 0.02), (0.46, -0.33), (0.56, -0.33), (0.5, -0.02)]
    body = [(-0.54, 0.02), (-0.48, -0.05), (-0.36, -thick), (0.2, -thick), (0.4, -thick * 0.9), (0.56, -0.05)]
    body += [(0.5, 0.0), (0.3, thick * 0.75), (-0.3, thick), (-0.47, thick * 0.9)]
    near_wing = [(-0.14, 0.03), (0.08, 0.03), (0.36 + sweep, 0.38), (0.25 + sweep, 0.38)]
    shapes = [area("second", far_wing), area("second", fin), area("main", curve(body, steps=4))]
    shapes.append(area("dark", [(-0.49, -0.035), (-0.4, -0.045), (-0.4, 0.0), (-0.5, 0.0)]))
    for x in np.linspace(-0.32, 0.3, 7):
        shapes.append(area("dark", box(x - 0.018, -0.035, x + 0.018, 0.008)))
    if rng.random() < 0.7:
        shapes.append(line("third", [(-0.5, 0.045), (0.36, 0.03)], 0.024))
    shapes.append(area("third", rounded(-0.05, 0.13, 0.12, 0.22, 0.04)))
    shapes.append(area("second", near_wing))
    shapes.append(area("second", [(0.36, -0.03), (0.47, -0.03), (0.62, 0.12), (0.54, 0.12)]))
    return shapes


def _airliner_from_above(rng: Generator) -> list[Shape]:
    thick, sweep, span = rng.uniform(0.06, 0.08), rng.uniform(0.1, 0.26), rng.uniform(0.44, 0.52)
    wing = np.array([(0.03, -0.14), (span, sweep), (span, sweep + 0.09), (0.03, 0.14)])
    tail = np.array([(0.02, 0.34), (0.2, 0.44), (0.2, 0.51), (0.02, 0.47)])
    engine = rounded(span * 0.38, sweep * 0.38 - 0.15, span * 0.38 + 0.07, sweep * 0.38 + 0.02, 0.03)
    body = [(0, -0.54), (thick * 0.75, -0.44), (thick, -0.3), (thick, 0.15), (thick * 0.5, 0.4), (0, 0.54)]
    shapes = []
    for points in (engine, mirrored(engine)):
        shapes.append(area("third", points))
    for points in (wing, mirrored(wing), tail, mirrored(tail)):
        shapes.append(area("second", points))
    shapes.append(area("main", curve(symmetric(body), steps=3)))
    shapes.append(
        area("dark", [(-thick * 0.6, -0.42), (thick * 0.6, -0.42), (thick * 0.8, -0.35), (-thick * 0.8, -0.35)])
    )
    shapes.append(area("third", ribbon([(0, 0.3), (0, 0.52)], 0.035)))
    return shapes


def _propeller_aircraft(rng: Generator) -> list[Shape]:
    lift = rng.uniform(0.0, 0.04)
    body = [
        (-0.46, 0.0),
        (-0.42, -0.1),
        (-0.2, -0.12),
        (0.1, -0.08),
        (0.5, -0.06),
        (0.52, 0.0),
        (0.1, 0.1),
        (-0.3, 0.12),
        (-0.44, 0.09),
    ]
    cabin = [(-0.2, -0.1), (-0.12, -0.23), (0.06, -0.23), (0.16, -0.08)]
    shapes = [
        area("light", cabin),
        area("second", [(0.34, -0.04), (0.44, -0.27), (0.54, -0.27), (0.54, -0.02)]),
        area("main", curve(body, steps=3)),
        line("third", [(-0.4, 0.02), (0.48, -0.03)], 0.035),
        area("second", rounded(-0.3, -0.3 + lift, 0.24, -0.23 + lift, 0.03)),
        line("dark", [(-0.14, -0.22), (-0.06, 0.05)], 0.022),
        area("second", [(0.34, -0.03), (0.56, -0.03), (0.6, 0.03), (0.38, 0.03)]),
        area("dark", ellipse(-0.49, 0.0, 0.022, 0.2, 0, steps=14)),
        area("third", ellipse(-0.48, 0.0, 0.045, 0.045, steps=10)),
    ]
    for x, y in ((-0.24, 0.24), (0.44, 0.12)):
        shapes.append(line("dark", [(x + 0.04, y - 0.13), (x, y)], 0.022))
        shapes.append(area("dark", ellipse(x, y, 0.055 if x < 0 else 0.03, 0.055 if x < 0 else 0.03, steps=12)))
    return shapes
