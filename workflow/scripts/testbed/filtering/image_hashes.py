"""Perceptual hashes of images (pHash) and the coefficients that they are made of.

An image is shrunk to 32 x 32 grey pixels, of which the discrete cosine transform is taken. The hash has a bit for each of
the 64 lowest frequencies but the mean: whether its coefficient is positive. This is pHash (C. Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions", 2010; https://www.phash.org) with two changes. Frequencies are chosen by
their distance from zero and not from a square, and a bit compares its coefficient with zero and not with the median, which
of such coefficients is near zero. So the bits are independent of each other, and a distance can be odd.

The 64 coefficients are kept too, each in one byte. Two images whose hashes are near are compared by them (`similarity`):
drawings of one subject before a white background often agree in their signs, and seldom in their sizes.
"""

import io
from collections.abc import Iterable
from functools import cache

import numpy as np
import pyarrow as pa
from PIL import Image

SIDE = 32
"""Width and height in pixels of the grey image that is transformed."""

BITS = 64

FLAT = 4.0
"""Images whose 32 x 32 grey values have a smaller standard deviation (of 255) have no hash: JPEG noise decides its bits."""

SIMILAR = 0.92
"""The lowest similarity of the coefficients of near-duplicates; see docs/duplicates.md for how it was measured."""

SCHEMA = pa.schema({"uid": pa.string(), "hash": pa.uint64(), "coefficients": pa.binary(BITS)})
"""Columns of a table of hashes. Flat images have no hash, and zeros as coefficients."""

GREY = ("L", "RGB", "YCbCr")
"""Modes of images that are converted to grey directly; others, such as those with a palette, become RGB first."""

DECIMALS = 4
"""Coefficients are rounded, so that one that is zero, as in symmetric drawings, has the same sign on every machine."""


@cache
def frequencies() -> np.ndarray:
    """The 64 lowest vertical and horizontal frequencies (64, 2) but (0, 0), by their distance from zero."""
    pairs = [(down, across) for down in range(SIDE) for across in range(SIDE) if down or across]
    return np.array(sorted(pairs, key=_distance)[:BITS])


def _distance(pair: tuple[int, int]) -> tuple:
    return pair[0] ** 2 + pair[1] ** 2, pair


@cache
def basis() -> np.ndarray:
    """The functions of the orthonormal DCT-II (64, 32 * 32) at `frequencies`."""
    places = np.pi * (np.arange(SIDE) + 0.5) / SIDE
    waves = np.cos(np.arange(SIDE)[:, None] * places) * np.sqrt(np.where(np.arange(SIDE) == 0, 1, 2) / SIDE)[:, None]
    down, across = frequencies().T
    return (waves[down][:, :, None] * waves[across][:, None, :]).reshape(BITS, -1)


def shrink(content: bytes) -> np.ndarray:
    """The 32 x 32 grey pixels (uint8) of an image file. Raises `OSError`, `ValueError` or `SyntaxError` if it has none.

    A JPEG is decoded at the smallest scale that has twice as many pixels in each direction, and without its colours.
    """
    with Image.open(io.BytesIO(content)) as image:
        image.draft("L", (2 * SIDE, 2 * SIDE))
        image.load()
        if image.mode not in GREY:
            image = image.convert("RGB")
        return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def transform(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 64 coefficients (N, 64; float64) of images `pixels` (N, 32, 32), and whether each image is flat (N)."""
    values = pixels.reshape(len(pixels), -1).astype(np.float64)
    return np.round(values @ basis().T, DECIMALS), values.std(axis=1) < FLAT


def weigh(coefficients: np.ndarray) -> np.ndarray:
    """`coefficients` (N, 64) as one signed byte each, by a common scale for each image.

    Higher frequencies have smaller coefficients. Without a weight, the first few would decide the similarity.
    """
    weighted = coefficients * np.sqrt(np.arange(1, BITS + 1))
    largest = np.maximum(np.abs(weighted).max(axis=1, initial=0, keepdims=True), 1e-9)
    return np.round(127 * weighted / largest).astype(np.int8)


def hash_table(uids: list[str], pixels: np.ndarray) -> pa.Table:
    """The table of hashes (`SCHEMA`) of images `pixels` (N, 32, 32)."""
    coefficients, flat = transform(pixels)
    hashes = np.packbits(coefficients > 0, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)
    stored = weigh(coefficients)
    stored[flat] = 0
    columns = [
        pa.array(uids, pa.string()),
        pa.array(hashes, pa.uint64(), mask=flat),
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(BITS), len(stored), [None, pa.py_buffer(stored.tobytes())]),
    ]
    return pa.table(columns, schema=SCHEMA)


class Hashes:
    """The hashes of a table's images that have one: `rows` (N, their rows in the table), `hashes` and `coefficients`.

    `size` is the number of rows of the table, and `tables` are its parts. They are read one after the other, so that only
    the hashes stay in memory.
    """

    def __init__(self, tables: Iterable[pa.Table]):
        parts, start = [(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty((0, BITS), np.int8))], 0
        for table in tables:
            known = table["hash"].is_valid().to_numpy()
            stored = table["coefficients"].combine_chunks()
            content = np.frombuffer(stored.buffers()[1] or b"", np.int8).reshape(-1, BITS)
            content = content[stored.offset : stored.offset + len(stored)]
            parts.append((start + np.flatnonzero(known), table["hash"].drop_null().to_numpy(), content[known]))
            start += len(table)
        self.size = start
        self.rows, self.hashes, self.coefficients = (np.concatenate(columns) for columns in zip(*parts, strict=True))

    def __len__(self) -> int:
        return len(self.rows)


def similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The cosine similarity (N) of the coefficients (N, 64; int8) of pairs of images."""
    first, second = first.astype(np.float32), second.astype(np.float32)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.einsum("ij,ij->i", first, second) / np.maximum(norms, 1e-9)
