"""What a sample of a pool's images shows: sizes in bytes, grey images, and thumbnails."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image, ImageFilter

from testbed.shards.samples import SampleError, read_image

THUMBNAIL = 160
"""Pixels of the longer side of a thumbnail, at most."""

QUALITY = 72
BLURRED = 8
"""Pixels of the longer side of an image that is blurred: too few to see what it shows."""

GREY = 6
"""Largest distance of a grey image's colours from grey, of 255: the JPEG of a grey photo is not grey to the last bit."""

FLAGS = {"nsfw", "source_nsfw", "punsafe", "p_unsafe", "source_punsafe", "over_18", "over18"}
"""Columns of lists, in lower case, that say that an image may be not safe for work."""

MARKED = {"nsfw", "unsure", "true", "1", "porn", "hentai", "sexy"}
UNSAFE = 0.5


class Look(NamedTuple):
    """What is seen in an image: the bytes of its stored file, whether it is grey, and its thumbnail as a JPEG, if asked."""

    bytes: int
    is_grey: bool
    thumbnail: bytes | None


def look_at(content: bytes, with_thumbnail: bool) -> Look:
    """Decode an image. Raises `OSError` or `ValueError` if it cannot be decoded."""
    with Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (THUMBNAIL, THUMBNAIL))
        image = image.convert("RGB")
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return Look(len(content), is_grey(image), as_jpeg(image) if with_thumbnail else None)


def is_grey(image: Image.Image) -> bool:
    """Return whether 99 % of the pixels of an RGB image have hardly a colour."""
    pixels = np.asarray(image, np.int16)
    distance = pixels.max(axis=2) - pixels.min(axis=2)
    return bool((distance > GREY).mean() < 0.01)


def as_jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


def reduced(thumbnail: bytes, side: int) -> bytes:
    """Return a thumbnail as a JPEG with at most `side` pixels on its longer side."""
    with Image.open(io.BytesIO(thumbnail)) as image:
        image = image.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return as_jpeg(image)


def blurred(thumbnail: bytes) -> bytes:
    """Return a thumbnail as a JPEG in which only rough colours are left."""
    with Image.open(io.BytesIO(thumbnail)) as image:
        size = image.size
        few = image.convert("RGB")
    few.thumbnail((BLURRED, BLURRED), Image.Resampling.BOX)
    return as_jpeg(few.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(4)))


def look_at_samples(shards: Path, rows: pa.Table, thumbnails: int) -> list[Look]:
    """Look at the images of `rows`, whose shards are in the folder `shards`; the first `thumbnails` also get a thumbnail.

    Raises `SampleError` if an image cannot be read.
    """
    listed = rows.select(["uid", "shard", "offset"]).to_pylist()
    looks: list[Look | None] = [None] * len(listed)
    by_shard: dict[str, list[int]] = {}
    for place, row in enumerate(listed):
        by_shard.setdefault(row["shard"], []).append(place)
    for name, places in sorted(by_shard.items()):
        with open(shards / name, "rb") as file:
            for place in sorted(places, key=lambda place: listed[place]["offset"]):
                try:
                    looks[place] = look_at(read_image(file, listed[place]["offset"]), place < thumbnails)
                except (OSError, ValueError, SyntaxError) as error:
                    raise SampleError(
                        f"{shards / name}: image {listed[place]['uid']} cannot be decoded ({error}). "
                        "Run `snakemake verify`."
                    ) from error
    return looks


def flag_columns(names: Sequence[str]) -> list[str]:
    """Return those columns of a table of samples that say whether an image is safe for work."""
    return [name for name in names if name.lower() in FLAGS]


def number_in(text: str) -> float:
    """Return the number that `text` is, or 0."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def is_flagged(row: dict, columns: Sequence[str]) -> bool:
    """Return whether one of `columns` marks a sample: a word such as NSFW or UNSURE, true, or a probability from 0.5 up."""
    for name in columns:
        value = row[name]
        if isinstance(value, str):
            # All columns of a list in CSV are text.
            value = value.strip().lower() in MARKED or number_in(value)
        if isinstance(value, bool | int | float) and value >= UNSAFE:
            return True
    return False
