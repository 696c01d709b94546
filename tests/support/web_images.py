"""Image files of the kinds that the web has, and what a download makes of each.

All show four rectangles, red and green above blue and grey. Files that no package here writes are in the folder images.
"""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 96, 64
RED, GREEN, BLUE, GREY, WHITE = (220, 30, 30), (30, 200, 30), (30, 30, 220), (128, 128, 128), (255, 255, 255)
COLOURS = [RED, GREEN, BLUE, GREY]
LUMA = [(87,) * 3, (130,) * 3, (52,) * 3, GREY]
"""The colours as shades of grey (ITU-R 601)."""

FLATTENED = [WHITE, (142, 227, 142), BLUE, GREY]
"""The colours on white, with a red that is transparent, and a green that is half transparent."""

FOLDER = Path(__file__).parent / "images"


def picture() -> Image.Image:
    image = Image.new("RGB", (WIDTH, HEIGHT))
    for place, colour in enumerate(COLOURS):
        left, top = place % 2 * WIDTH // 2, place // 2 * HEIGHT // 2
        ImageDraw.Draw(image).rectangle([left, top, left + WIDTH // 2 - 1, top + HEIGHT // 2 - 1], fill=colour)
    return image


def transparent() -> Image.Image:
    image, alpha = picture().convert("RGBA"), Image.new("L", (WIDTH, HEIGHT), 255)
    ImageDraw.Draw(alpha).rectangle([0, 0, WIDTH // 2 - 1, HEIGHT // 2 - 1], fill=0)
    ImageDraw.Draw(alpha).rectangle([WIDTH // 2, 0, WIDTH - 1, HEIGHT // 2 - 1], fill=128)
    image.putalpha(alpha)
    return image


def saved(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def animated(form: str, **options) -> bytes:
    """The picture, and then a black frame."""
    black = Image.new("RGB", (WIDTH, HEIGHT))
    return saved(picture(), form, save_all=True, append_images=[black], **options)


def deep(image: Image.Image, extension: str, bits: int, *options: int) -> bytes:
    """`image` with `bits` for each channel, as OpenCV writes it."""
    pixels = np.round(np.asarray(image) / 255 * (2**bits - 1)).astype(np.uint16)
    order = {"RGB": cv2.COLOR_RGB2BGR, "RGBA": cv2.COLOR_RGBA2BGRA}.get(image.mode)
    pixels = pixels if order is None else cv2.cvtColor(pixels, order)
    return cv2.imencode(extension, pixels, options)[1].tobytes()


def deep_avif(image: Image.Image) -> bytes:
    return deep(image, ".avif", 10, cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 95)


def deep_grey_and_alpha() -> bytes:
    """A PNG of 16 bits with grey and opacity, which neither OpenCV nor Pillow writes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    grey, alpha = transparent().convert("LA").split()
    pixels = (np.dstack([np.asarray(grey), np.asarray(alpha)]).astype(">u2") * 257).astype(">u2")
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 4, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def palette() -> Image.Image:
    return picture().quantize(8)


def turned(form: str, orientation: int, **options) -> bytes:
    """The picture, with a note that it is to be turned by an EXIF `orientation` (1 to 8)."""
    if form == "TIFF":
        return saved(picture(), form, tiffinfo={0x0112: orientation})
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(picture(), form, exif=exif, **options)


KINDS: dict[str, tuple[Callable[[], bytes], str | list[tuple[int, ...]]]] = {
    "JPEG": (lambda: saved(picture(), "JPEG", quality=95), COLOURS),
    "JPEG, progressive": (lambda: saved(picture(), "JPEG", quality=95, progressive=True), COLOURS),
    "JPEG, grey": (lambda: saved(picture().convert("L"), "JPEG", quality=95), LUMA),
    "JPEG, CMYK": (lambda: saved(picture().convert("CMYK"), "JPEG", quality=95), COLOURS),
    "JPEG of several pictures (MPO)": (lambda: animated("MPO", quality=95), COLOURS),
    "PNG": (lambda: saved(picture(), "PNG"), COLOURS),
    "PNG, black and white": (
        lambda: saved(picture().convert("1", dither=0), "PNG"),
        [(0, 0, 0), WHITE, (0, 0, 0), WHITE],
    ),
    "PNG, transparent": (lambda: saved(transparent(), "PNG"), FLATTENED),
    "PNG, grey and transparent": (
        lambda: saved(transparent().convert("LA"), "PNG"),
        [WHITE, (192,) * 3, *LUMA[2:]],
    ),
    "PNG, palette": (lambda: saved(palette(), "PNG"), COLOURS),
    "PNG, palette with a transparent colour": (
        lambda: saved(palette(), "PNG", transparency=palette().getpixel((1, 1))),
        [WHITE, *COLOURS[1:]],
    ),
    "PNG, palette with opacities": (lambda: saved(transparent().quantize(8), "PNG"), FLATTENED),
    "PNG, a transparent colour": (lambda: saved(picture(), "PNG", transparency=RED), [WHITE, *COLOURS[1:]]),
    "PNG, a transparent grey": (
        lambda: saved(picture().convert("L"), "PNG", transparency=LUMA[0][0]),
        LUMA,
    ),
    "PNG, 16 bits": (lambda: deep(picture(), ".png", 16), COLOURS),
    "PNG, 16 bits, grey": (lambda: deep(picture().convert("L"), ".png", 16), LUMA),
    "PNG, 16 bits, transparent": (lambda: deep(transparent(), ".png", 16), FLATTENED),
    "PNG, 16 bits, grey and transparent": (deep_grey_and_alpha, [WHITE, (192,) * 3, *LUMA[2:]]),
    "PNG, animated": (lambda: animated("PNG"), COLOURS),
    "WebP": (lambda: saved(picture(), "WEBP", quality=95), COLOURS),
    "WebP, transparent": (lambda: saved(transparent(), "WEBP", lossless=True), FLATTENED),
    "WebP, animated": (lambda: animated("WEBP", lossless=True), COLOURS),
    "GIF": (lambda: saved(picture(), "GIF"), COLOURS),
    "GIF, a transparent colour": (
        lambda: saved(palette(), "GIF", transparency=palette().getpixel((1, 1))),
        [WHITE, *COLOURS[1:]],
    ),
    "GIF, animated": (lambda: animated("GIF"), COLOURS),
    "AVIF": (lambda: saved(picture(), "AVIF", quality=95), COLOURS),
    "AVIF, transparent": (lambda: saved(transparent(), "AVIF", quality=95), FLATTENED),
    "AVIF, animated": (lambda: animated("AVIF", quality=95), COLOURS),
    "AVIF, 10 bits": (lambda: deep_avif(picture()), COLOURS),
    "AVIF, 10 bits, transparent": (lambda: deep_avif(transparent()), FLATTENED),
    "TIFF": (lambda: saved(picture(), "TIFF"), COLOURS),
    "TIFF, CMYK": (lambda: saved(picture().convert("CMYK"), "TIFF"), COLOURS),
    "TIFF, 16 bits": (lambda: deep(picture(), ".tiff", 16), COLOURS),
    "JPEG 2000": (lambda: saved(picture(), "JPEG2000"), COLOURS),
    "JPEG 2000, 16 bits": (lambda: deep(picture(), ".jp2", 16), COLOURS),
    "BMP": (lambda: saved(picture(), "BMP"), COLOURS),
    "ICO": (lambda: saved(picture(), "ICO"), "cannot be decoded"),
    "HEIC": (lambda: (FOLDER / "image.heic").read_bytes(), "no image"),
    "JPEG XL": (lambda: (FOLDER / "image.jxl").read_bytes(), "no image"),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "no image"),
}
"""By name, a function that returns the file, and the colours of the stored image (left to right, top down) or the cause of
its failure."""
