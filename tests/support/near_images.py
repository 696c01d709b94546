"""Drawings and near-duplicates of them, for the tests of near-duplicates."""

import io

from PIL import Image, ImageEnhance

from testbed.miniweb.scenes import draw
from testbed.miniweb.world import CLASSES

DOMAINS = ("photo", "snapshot", "painting", "odd")


def drawing(number: int, size: int = 96) -> Image.Image:
    """A drawing, another one for every number."""
    return draw(CLASSES[number % len(CLASSES)].name, DOMAINS[number // len(CLASSES) % len(DOMAINS)], number, size)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def reencoded(image: Image.Image) -> bytes:
    return jpeg(image, 40)


def cropped(image: Image.Image) -> bytes:
    """Without five per cent of the area."""
    side = round(image.width * 0.95**0.5)
    return jpeg(image.crop((0, 0, side, side)))


def brightened(image: Image.Image) -> bytes:
    return jpeg(ImageEnhance.Brightness(image).enhance(1.25))


CHANGES = (reencoded, cropped, brightened)


def stored(content: bytes, size: int = 40) -> bytes:
    """An image as a download of this size stores it."""
    with Image.open(io.BytesIO(content)) as image:
        return jpeg(image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS), 95)
