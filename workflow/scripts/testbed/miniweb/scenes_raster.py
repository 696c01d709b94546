"""From shapes to pixels: poses, rasterised objects, blurs, and the noise fields that textures are made of."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from testbed.miniweb.objects import Drawing

FIELD_SIDE = 256
FIELDS_PER_KIND = 6


@dataclass(frozen=True)
class Pose:
    """Where and how an object lies in an image whose sides are 1.

    ``size`` is the larger side of the object, ``turn`` in degrees, ``stretch`` scales it along x and y before the turn,
    ``recede`` is the strength of perspective along x and y after it.
    """

    x: float = 0.5
    y: float = 0.5
    size: float = 0.75
    turn: float = 0.0
    flip: bool = False
    stretch: tuple[float, float] = (1.0, 1.0)
    recede: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Placed:
    """A shape in pixels: the role of its colour, its points, and its line width (0: a filled area)."""

    role: str
    points: np.ndarray
    width: float


@dataclass(frozen=True)
class Cutout:
    """An object without surroundings, as arrays of side x side: colour times alpha, alpha, and height."""

    colour: np.ndarray
    alpha: np.ndarray
    height: np.ndarray


def place(drawing: Drawing, pose: Pose, side: int) -> list[Placed]:
    """Put a drawing into an image of side x side pixels."""
    counts = [len(shape.points) for shape in drawing.shapes]
    points = np.concatenate([shape.points for shape in drawing.shapes])
    c, s = np.cos(np.radians(pose.turn)), np.sin(np.radians(pose.turn))
    across, down = pose.stretch[0] * (-1 if pose.flip else 1), pose.stretch[1]
    points = points @ np.array([[c * across, s * across], [-s * down, c * down]])
    if any(pose.recede):
        points = points / (1 + points @ np.array(pose.recede))[:, None]
    points = (points * pose.size + (pose.x, pose.y)) * side
    parts = np.split(points, np.cumsum(counts)[:-1])
    scale = pose.size * side
    return [Placed(shape.role, part, shape.width * scale) for shape, part in zip(drawing.shapes, parts, strict=True)]


def oversampling(size: int) -> int:
    """Pixels of the raster per pixel of the image: two, and more for small images."""
    return max(2, -(-128 // size))


def cut_out(drawing: Drawing, pose: Pose, size: int, rng: Generator, edge: float = 0.72) -> Cutout:
    """Rasterise an object for a lit scene; ``edge`` is how dark the borders between its parts are (1: not at all)."""
    factor = oversampling(size)
    side = size * factor
    colour, height = Image.new("RGBA", (side, side)), Image.new("L", (side, side))
    paint, raise_ = ImageDraw.Draw(colour), ImageDraw.Draw(height)
    placed = place(drawing, pose, side)
    tints = rng.uniform(0.93, 1.05, len(placed))
    for index, shape in enumerate(placed):
        flat = shape.points.ravel().tolist()
        if shape.role == "hole":
            paint.polygon(flat, fill=(0, 0, 0, 0))
            raise_.polygon(flat, fill=0)
            continue
        base = drawing.colours[shape.role] * tints[index]
        if shape.width:
            paint.line(flat, fill=ink(base), width=max(factor - 1, round(shape.width)))
            continue
        paint.polygon(flat, fill=ink(base), outline=ink(base * edge))
        raise_.polygon(flat, fill=120 + 135 * (index + 1) // len(placed))
    pixels = np.asarray(colour.reduce(factor), dtype=np.float32) / 255
    bumps = np.asarray(height.reduce(factor), dtype=np.float32) / 255
    return Cutout(pixels[..., :3], pixels[..., 3], bumps)


def ink(colour: np.ndarray) -> tuple[int, int, int, int]:
    """An opaque Pillow colour from RGB in 0..1."""
    r, g, b = np.clip(colour * 255, 0, 255).astype(int).tolist()
    return r, g, b, 255


def blurred(field: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur of a 2-D array with values in 0..1, at the precision of 8 bits."""
    image = Image.fromarray((np.clip(field, 0, 1) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255


def to_image(pixels: np.ndarray) -> Image.Image:
    """An RGB image from an array of (height, width, 3) with values in 0..1, clipped."""
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def mix(below: np.ndarray, above: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Blend colours or images by a share in 0..1, one per pixel or one for all."""
    weight = share[..., None] if isinstance(share, np.ndarray) else share
    return below + (above - below) * weight


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates u (to the right) and v (down) of pixel centres, in 0..1; not to be written to."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    u, v = np.meshgrid(steps, steps)
    u.flags.writeable = v.flags.writeable = False
    return u, v


@lru_cache(maxsize=128)
def field(roughness: float, index: int) -> np.ndarray:
    """A noise field that tiles, in 0..1 with a mean of about 0.5; its amplitude falls as frequency ** -roughness."""
    rng = np.random.Generator(np.random.PCG64([int(roughness * 100), index]))
    spectrum = np.fft.rfft2(rng.standard_normal((FIELD_SIDE, FIELD_SIDE)))
    frequency = np.hypot(np.fft.fftfreq(FIELD_SIDE)[:, None], np.fft.rfftfreq(FIELD_SIDE)[None, :])
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(spectrum * frequency**-roughness, s=(FIELD_SIDE, FIELD_SIDE))
    return np.clip(0.5 + noise / (5 * noise.std()), 0, 1).astype(np.float32)


def texture(
    rng: Generator, u: np.ndarray, v: np.ndarray, scale: float | tuple[float, float] = 1.0, roughness: float = 1.5
) -> np.ndarray:
    """Noise at coordinates u, v: a random window of a random field, ``scale`` tiles per unit of u and v."""
    index, left, top = rng.integers(0, (FIELDS_PER_KIND, FIELD_SIDE, FIELD_SIDE))
    across, down = scale if isinstance(scale, tuple) else (scale, scale)
    columns = (u * (across * FIELD_SIDE) + left).astype(np.int32) & (FIELD_SIDE - 1)
    rows = (v * (down * FIELD_SIDE) + top).astype(np.int32) & (FIELD_SIDE - 1)
    return field(roughness, int(index))[rows, columns]


def step(values: np.ndarray, softness: float = 0.02) -> np.ndarray:
    """0 where values are below zero, 1 where they are above, with a soft transition."""
    return np.clip(values / softness + 0.5, 0, 1)
