"""ImageNet-C's corruptions of an image (Hendrycks & Dietterich 2019, arXiv 1903.12261), each with five severities.

The parameters are those of ImageNet-C's published code (hendrycks/robustness). The implementation uses NumPy, SciPy and
Pillow, which are maintained, and a given random generator. Albumentations, a dependency of img2dataset, is archived, checks
for updates on import, and has different fog, snow, brightness and motion blur. imagecorruptions on PyPI does not run with
current scikit-image. Frost is missing, because it needs photographs that would have to be shipped.
"""

import hashlib
import io
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.signal import fftconvolve

SIDE = 224
"""Side of ImageNet-C's images in pixels; lengths in the parameters below refer to it."""

LUMA = (0.299, 0.587, 0.114)


class CorruptionError(ValueError):
    """The corruption or its severity does not exist."""


class Kind(NamedTuple):
    """A kind of corruption: a function of pixels, random generator and parameters, and the parameters of each severity.

    `has_lengths` says that some parameters are lengths in pixels, so that the image must be `SIDE` pixels wide.
    """

    function: Callable[..., np.ndarray]
    has_lengths: bool
    severities: tuple[tuple, ...]


def to_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def to_pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.float64) / 255


def gaussian_noise(pixels: np.ndarray, rng: np.random.Generator, sigma: float) -> np.ndarray:
    return pixels + rng.normal(scale=sigma, size=pixels.shape)


def shot_noise(pixels: np.ndarray, rng: np.random.Generator, photons: float) -> np.ndarray:
    return rng.poisson(pixels * photons) / photons


def impulse_noise(pixels: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Salt-and-pepper noise, half of each, independent in every channel."""
    hit = rng.random(pixels.shape) < amount
    return np.where(hit, rng.integers(2, size=pixels.shape), pixels)


def defocus_blur(pixels: np.ndarray, rng: np.random.Generator, radius: int, softness: float) -> np.ndarray:
    """Blur by a disk whose edge is smoothed by a Gaussian of sigma `softness`."""
    margin = radius + 2
    y, x = np.mgrid[-margin : margin + 1, -margin : margin + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.float64)
    kernel = gaussian_filter(disk / disk.sum(), softness, radius=1 if radius <= 8 else 2)
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    return fftconvolve(padded, kernel[..., None], mode="valid", axes=(0, 1))


def glass_blur(pixels: np.ndarray, rng: np.random.Generator, sigma: float, reach: int, rounds: int) -> np.ndarray:
    """Blur, replace each pixel by a random pixel nearby, and blur again.

    The paper swaps pixels. ImageNet-C's code copies them, because both sides of its swap are views of one array. This code
    copies too.
    """
    smooth = gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest")
    height, width = smooth.shape[:2]
    origin = list(range(height * width))
    # From the lower right to the upper left; a pixel may copy a pixel that was replaced before.
    inner = np.arange(height * width).reshape(height, width)[height - reach : reach : -1, width - reach : reach : -1]
    for _ in range(rounds):
        down, right = rng.integers(-reach, reach, size=(2, *inner.shape))
        near = inner + down * width + right
        for target, source in zip(inner.ravel().tolist(), near.ravel().tolist(), strict=True):
            origin[target] = origin[source]
    shuffled = smooth.reshape(-1, 3)[origin].reshape(smooth.shape)
    return gaussian_filter(shuffled, (sigma, sigma, 0), mode="nearest")


def directional_blur(pixels: np.ndarray, radius: int, sigma: float, angle: float) -> np.ndarray:
    """ImageMagick's motion blur: half a Gaussian of 2 `radius` + 1 pixels in the direction of `angle` (degrees)."""
    taps = 2 * radius + 1
    weights = np.exp(-(np.arange(taps) ** 2) / (2 * sigma**2))
    right, down = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, [(taps, taps), (taps, taps)] + [(0, 0)] * (pixels.ndim - 2), mode="edge")
    total = np.zeros_like(pixels)
    for tap, weight in enumerate(weights / weights.sum()):
        y, x = taps + math.ceil(tap * down - 0.5), taps + math.ceil(tap * right - 0.5)
        total += weight * padded[y : y + height, x : x + width]
    return total


def motion_blur(pixels: np.ndarray, rng: np.random.Generator, radius: int, sigma: float) -> np.ndarray:
    return directional_blur(pixels, radius, sigma, rng.uniform(-45, 45))


def zoom(plane: np.ndarray, factor: float) -> np.ndarray:
    """The centre of `plane` (H, W), enlarged by `factor` to the full size."""
    height, width = plane.shape
    margins = np.array([width, height]) * (1 - 1 / factor) / 2
    box = (*margins, width - margins[0], height - margins[1])
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=tuple(map(float, box))))


def zoom_blur(pixels: np.ndarray, rng: np.random.Generator, step: float, count: int) -> np.ndarray:
    """The mean of the image and of `count` enlarged images, by factors of 1, 1 + `step`, 1 + 2 `step`, ..."""
    total = pixels.copy()
    for number in range(count):
        total += np.stack([zoom(plane, 1 + number * step) for plane in np.moveaxis(pixels, 2, 0)], axis=2)
    return total / (count + 1)


def snow(
    pixels: np.ndarray,
    rng: np.random.Generator,
    mean: float,
    spread: float,
    factor: float,
    threshold: float,
    radius: int,
    sigma: float,
    share: float,
) -> np.ndarray:
    """Flakes (peaks of enlarged noise, with motion blur) over an image that keeps a `share` of its colours."""
    flakes = zoom(rng.normal(mean, spread, size=pixels.shape[:2]), factor).astype(np.float64)
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    flakes = directional_blur(flakes, radius, sigma, rng.uniform(-135, -45))
    white = np.maximum(pixels, (pixels @ LUMA)[..., None] * 1.5 + 0.5)
    return share * pixels + (1 - share) * white + (flakes + np.rot90(flakes, 2))[..., None]


def plasma(rng: np.random.Generator, size: int, decay: float) -> np.ndarray:
    """A periodic fractal (size, size) between 0 and 1, by the diamond-square algorithm; `size` is a power of 2.

    The amplitude of the noise is divided by the square of `decay` from each scale to the next finer one.
    """
    heights, step, amplitude = np.zeros((size, size)), size, 1.0
    while step > 1:
        half = step // 2
        corners = heights[::step, ::step]
        right, below = np.roll(corners, -1, axis=1), np.roll(corners, -1, axis=0)
        noise = rng.uniform(-amplitude, amplitude, size=(3, *corners.shape))
        centres = (corners + right + below + np.roll(right, -1, axis=0)) / 4 + noise[0]
        heights[half::step, half::step] = centres
        heights[::step, half::step] = (corners + right + centres + np.roll(centres, 1, axis=0)) / 4 + noise[1]
        heights[half::step, ::step] = (corners + below + centres + np.roll(centres, 1, axis=1)) / 4 + noise[2]
        step, amplitude = half, amplitude / decay**2
    heights -= heights.min()
    return heights / heights.max()


def fog(pixels: np.ndarray, rng: np.random.Generator, thickness: float, decay: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    clouds = plasma(rng, 256, decay)[:height, :width, None]
    brightest = pixels.max()
    return (pixels + thickness * clouds) * brightest / (brightest + thickness)


def brightness(pixels: np.ndarray, rng: np.random.Generator, more: float) -> np.ndarray:
    """Add `more` to the value in HSV. Hue and saturation stay, so the channels of a pixel keep their ratios."""
    value = pixels.max(axis=2, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return np.where(value > 0, pixels * brighter / np.where(value > 0, value, 1), brighter)


def contrast(pixels: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    mean = pixels.mean(axis=(0, 1))
    return (pixels - mean) * share + mean


def elastic_transform(
    pixels: np.ndarray, rng: np.random.Generator, alpha: float, sigma: float, shift: float
) -> np.ndarray:
    """An affine map that moves three points by up to `shift`, and a displacement field of noise smoothed by `sigma`."""
    height, width = pixels.shape[:2]
    centre, arm = np.array([height // 2, width // 2]), min(height, width) // 3
    points = centre + arm * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + rng.uniform(-shift, shift, size=points.shape)
    back = np.linalg.solve(np.column_stack([moved, np.ones(3)]), points)
    field = rng.uniform(-1, 1, size=(2, height, width))
    places = np.mgrid[:height, :width] + alpha * gaussian_filter(field, (0, sigma, sigma), truncate=3)
    from_y, from_x = np.tensordot(back[:2], places, axes=(0, 0)) + back[2][:, None, None]
    planes = [map_coordinates(plane, (from_y, from_x), order=1, mode="mirror") for plane in np.moveaxis(pixels, 2, 0)]
    return np.stack(planes, axis=2)


def pixelate(pixels: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    image = to_image(pixels)
    small = tuple(max(1, int(length * share)) for length in image.size)
    return to_pixels(image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX))


def jpeg_compression(pixels: np.ndarray, rng: np.random.Generator, quality: int) -> np.ndarray:
    return to_pixels(Image.open(io.BytesIO(jpeg_file(to_image(pixels), quality))))


def jpeg_file(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


# The unit of length of ImageNet-C's elastic transform: 244, not 224, as its code notes.
E = 244
KINDS = {
    "gaussian_noise": Kind(gaussian_noise, False, ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,))),
    "shot_noise": Kind(shot_noise, False, ((60,), (25,), (12,), (5,), (3,))),
    "impulse_noise": Kind(impulse_noise, False, ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,))),
    "defocus_blur": Kind(defocus_blur, True, ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))),
    "glass_blur": Kind(glass_blur, True, ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))),
    "motion_blur": Kind(motion_blur, True, ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    "zoom_blur": Kind(zoom_blur, False, ((0.01, 11), (0.01, 16), (0.02, 11), (0.02, 13), (0.03, 11))),
    "snow": Kind(
        snow,
        True,
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "fog": Kind(fog, True, ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))),
    "brightness": Kind(brightness, False, ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,))),
    "contrast": Kind(contrast, False, ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,))),
    "elastic_transform": Kind(
        elastic_transform,
        True,
        (
            (E * 2, E * 0.7, E * 0.1),
            (E * 2, E * 0.08, E * 0.2),
            (E * 0.05, E * 0.01, E * 0.02),
            (E * 0.07, E * 0.01, E * 0.02),
            (E * 0.12, E * 0.01, E * 0.02),
        ),
    ),
    "pixelate": Kind(pixelate, False, ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,))),
    "jpeg_compression": Kind(jpeg_compression, False, ((25,), (18,), (15,), (10,), (7,))),
}


def parameters_of(kind: str, severity: int) -> tuple:
    """The parameters of a corruption; raises `CorruptionError` where there is no such kind or severity."""
    if kind not in KINDS:
        raise CorruptionError(f"corrupt.kind: {kind!r} is not a corruption. Use one of: {', '.join(KINDS)}.")
    severities = KINDS[kind].severities
    if severity not in range(1, len(severities) + 1):
        raise CorruptionError(f"corrupt.severity: {severity!r} is not a severity. Use one from 1 to {len(severities)}.")
    return severities[severity - 1]


def centre_crop(image: Image.Image) -> Image.Image:
    """The centre crop of `image` as in CLIP's transform for 224 pixels: a square of at most `SIDE` pixels."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    size = (min(side, SIDE),) * 2
    return image.convert("RGB").resize(size, Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def corrupt(image: Image.Image, kind: str, severity: int, key: str) -> Image.Image:
    """The corrupted centre crop of `image`; equal image, kind, severity and key give equal pixels.

    Corruptions whose parameters are lengths work at `SIDE` pixels: a smaller image is enlarged before and reduced
    after, so that lengths keep their ratio to the image. Raises `CorruptionError` as `parameters_of` does.
    """
    parameters = parameters_of(kind, severity)
    # Python's `hash` differs between processes.
    seed = hashlib.sha256(f"{kind} {severity} {key}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed))
    cropped = centre_crop(image)
    size = (SIDE, SIDE) if KINDS[kind].has_lengths else cropped.size
    pixels = to_pixels(cropped.resize(size, Image.Resampling.BICUBIC))
    result = to_image(KINDS[kind].function(pixels, rng, *parameters))
    return result.resize(cropped.size, Image.Resampling.BICUBIC)
