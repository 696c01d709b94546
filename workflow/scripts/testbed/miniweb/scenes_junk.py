"""What the web shows beside objects: documents, charts, screens, textures, and scenery with nothing in it."""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from testbed.miniweb.scenes_raster import grid, mix, oversampling, texture, to_image
from testbed.miniweb.scenes_surroundings import HOUSEHOLD, SURROUNDINGS

Colour = tuple[int, int, int]


def junk(label: str, rng: Generator, size: int) -> Image.Image:
    """An image without any object; ``label`` is not used."""
    kind = rng.random()
    if kind < 0.3:
        return _scenery(rng, size)
    if kind < 0.45:
        return _texture(rng, size)
    painters = (_document, _bars, _graph, _pie, _screen, _sign, _lights)
    factor = oversampling(size)
    side = size * factor
    image = painters[rng.integers(len(painters))](rng, side).reduce(factor)
    if rng.random() < 0.5:
        noise = rng.standard_normal((size, size, 3), dtype=np.float32) * np.float32(rng.uniform(0.01, 0.04))
        image = to_image(np.asarray(image, dtype=np.float32) / 255 * np.float32(rng.uniform(0.8, 1.05)) + noise)
    return image


def _scenery(rng: Generator, size: int) -> Image.Image:
    names = list(SURROUNDINGS)
    image = SURROUNDINGS[names[rng.integers(len(names))]](rng, *grid(size))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(0.02)
    return to_image(image * np.float32(rng.uniform(0.8, 1.15)) + noise).filter(
        ImageFilter.GaussianBlur(0.4 * size / 64)
    )


def _texture(rng: Generator, size: int) -> Image.Image:
    u, v = grid(size)
    if rng.random() < 0.6:
        return to_image(HOUSEHOLD[rng.integers(len(HOUSEHOLD))](rng, u * rng.uniform(0.8, 2.0), v))
    first, second = rng.uniform(0, 1, (2, 3)).astype(np.float32)
    return to_image(mix(first, second, texture(rng, u, v, rng.uniform(0.2, 1.0), rng.choice([0.5, 1.0, 1.5, 2.0]))))


def _any(rng: Generator, low: int = 20, high: int = 230) -> Colour:
    return tuple(rng.integers(low, high, 3).tolist())


def _page(rng: Generator, side: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    shade = int(rng.integers(235, 256))
    image = Image.new("RGB", (side, side), (shade, shade, int(shade * rng.uniform(0.93, 1.0))))
    return image, ImageDraw.Draw(image)


def _words(
    pen: ImageDraw.ImageDraw, rng: Generator, left: float, right: float, y: float, tall: float, ink: Colour
) -> None:
    """A line of text too small to read: blocks of the length of words."""
    x = left
    while x < right:
        end = min(right, x + tall * rng.uniform(0.8, 4))
        pen.rectangle((x, y, end, y + tall * 0.55), fill=ink)
        x = end + tall * 0.6


def _document(rng: Generator, side: int) -> Image.Image:
    image, pen = _page(rng, side)
    margin, tall = side * rng.uniform(0.06, 0.16), side * rng.uniform(0.035, 0.06)
    ink = (60, 60, 66)
    columns = 1 + int(rng.random() < 0.3)
    y = margin
    _words(pen, rng, margin, side * 0.7, y, tall * 1.6, _any(rng, 10, 120))
    y += tall * 2.6
    while y < side - margin:
        wide = (side - 2 * margin) / columns
        for column in range(columns):
            left = margin + column * wide
            _words(pen, rng, left, left + wide * (0.92 if rng.random() < 0.8 else 0.5), y, tall, ink)
        y += tall * (1.5 if rng.random() < 0.85 else 2.6)
    return image


def _axes(pen: ImageDraw.ImageDraw, side: int) -> tuple[float, float, float]:
    left, base, top = side * 0.14, side * 0.86, side * 0.14
    pen.line((left, top, left, base, side * 0.92, base), fill=(70, 70, 70), width=max(1, side // 64))
    return left, base, top


def _bars(rng: Generator, side: int) -> Image.Image:
    image, pen = _page(rng, side)
    left, base, top = _axes(pen, side)
    count, colour = int(rng.integers(4, 9)), _any(rng)
    wide = (side * 0.9 - left) / count
    several = rng.random() < 0.3
    for index, high in enumerate(rng.uniform(0.15, 1, count)):
        x = left + wide * (index + 0.2)
        pen.rectangle((x, base - (base - top) * high, x + wide * 0.65, base), fill=_any(rng) if several else colour)
    return image


def _graph(rng: Generator, side: int) -> Image.Image:
    image, pen = _page(rng, side)
    left, base, top = _axes(pen, side)
    for level in np.linspace(top, base, 5)[:-1]:
        pen.line((left, level, side * 0.92, level), fill=(215, 215, 220))
    x = np.linspace(left, side * 0.92, 16)
    for _ in range(rng.integers(1, 4)):
        walk = np.cumsum(rng.normal(0, 1, 16))
        y = base - (base - top) * (0.1 + 0.8 * (walk - walk.min()) / np.ptp(walk))
        pen.line(np.stack([x, y], axis=1).ravel().tolist(), fill=_any(rng), width=max(1, side // 50))
    return image


def _pie(rng: Generator, side: int) -> Image.Image:
    image, pen = _page(rng, side)
    radius, x, y = side * rng.uniform(0.25, 0.38), side * rng.uniform(0.4, 0.6), side * rng.uniform(0.45, 0.55)
    cuts = np.cumsum(rng.dirichlet(np.full(rng.integers(3, 7), 2.0))) * 360
    start = 0.0
    for end in cuts.tolist():
        pen.pieslice(
            (x - radius, y - radius, x + radius, y + radius), start, end, fill=_any(rng), outline=(255, 255, 255)
        )
        start = end
    return image


def _screen(rng: Generator, side: int) -> Image.Image:
    dark = rng.random() < 0.5
    image = Image.new("RGB", (side, side), (28, 30, 36) if dark else (244, 245, 248))
    pen, unit = ImageDraw.Draw(image), side / 32
    pen.rectangle((0, 0, side, 4 * unit), fill=_any(rng))
    pen.rectangle((0, 4 * unit, 8 * unit, side), fill=(44, 47, 56) if dark else (225, 228, 234))
    for row in range(rng.integers(3, 7)):
        _words(pen, rng, unit, 7 * unit, (6 + 3 * row) * unit, 1.5 * unit, (140, 145, 155))
    for row in range(2):
        for column in range(2):
            left, top = (10 + 11 * column) * unit, (7 + 12 * row) * unit
            pen.rectangle((left, top, left + 9 * unit, top + 7 * unit), fill=_any(rng, 60, 230))
            _words(pen, rng, left, left + 8 * unit, top + 8 * unit, 1.4 * unit, (150, 155, 165))
    return image


def _sign(rng: Generator, side: int) -> Image.Image:
    image = Image.new("RGB", (side, side), _any(rng, 0, 256))
    pen, ink = ImageDraw.Draw(image), (255, 255, 255) if rng.random() < 0.6 else _any(rng, 0, 90)
    rows = int(rng.integers(1, 4))
    tall = side * rng.uniform(0.12, 0.2)
    for row in range(rows):
        count = int(rng.integers(3, 7))
        wide, y = side * 0.8 / count, side * (row + 1) / (rows + 1) - tall / 2
        for letter in range(count):
            left = side * 0.1 + letter * wide
            corners = rng.uniform(0, 1, (4, 2)) * (wide * 0.65, tall) + (left, y)
            pen.line(corners.ravel().tolist(), fill=ink, width=max(2, side // 32))
    return image


def _lights(rng: Generator, side: int) -> Image.Image:
    image = Image.new("RGB", (side, side), _any(rng, 5, 60))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(12, 30)):
        x, y = rng.uniform(0, side, 2)
        radius = side * rng.uniform(0.02, 0.09)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_any(rng, 90, 255))
    return image.filter(ImageFilter.GaussianBlur(side * 0.02))
