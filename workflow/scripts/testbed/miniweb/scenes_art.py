"""Renditions in colour: clipart, paintings, and pixel art."""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from testbed.miniweb.objects import Drawing, draw_object
from testbed.miniweb.scenes_photos import SETTING_OF, lit
from testbed.miniweb.scenes_raster import (
    Placed,
    Pose,
    cut_out,
    field,
    grid,
    ink,
    mix,
    oversampling,
    place,
    step,
    texture,
    to_image,
)
from testbed.miniweb.scenes_surroundings import SURROUNDINGS, flat, pick

POSTER = (
    (0.98, 0.85, 0.35),
    (0.55, 0.80, 0.90),
    (0.95, 0.62, 0.55),
    (0.65, 0.85, 0.62),
    (0.85, 0.75, 0.92),
    (0.96, 0.94, 0.86),
    (0.30, 0.36, 0.52),
)
PIGMENTS = (
    ((0.24, 0.20, 0.26), (0.98, 0.90, 0.72)),
    ((0.14, 0.20, 0.34), (0.96, 0.94, 0.86)),
    ((0.30, 0.20, 0.14), (0.94, 0.86, 0.66)),
    ((0.16, 0.26, 0.24), (0.98, 0.88, 0.80)),
)


def clipart(label: str, rng: Generator, size: int) -> Image.Image:
    """Flat, bright colours with a thick outline or none, on a plain or patterned ground; sometimes a sticker."""
    drawing = draw_object(label, rng)
    pose = Pose(
        *(0.5 + rng.uniform(-0.03, 0.03, 2)),
        size=rng.uniform(0.74, 0.9),
        turn=rng.normal(0, 7),
        flip=rng.random() < 0.5,
        stretch=(rng.uniform(0.92, 1.08), 1.0),
    )
    factor = oversampling(size)
    thick = rng.uniform(0.6, 1.7) * size / 64 * factor if rng.random() < 0.75 else 0.0
    line = np.array([0.08, 0.07, 0.1]) if rng.random() < 0.7 else np.asarray(drawing.colours["main"]) * 0.4
    ground = _poster(rng, size)
    image = _flat_object(
        drawing, place(drawing, pose, size * factor), size * factor, line, max(1, round(thick)), thick > 0
    )
    if rng.random() < 0.3:
        ground = _sticker(ground, image, factor, size)
    pixels = np.asarray(image.reduce(factor), dtype=np.float32) / 255
    return to_image(pixels[..., :3] + ground * (1 - pixels[..., 3:]))


def _flat_object(
    drawing: Drawing, placed: list[Placed], side: int, line: np.ndarray, thick: int, outlined: bool
) -> Image.Image:
    image = Image.new("RGBA", (side, side))
    paint, stroke = ImageDraw.Draw(image), ink(line)
    for shape in placed:
        points = shape.points.ravel().tolist()
        if shape.width:
            colour = stroke if outlined else ink(_vivid(drawing.colours[shape.role]))
            paint.line(points, fill=colour, width=max(2, thick, round(shape.width)))
            continue
        fill = (0, 0, 0, 0) if shape.role == "hole" else ink(_vivid(drawing.colours[shape.role]))
        paint.polygon(points, fill=fill)
        if outlined:
            paint.line(points + points[:4], fill=stroke, width=thick)
    return image


def _vivid(colour: np.ndarray) -> np.ndarray:
    grey = colour.mean()
    return np.clip(grey + (colour - grey) * 1.35 + 0.02, 0, 1)


def _poster(rng: Generator, size: int) -> np.ndarray:
    u, v = grid(size)
    style, first, second = rng.random(), pick(rng, POSTER), pick(rng, POSTER)
    if style < 0.4:
        return flat(np.ones(3), u)
    if style < 0.6:
        return flat(first, u)
    if style < 0.7:
        return mix(first, second, v)
    if style < 0.8:
        return mix(np.ones(3, dtype=np.float32), first, step(rng.uniform(0.36, 0.46) - np.hypot(u - 0.5, v - 0.5)))
    if style < 0.9:
        rays = np.sin(np.arctan2(v - 0.5, u - 0.5) * rng.integers(6, 11) + rng.uniform(0, 6))
        return mix(first, mix(first, np.float32([1, 1, 1]), 0.5), step(rays, 0.2))
    return mix(first, second, step(v - rng.uniform(0.55, 0.75)))


def _sticker(ground: np.ndarray, image: Image.Image, factor: int, size: int) -> np.ndarray:
    reach = 2 * max(1, round(2.2 * size / 64)) + 1
    alpha = image.getchannel("A").reduce(factor).filter(ImageFilter.MaxFilter(reach))
    shape = np.asarray(alpha, dtype=np.float32) / 255
    shade = np.asarray(alpha.filter(ImageFilter.GaussianBlur(1.5 * size / 64)), dtype=np.float32) / 255
    return mix(
        ground * (1 - 0.35 * np.roll(shade, max(1, size // 40), axis=0))[..., None], np.float32([1, 1, 1]), shape
    )


def painting(label: str, rng: Generator, size: int) -> Image.Image:
    """Brush strokes that follow a noise field, in a few pigments."""
    drawing = draw_object(label, rng)
    setting = SETTING_OF[label]
    pose = Pose(
        *(0.5 + rng.uniform(-0.06, 0.06, 2)),
        size=rng.uniform(0.66, 0.86),
        turn=rng.normal(0, 8),
        flip=rng.random() < 0.5,
        stretch=(rng.uniform(0.85, 1.1), rng.uniform(0.9, 1.08)),
        recede=tuple(rng.normal(0, 0.1, 2)),
    )
    cutout = cut_out(drawing, pose, size, rng, 0.5)
    if rng.random() < 0.75:
        behind = SURROUNDINGS[setting](rng, *grid(size))
    else:
        behind = mix(
            flat(pick(rng, POSTER), grid(size)[0]), np.float32([0.3, 0.26, 0.24]), texture(rng, *grid(size), 0.4, 1.8)
        )
    scene = lit(cutout, rng.choice([-1, 1]), size, rng) + behind * (1 - cutout.alpha)[..., None]
    scene = _pigmented(scene, rng)
    canvas = _strokes(scene, cutout.alpha, rng, size)
    weave = texture(rng, *grid(size), 1.0, 0.4)
    return to_image(canvas * (0.9 + 0.2 * weave)[..., None])


def _pigmented(scene: np.ndarray, rng: Generator) -> np.ndarray:
    dark, bright = np.asarray(PIGMENTS[rng.integers(len(PIGMENTS))], dtype=np.float32)
    grey = scene.mean(axis=2, keepdims=True)
    toned = dark + (bright - dark) * np.clip(grey, 0, 1)
    vivid = grey + (scene - grey) * np.float32(rng.uniform(0.9, 1.5))
    return vivid + (toned - vivid) * np.float32(rng.uniform(0.15, 0.45))


def _strokes(scene: np.ndarray, alpha: np.ndarray, rng: Generator, size: int) -> np.ndarray:
    """Paint a scene with broad strokes everywhere, then with finer ones on the object."""
    factor = oversampling(size)
    side, unit = size * factor, size * factor / 128
    canvas = to_image(scene).resize((side, side), Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(2 * unit))
    paint = ImageDraw.Draw(canvas)
    swirl, bend = field(2.0, int(rng.integers(6))), rng.uniform(3, 9)
    broad, fine = rng.uniform(4, 7) * unit, rng.uniform(1.8, 2.8) * unit
    contour, along = _contours(scene)
    object_rows, object_columns = np.nonzero(alpha > 0.5)
    for count, width, long, on_object in ((160, broad, 2.2, False), (360, fine, 2.4, True)):
        if on_object and len(object_rows):
            chosen = rng.integers(0, len(object_rows), count)
            rows, columns = object_rows[chosen], object_columns[chosen]
        else:
            rows, columns = rng.integers(0, size, (2, count))
        angle = swirl[rows * 64 // size, columns * 64 // size] * bend
        angle = np.where(contour[rows, columns], along[rows, columns], angle)
        reach = (
            np.stack([np.cos(angle), np.sin(angle)], axis=1)
            * (width * long * rng.uniform(0.5, 1.0, count))[:, None]
            / 2
        )
        middle = (np.stack([columns, rows], axis=1) + 0.5) * factor
        ends = np.concatenate([middle - reach, middle + reach], axis=1).tolist()
        tints = scene[rows, columns] * (1 + rng.normal(0, 0.07, (count, 1))) + rng.normal(0, 0.015, (count, 3))
        colours = np.clip(tints * 255, 0, 255).astype(int).tolist()
        thick = max(1, round(width))
        for stroke, colour in zip(ends, colours, strict=True):
            paint.line(stroke, fill=tuple(colour), width=thick)
    return np.asarray(canvas.reduce(factor), dtype=np.float32) / 255


def _contours(scene: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Strokes across a strong edge would smear thin parts away, so there they follow it.
    down, across = np.gradient(scene.mean(axis=2))
    return np.hypot(down, across) > 0.06, np.arctan2(down, across) + np.pi / 2


def pixelart(label: str, rng: Generator, size: int) -> Image.Image:
    """A coarse grid of few colours, mostly with a dark outline."""
    drawing = draw_object(label, rng)
    side = int(rng.choice([16, 20, 24, 28, 32], p=[0.1, 0.2, 0.25, 0.25, 0.2]))
    pose = Pose(
        *(0.5 + rng.uniform(-0.03, 0.03, 2)),
        size=rng.uniform(0.78, 0.9),
        turn=rng.normal(0, 3),
        flip=rng.random() < 0.5,
    )
    cutout = cut_out(drawing, pose, side, rng, 0.8)
    solid = cutout.alpha > 0.45
    palette = np.array([_vivid(colour) for colour in drawing.colours.values()], dtype=np.float32)
    true = cutout.colour / np.maximum(cutout.alpha, 0.1)[..., None]
    nearest = ((true[:, :, None] - palette) ** 2).sum(axis=3).argmin(axis=2)
    shaded = np.concatenate([palette, palette * 0.72])
    low_edge = solid & ~np.roll(solid, -2, axis=0)
    sprite = shaded[nearest + len(palette) * low_edge]
    image = mix(_screen(rng, side), sprite, solid.astype(np.float32))
    if rng.random() < 0.75:
        around = np.roll(solid, 1, 0) | np.roll(solid, -1, 0) | np.roll(solid, 1, 1) | np.roll(solid, -1, 1)
        image = np.where((around & ~solid)[..., None], np.float32([0.07, 0.06, 0.1]), image)
    return to_image(image).resize((size, size), Image.Resampling.NEAREST)


def _screen(rng: Generator, side: int) -> np.ndarray:
    u, v = grid(side)
    style, colour = rng.random(), pick(rng, POSTER)
    if style < 0.3:
        return flat(colour, u)
    if style < 0.5:
        stars = (texture(rng, u, v, 1.0, 0.0) > 0.85).astype(np.float32)
        return mix(np.float32([0.06, 0.06, 0.14]), np.float32([0.9, 0.9, 0.8]), stars)
    if style < 0.8:
        bands = np.floor(v * 6) / 6
        sky = mix(np.float32([0.32, 0.58, 0.92]), np.float32([0.75, 0.9, 1.0]), bands)
        ground = mix(
            np.float32([0.25, 0.6, 0.25]), np.float32([0.4, 0.75, 0.3]), np.round(texture(rng, u, v, 1.0, 0.0))
        )
        return mix(sky, ground, (v > rng.uniform(0.7, 0.9)).astype(np.float32))
    cells = ((np.floor(u * side / 4) + np.floor(v * side / 4)) % 2).astype(np.float32)
    return mix(colour, colour * 0.82, cells)
