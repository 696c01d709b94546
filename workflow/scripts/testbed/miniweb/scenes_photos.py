"""Photographs: an object in its usual surroundings, the same re-collected, snapshots, odd views, and product shots."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

from testbed.miniweb.objects import Drawing, draw_object
from testbed.miniweb.scenes_raster import Cutout, Pose, blurred, cut_out, grid, mix, step, texture, to_image
from testbed.miniweb.scenes_surroundings import HOUSEHOLD, SURROUNDINGS, dye
from testbed.miniweb.world import CLASSES, SETTINGS

SETTING_OF = {known.name: known.setting for known in CLASSES}
STANDING = ("land", "table", "room")
UNUSUAL_SETTING = 0.15


@dataclass(frozen=True)
class Camera:
    """How an image is taken: lens blur in pixels of a 64-pixel image, sensor noise, gain of each channel, contrast."""

    blur: float
    noise: float
    gain: np.ndarray
    contrast: float = 1.0


def photo(label: str, rng: Generator, size: int) -> Image.Image:
    """A lit object in its usual surroundings."""
    setting = _setting(label, rng, UNUSUAL_SETTING)
    drawing = draw_object(label, rng)
    pose = _upright_pose(drawing, setting, rng, rng.uniform(0.66, 0.9), 0.05, _lean(label, rng))
    camera = Camera(rng.uniform(0.4, 0.75), rng.uniform(0.015, 0.05), _gain(rng, 0.13, 0.06), rng.uniform(0.8, 1.15))
    behind = SURROUNDINGS[setting](rng, *grid(size))
    return _take(drawing, pose, setting, behind, camera, rng, size, hidden=rng.random() < 0.05)


def photo_v2(label: str, rng: Generator, size: int) -> Image.Image:
    """The same as ``photo``, collected again: smaller, off-centre, partly hidden, noisier."""
    setting = _setting(label, rng, UNUSUAL_SETTING * 2)
    drawing = draw_object(label, rng)
    pose = _upright_pose(drawing, setting, rng, rng.uniform(0.5, 0.8), 0.11, _lean(label, rng) * 1.3)
    camera = Camera(rng.uniform(0.4, 0.9), rng.uniform(0.025, 0.065), _gain(rng, 0.18, 0.07), rng.uniform(0.75, 1.15))
    behind = SURROUNDINGS[setting](rng, *grid(size))
    return _take(drawing, pose, setting, behind, camera, rng, size, hidden=rng.random() < 0.3)


def snapshot(label: str, rng: Generator, size: int) -> Image.Image:
    """A quick picture: any surroundings, tilted and off-centre, in warm light or by flash."""
    setting = _setting(label, rng, 0.5)
    drawing = draw_object(label, rng)
    tilt = rng.normal(0, 14)
    u, v = _turned(*grid(size), tilt, rng.uniform(0.75, 1.05))
    behind = (
        SURROUNDINGS[setting](rng, u, v) if rng.random() < 0.4 else HOUSEHOLD[rng.integers(len(HOUSEHOLD))](rng, u, v)
    )
    pose = Pose(
        *(0.5 + rng.uniform(-0.13, 0.13, 2)),
        size=rng.uniform(0.5, 0.88),
        turn=tilt + rng.normal(0, 30),
        flip=rng.random() < 0.5,
        stretch=(rng.uniform(0.8, 1.1), rng.uniform(0.85, 1.1)),
        recede=tuple(rng.normal(0, 0.2, 2)),
    )
    warm = np.array([1.08, 0.98, 0.82]) if rng.random() < 0.65 else np.ones(3)
    camera = Camera(
        rng.uniform(0.4, 0.9), rng.uniform(0.03, 0.07), _gain(rng, 0.15, 0.05) * warm, rng.uniform(0.85, 1.25)
    )
    return _take(
        drawing, pose, "wall", behind, camera, rng, size, hidden=rng.random() < 0.2, vignette=rng.uniform(0.2, 0.7)
    )


def odd(label: str, rng: Generator, size: int) -> Image.Image:
    """An object in any rotation from an unusual viewpoint, on household surfaces."""
    drawing = draw_object(label, rng)
    u, v = _turned(*grid(size), rng.uniform(0, 360), rng.uniform(0.7, 1.3))
    recede = 1 + rng.normal(0, 0.25) * (u - 0.5) + rng.normal(0, 0.25) * (v - 0.5)
    behind = HOUSEHOLD[rng.integers(len(HOUSEHOLD))](rng, u / recede, v / recede)
    if rng.random() < 0.2:
        behind = SURROUNDINGS[("room", "table")[rng.integers(2)]](rng, *_turned(*grid(size), rng.normal(0, 15), 0.9))
    squeeze = rng.uniform(0.65, 1.0)
    pose = Pose(
        *(0.5 + rng.uniform(-0.09, 0.09, 2)),
        size=rng.uniform(0.64, 0.9),
        turn=rng.normal(0, 60),
        flip=rng.random() < 0.5,
        stretch=(squeeze, 1.0) if rng.random() < 0.5 else (1.0, squeeze),
        recede=tuple(rng.normal(0, 0.25, 2)),
    )
    camera = Camera(rng.uniform(0.3, 0.7), rng.uniform(0.02, 0.06), _gain(rng, 0.18, 0.07), rng.uniform(0.8, 1.15))
    return _take(
        drawing, pose, "wall", behind, camera, rng, size, hidden=rng.random() < 0.15, vignette=rng.uniform(0, 0.4)
    )


def studio(label: str, rng: Generator, size: int) -> Image.Image:
    """A product shot: a clean object on white, grey or a pale gradient."""
    drawing = draw_object(label, rng)
    pose = _upright_pose(drawing, "studio", rng, rng.uniform(0.7, 0.86), 0.02, rng.normal(0, 4))
    _, v = grid(size)
    style = rng.random()
    if style < 0.5:
        backdrop = np.ones((size, size, 3), dtype=np.float32) * np.float32(rng.uniform(0.95, 1.0))
    else:
        tone = rng.uniform(0.6, 0.98, 3) if style < 0.75 else np.full(3, rng.uniform(0.7, 0.95))
        backdrop = mix(np.float32(tone), np.float32(tone * rng.uniform(0.75, 0.95)), np.abs(v - 0.6))
    camera = Camera(0.25, 0.006, np.full(3, rng.uniform(1.0, 1.06)), 1.08)
    return _take(drawing, pose, "studio", backdrop, camera, rng, size, shadow=rng.uniform(0.15, 0.4))


def _setting(label: str, rng: Generator, unusual: float) -> str:
    return SETTINGS[rng.integers(len(SETTINGS))] if rng.random() < unusual else SETTING_OF[label]


def _lean(label: str, rng: Generator) -> float:
    # What flies, swims or hangs is seen at more angles than what stands.
    return rng.normal(0, 14 if SETTING_OF[label] in ("sea", "sky", "wall") or label == "butterfly" else 7)


def _gain(rng: Generator, exposure: float, tint: float) -> np.ndarray:
    return (1 + rng.normal(0, exposure)) * (1 + rng.normal(0, tint, 3))


def _upright_pose(drawing: Drawing, setting: str, rng: Generator, size: float, shift: float, turn: float) -> Pose:
    x = 0.5 + rng.uniform(-shift, shift)
    y = 0.5 + rng.uniform(-shift, shift)
    if setting in (*STANDING, "studio"):
        y = min(y + 0.1, 0.93 - drawing.height * size / 2)
    elif setting == "water":
        y += 0.06
    stretch = (rng.uniform(0.88, 1.08), rng.uniform(0.92, 1.06))
    return Pose(x, y, size, turn, rng.random() < 0.5, stretch, tuple(rng.normal(0, 0.07, 2)))


def _turned(u: np.ndarray, v: np.ndarray, degrees: float, zoom: float) -> tuple[np.ndarray, np.ndarray]:
    c, s = np.float32(np.cos(np.radians(degrees)) * zoom), np.float32(np.sin(np.radians(degrees)) * zoom)
    return (u - 0.5) * c + (v - 0.5) * s + 0.5, (v - 0.5) * c - (u - 0.5) * s + 0.5


def _take(
    drawing: Drawing,
    pose: Pose,
    setting: str,
    behind: np.ndarray,
    camera: Camera,
    rng: Generator,
    size: int,
    hidden: bool = False,
    vignette: float = 0.0,
    shadow: float | None = None,
) -> Image.Image:
    """Light the object, put it before its surroundings with its shadow, and take the picture."""
    cutout = cut_out(drawing, pose, size, rng)
    side = rng.choice([-1, 1])
    strength = rng.uniform(0.25, 0.55) if shadow is None else shadow
    dark = cast_shadow(cutout.alpha, setting, side, size, rng)
    image = behind * (1 - strength * dark)[..., None]
    image = lit(cutout, side, size, rng) + image * (1 - cutout.alpha)[..., None]
    if hidden:
        image = _hide(image, rng, size)
    u, v = grid(size)
    if vignette:
        image = image * (1.1 - vignette * ((u - 0.5) ** 2 + (v - 0.5) ** 2) * 2)[..., None]
    image = (image - 0.5) * camera.contrast + 0.5
    image = image * camera.gain.astype(np.float32)
    image = image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(camera.noise)
    return to_image(image).filter(ImageFilter.GaussianBlur(camera.blur * size / 64))


def lit(cutout: Cutout, side: int, size: int, rng: Generator) -> np.ndarray:
    """The object's colour times alpha under light from above and one side (-1: left, 1: right)."""
    unit = size / 64
    form = blurred(cutout.alpha, 5 * unit) * 1.2 + blurred(cutout.height, 0.9 * unit) * 0.8
    reach = max(1, round(unit))
    slope = form - np.roll(form, (-reach, reach * side), axis=(0, 1))
    u, v = grid(size)
    fall = rng.uniform(0.05, 0.2) * (0.5 - v) + rng.uniform(0.0, 0.2) * side * (u - 0.5)
    grain = (texture(rng, u, v, 0.9, 0.8) - 0.5) * np.float32(rng.uniform(0.05, 0.25))
    shade = 1.0 - slope * np.float32(rng.uniform(1.6, 2.6)) + fall + grain
    return cutout.colour * np.clip(shade, 0.45, 1.32)[..., None]


def cast_shadow(alpha: np.ndarray, setting: str, side: int, size: int, rng: Generator) -> np.ndarray:
    """Where the object keeps light from its surroundings, 0..1."""
    unit = size / 64
    if setting in ("sky", "sea"):
        return np.zeros_like(alpha)
    image = Image.fromarray((alpha * 255).astype(np.uint8))
    if setting == "wall":
        across, down = -side * rng.uniform(1.5, 4) * unit, rng.uniform(1.5, 4) * unit
        image = image.transform(image.size, Image.Transform.AFFINE, (1, 0, -across, 0, 1, -down))
    else:
        rows = np.flatnonzero(alpha.max(axis=1) > 0.3)
        base = float(rows[-1]) if len(rows) else size - 1.0
        flat, lean = (-1.0, 0.0) if setting == "water" else (rng.uniform(2.5, 5), side * rng.uniform(0.3, 1.0))
        image = image.transform(image.size, Image.Transform.AFFINE, (1, lean, -lean * base, 0, flat, base * (1 - flat)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1.3 * unit)), dtype=np.float32) / 255


def _hide(image: np.ndarray, rng: Generator, size: int) -> np.ndarray:
    u, v = grid(size)
    x, y = 0.5 + rng.uniform(0.16, 0.36, 2) * rng.choice([-1, 1], 2)
    across, down = rng.uniform(0.1, 0.2, 2)
    shape = rng.integers(3)
    du, dv = np.abs(u - x) / across, np.abs(v - y) / down
    reach = np.hypot(du, dv) if shape == 0 else np.maximum(du, dv) if shape == 1 else du * 2.5
    colour = dye(rng) * (0.8 + 0.4 * texture(rng, u, v, 0.8, 1.0))[..., None]
    return mix(image, colour, step(1 - reach, 0.1))
