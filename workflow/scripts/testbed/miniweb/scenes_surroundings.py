"""What lies behind an object: landscapes, rooms, tables, walls, and the surfaces of a household.

Every function takes a generator and coordinates u (to the right), v (down), 0..1 across an upright image, and gives RGB
of the same shape in 0..1. Turned, zoomed or receding coordinates give turned, zoomed or receding surroundings.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from testbed.miniweb.scenes_raster import mix, step, texture

Field = np.ndarray

SKIES = (
    ((0.30, 0.52, 0.82), (0.76, 0.87, 0.95)),
    ((0.45, 0.64, 0.86), (0.88, 0.92, 0.94)),
    ((0.62, 0.68, 0.74), (0.84, 0.86, 0.87)),
    ((0.36, 0.38, 0.62), (0.96, 0.70, 0.48)),
    ((0.20, 0.34, 0.60), (0.66, 0.78, 0.90)),
)
GROUNDS = (
    ((0.28, 0.42, 0.18), (0.46, 0.58, 0.26)),
    ((0.22, 0.34, 0.16), (0.36, 0.50, 0.24)),
    ((0.58, 0.50, 0.36), (0.80, 0.72, 0.54)),
    ((0.38, 0.30, 0.22), (0.54, 0.44, 0.32)),
    ((0.82, 0.85, 0.90), (0.96, 0.97, 0.99)),
    ((0.36, 0.36, 0.38), (0.52, 0.52, 0.53)),
)
PAINTS = (
    (0.86, 0.82, 0.74),
    (0.74, 0.80, 0.82),
    (0.82, 0.72, 0.62),
    (0.60, 0.66, 0.58),
    (0.90, 0.90, 0.88),
    (0.56, 0.52, 0.56),
    (0.78, 0.66, 0.68),
)
WOODS = ((0.48, 0.30, 0.17), (0.66, 0.46, 0.28), (0.36, 0.22, 0.14), (0.76, 0.60, 0.42), (0.56, 0.50, 0.44))


def pick(rng: Generator, colours: tuple, spread: float = 0.05) -> np.ndarray:
    """One of several colours, or of several pairs of colours, shifted a little."""
    chosen = np.asarray(colours[rng.integers(len(colours))], dtype=np.float32)
    return np.clip(chosen + rng.normal(0, spread, 3).astype(np.float32), 0, 1)


def dye(rng: Generator) -> np.ndarray:
    """A colour of cloth, duller than any colour at all."""
    colour = rng.uniform(0.05, 0.95, 3)
    return mix(colour, colour.mean(), rng.uniform(0.2, 0.7)).astype(np.float32)


def flat(colour: np.ndarray, u: Field) -> np.ndarray:
    """One colour everywhere."""
    return np.broadcast_to(np.asarray(colour, dtype=np.float32), (*u.shape, 3))


def sky(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """Open sky with clouds."""
    high, low = pick(rng, SKIES)
    image = mix(high, low, np.clip(v * rng.uniform(0.8, 1.6), 0, 1))
    cover = texture(rng, u, v, (rng.uniform(0.2, 0.4), rng.uniform(0.4, 0.7)), 2.0)
    clouds = np.clip((cover - rng.uniform(0.42, 0.62)) * 4, 0, 0.9)
    return mix(image, np.float32(0.97), clouds)


def land(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """Hills and ground under the sky."""
    horizon = rng.uniform(0.42, 0.68)
    image = sky(rng, u, v / horizon * 0.9)
    dark, bright = pick(rng, GROUNDS)
    if rng.random() < 0.7:
        ridge = horizon - rng.uniform(0.03, 0.2) * texture(rng, u, np.zeros_like(u), rng.uniform(0.3, 0.8), 2.0)
        far = mix(dark, np.array([0.55, 0.62, 0.70], dtype=np.float32), rng.uniform(0.3, 0.7))
        image = mix(image, far, step(v - ridge))
    grain = texture(rng, u, v, (0.5, 1.2), 1.0) * 0.6 + texture(rng, u, v, 0.25, 1.5) * 0.4
    near = np.clip((v - horizon) / (1 - horizon), 0, 1)
    ground = mix(dark, bright, np.clip(grain * 1.6 - 0.3, 0, 1)) * (0.85 + 0.2 * near)[..., None]
    return mix(image, ground, step(v - horizon))


def sea(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """Under water, with rays of light and mostly a sea floor."""
    high = np.array([rng.uniform(0.15, 0.45), rng.uniform(0.6, 0.8), rng.uniform(0.75, 0.9)], dtype=np.float32)
    low = np.array([0.02, rng.uniform(0.2, 0.36), rng.uniform(0.4, 0.55)], dtype=np.float32)
    image = mix(high, low, np.clip(v, 0, 1))
    rays = texture(rng, u + v * rng.uniform(-0.5, 0.5), np.zeros_like(v), 0.5, 1.2)
    image = image + (np.clip(rays - 0.45, 0, 1) * np.clip(0.9 - v, 0, 1) * 0.7)[..., None]
    if rng.random() < 0.6:
        floor = rng.uniform(0.78, 0.92) - 0.12 * texture(rng, u, np.zeros_like(u), 0.5, 2.0)
        sand = mix(np.float32([0.42, 0.44, 0.36]), np.float32([0.70, 0.68, 0.52]), texture(rng, u, v, (0.5, 1.0), 1.0))
        image = mix(image, sand * np.float32([0.75, 0.95, 1.0]), step(v - floor, 0.05))
    return image


def water(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """The surface of the sea or of a lake under the sky."""
    horizon = rng.uniform(0.5, 0.66)
    image = sky(rng, u, v / horizon * 0.9)
    if rng.random() < 0.4:
        shore = horizon - rng.uniform(0.04, 0.16) * texture(rng, u, np.zeros_like(u), 0.5, 2.0)
        image = mix(image, np.float32([0.35, 0.45, 0.42]), step(v - shore))
    deep = np.float32([0.06, rng.uniform(0.2, 0.4), rng.uniform(0.38, 0.55)])
    waves = texture(rng, u, v * v, (0.35, 2.2), 1.2)
    surface = mix(deep, np.float32([0.55, 0.72, 0.82]), np.clip(waves * 1.5 - 0.35, 0, 1) * 0.8)
    return mix(image, surface, step(v - horizon))


def planks(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """Wooden boards whose grain runs along u."""
    wood = pick(rng, WOODS)
    boards = v * rng.uniform(3, 6)
    number = np.floor(boards)
    grain = texture(rng, u + number * 0.37, v, (0.15, 1.6), 1.1)
    shade = 0.72 + 0.5 * grain + 0.08 * np.sin(number * 2.4)
    gaps = step(np.abs(boards - number - 0.5) - 0.47, 0.05)
    return wood * (shade * (1 - 0.5 * gaps))[..., None]


def wall(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """A plain, papered, boarded or brick wall."""
    style = rng.random()
    if style < 0.15:
        return planks(rng, v, u)
    paint = pick(rng, PAINTS)
    shade = 0.9 + 0.2 * texture(rng, u, v, 0.6, 1.0) * rng.uniform(0.3, 1.0)
    if style < 0.4:
        stripes = np.sin(u * rng.uniform(25, 60)) > rng.uniform(-0.3, 0.6)
        shade = shade - rng.uniform(0.06, 0.14) * stripes
    elif style < 0.55:
        rows = v * rng.uniform(6, 9)
        columns = u * rng.uniform(3, 5) + 0.5 * (np.floor(rows) % 2)
        joints = np.maximum(np.abs(rows % 1 - 0.5) - 0.43, np.abs(columns % 1 - 0.5) - 0.46)
        paint = mix(np.float32([0.62, 0.36, 0.28]), paint, 0.35)
        return mix(paint * shade[..., None], np.float32([0.80, 0.77, 0.72]), step(joints, 0.06))
    return paint * shade[..., None]


def room(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """A wall, mostly with a picture or a window on it, and a floor."""
    image = wall(rng, u, v)
    if rng.random() < 0.6:
        left, top = rng.uniform(-0.1, 0.85), rng.uniform(-0.1, 0.15)
        across, down = rng.uniform(0.2, 0.36), rng.uniform(0.2, 0.4)
        reach = np.maximum(np.abs(u - left - across / 2) / across, np.abs(v - top - down / 2) / down)
        inside = sky(rng, u * 2, v * 2) if rng.random() < 0.5 else flat(dye(rng), u)
        image = mix(image, pick(rng, WOODS), step(0.5 - reach))
        image = mix(image, inside, step(0.42 - reach))
    floor = rng.uniform(0.66, 0.82)
    depth = np.clip(v - floor, 0, 1)
    if rng.random() < 0.6:
        ground = planks(rng, (u - 0.5) / (0.4 + depth), depth * 2)
    else:
        ground = flat(pick(rng, PAINTS) * 0.75, u) * (0.8 + 0.3 * texture(rng, u, v, 1.0, 0.6))[..., None]
    skirting = mix(image, np.float32(0.88), step(v - floor + 0.03) * 0.7)
    return mix(skirting, ground, step(v - floor))


def table(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """A table top in front of a wall."""
    edge = rng.uniform(0.6, 0.76)
    image = wall(rng, u, v) * np.float32(rng.uniform(0.8, 1.0))
    depth = np.clip(v - edge, 0, 1)
    top = planks(rng, (u - 0.5) / (0.5 + depth) + 0.5, depth * 1.3)
    if rng.random() < 0.3:
        top = checks(rng, (u - 0.5) / (0.5 + depth), depth * 2.2)
    return mix(image, top, step(v - edge))


def checks(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """A gingham tablecloth."""
    cells, colour = rng.uniform(4, 8), dye(rng)
    share = ((u * cells % 1) > 0.5) * 0.5 + ((v * cells % 1) > 0.5) * 0.5
    return (
        mix(np.float32([0.95, 0.94, 0.9]), colour, share * 0.9)
        * (0.85 + 0.25 * texture(rng, u, v, 1.5, 0.4))[..., None]
    )


def stripes(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """A striped cloth."""
    first, second = dye(rng), dye(rng)
    bands = step(np.sin(u * rng.uniform(18, 45)) - rng.uniform(-0.4, 0.4), 0.4)
    return mix(first, second, bands) * (0.85 + 0.25 * texture(rng, u, v, 1.5, 0.4))[..., None]


def tiles(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """Square tiles with joints."""
    cells, paint = rng.uniform(2.5, 5.5), pick(rng, PAINTS)
    joint = np.maximum(np.abs(u * cells % 1 - 0.5), np.abs(v * cells % 1 - 0.5)) - 0.465
    odd = (np.floor(u * cells) + np.floor(v * cells)) % 2
    shade = 0.85 + 0.25 * texture(rng, u, v, 0.7, 1.3) - odd * rng.choice([0.0, 0.35])
    return mix(paint * shade[..., None], np.float32(rng.uniform(0.25, 0.7)), step(joint, 0.04))


def carpet(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """A carpet or a blanket, plain or blotched."""
    first = dye(rng)
    second = mix(first, dye(rng), rng.uniform(0.15, 0.8))
    share = step(texture(rng, u, v, 0.8, 1.8) - 0.5, 0.12)
    return mix(first, second, share) * (0.6 + 0.8 * texture(rng, u, v, 1.3, 0.3))[..., None]


def dotted(rng: Generator, u: Field, v: Field) -> np.ndarray:
    """A cloth with dots."""
    first, second = dye(rng), dye(rng)
    rows = v * rng.uniform(4, 7)
    columns = u * rng.uniform(4, 7) + 0.5 * (np.floor(rows) % 2)
    reach = np.hypot(rows % 1 - 0.5, columns % 1 - 0.5)
    return mix(first, second, step(rng.uniform(0.18, 0.3) - reach, 0.1)) * np.float32(0.92)


SURROUNDINGS: dict[str, Callable[[Generator, Field, Field], np.ndarray]] = {
    "land": land,
    "sea": sea,
    "water": water,
    "sky": sky,
    "table": table,
    "room": room,
    "wall": wall,
}
HOUSEHOLD = (checks, stripes, tiles, carpet, dotted, planks, wall)
