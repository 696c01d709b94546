"""Images of local files: whether they can be decoded, and their form in shards.

A JPEG whose shorter side is at most the stored size stays as it is, byte for byte. Other images are decoded, turned as their
EXIF says (if `download.rotate` is true), reduced, and encoded as JPEG.
"""

import hashlib
import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP")
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image with each EXIF orientation becomes upright; 1 is upright."""

WHITE = (255, 255, 255, 255)

APP0, APP1, APP14, APP15 = 0xE0, 0xE1, 0xEE, 0xEF
START_OF_FRAME = (0xC0, 0xC1, 0xC2)
TABLES = (0xC4, 0xDB, 0xDD, 0xFE)
"""Markers of JPEG segments. APP1 has EXIF or XMP, and APP14 says that colours are in another form."""


class ImageFault(ValueError):
    """An image is left out. The message is the cause, one of `testbed.local.tar_samples.CAUSES`."""


@dataclass(frozen=True)
class Storage:
    """How images are stored: keys of the experiment's section `download`, and limits on them."""

    image_size: int
    quality: int
    rotate: bool
    minimum_size: int
    max_bytes: int
    max_pixels: int


def storage_of(download: Mapping) -> Storage:
    """Return how images are stored, from the experiment's section `download`."""
    return Storage(**{field.name: download[field.name] for field in fields(Storage)})


@dataclass(frozen=True)
class Stored:
    """An image as it goes into a shard: the file, its facts, and whether (and why) it is another file than before."""

    content: bytes
    facts: dict
    change: str


def open_image(content: bytes, storage: Storage) -> Image.Image:
    """Return the image in the file `content`, opened but not decoded. Raises `ImageFault` if it is left out."""
    if len(content) > storage.max_bytes:
        raise ImageFault("large")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageFault("large") from error
    except Exception as error:
        # Pillow raises errors of many kinds for damaged files.
        raise ImageFault("not_decodable") from error
    if image.width * image.height > storage.max_pixels:
        raise ImageFault("large")
    if min(image.size) < max(1, storage.minimum_size):
        raise ImageFault("small")
    return image


def check_image(content: bytes, storage: Storage) -> None:
    """Decode the image in the file `content`. Raises `ImageFault` if it is left out."""
    image = open_image(content, storage)
    # A JPEG is read to its end at an eighth of its size, which is as strict and several times as fast.
    image.draft(None, (image.width // 8 or 1, image.height // 8 or 1))
    decode(image)


def decode(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:
        raise ImageFault("not_decodable") from error


def store_image(content: bytes, storage: Storage) -> Stored:
    """Return the image in the file `content` in its form for shards. Raises `ImageFault` if it is left out."""
    size = plain_jpeg_size(content)
    fits = size and storage.minimum_size <= min(size) <= storage.image_size and size[0] * size[1] <= storage.max_pixels
    if fits and len(content) <= storage.max_bytes:
        return stored(content, size, size, "")
    image = open_image(content, storage)
    original = image.size
    change = reason_to_encode(image, storage)
    if change:
        image, content = encode(image, storage)
    return stored(content, image.size, original, change)


def stored(content: bytes, size: tuple[int, int], original: tuple[int, int], change: str) -> Stored:
    facts = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "width": size[0],
        "height": size[1],
        "original_width": original[0],
        "original_height": original[1],
    }
    return Stored(content, facts, change)


def original_size(row: Mapping, facts: Mapping) -> dict:
    """Return the size of the image when it was fetched, if the metadata in the tar say it, or else in the tar."""
    names = ("original_width", "original_height")
    sizes = [row.get(name) for name in names]
    known = all(type(size) is int and size > 0 for size in sizes)
    return {name: row[name] if known else facts[name] for name in names}


def image_size(content: bytes) -> tuple[int, int]:
    """Return width and height of the image in the file `content`, of any size. Raises `ImageFault` if it is no image."""
    if size := plain_jpeg_size(content):
        return size
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS).size
    except Exception as error:
        # Pillow raises errors of many kinds for damaged files.
        raise ImageFault("not_decodable") from error


def plain_jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG in RGB or grey, without EXIF; None for any other file, which Pillow looks at.

    Nearly all images are of this kind. Opening them with Pillow would take a fifth of the time of rewriting.
    """
    if content[:2] != b"\xff\xd8":
        return None
    place = 2
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in (APP1, APP14):
            return None
        if marker in START_OF_FRAME:
            precision, height, width, components = struct.unpack_from(">BHHB", content, place + 4)
            is_plain = precision == 8 and components in (1, 3) and height and width
            return (width, height) if is_plain else None
        if not (APP0 <= marker <= APP15 or marker in TABLES):
            return None
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return None


def reason_to_encode(image: Image.Image, storage: Storage) -> str:
    """Return why an image is encoded anew: format, colours, rotated or resized; empty if it stays as it is."""
    if image.format not in ("JPEG", "MPO"):
        return "format"
    if image.mode not in ("RGB", "L"):
        return "colours"
    if storage.rotate and orientation_of(image) != 1:
        return "rotated"
    return "resized" if min(image.size) > storage.image_size else ""


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, from 1 to 8; 1 if there is none, or none that is valid."""
    if "exif" not in image.info:
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def encode(image: Image.Image, storage: Storage) -> tuple[Image.Image, bytes]:
    """Return the image (upright, if `rotate`) in RGB with a shorter side of at most `image_size`, and its JPEG file."""
    turn = orientation_of(image) if storage.rotate else 1
    scale = storage.image_size / min(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size) if scale < 1 else image.size
    try:
        image.draft("RGB", tuple(2 * side for side in size))
        image.load()
        image = as_rgb(image)
        if image.size != size:
            image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        if turn in TURNS:
            image = image.transpose(TURNS[turn])
        file = io.BytesIO()
        image.save(file, "JPEG", quality=storage.quality, exif=b"")
    except Exception as error:
        raise ImageFault("not_decodable") from error
    return image, file.getvalue()


def as_rgb(image: Image.Image) -> Image.Image:
    """Return the image in RGB. Transparent parts become white; of 16 bits a channel, the upper 8 stay."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    elif "transparency" in image.info or "A" in image.getbands():
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return image.convert("RGB")
