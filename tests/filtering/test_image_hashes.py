"""Perceptual hashes: near for changed copies, far for other images, the same on every machine, none for flat images."""

import io

import numpy as np
import pytest
from scipy.fft import dctn

from near_images import CHANGES, drawing, jpeg
from testbed.filtering.image_hashes import (
    BITS,
    SIDE,
    Hashes,
    basis,
    frequencies,
    hash_table,
    shrink,
    similarity,
    transform,
)
from testbed.filtering.near_duplicates import near_between

NUMBER = 200


def hashes_of(files: list[bytes]) -> Hashes:
    pixels = np.stack([shrink(file) for file in files])
    return Hashes([hash_table([str(number) for number in range(len(files))], pixels)])


@pytest.fixture(scope="module")
def originals() -> Hashes:
    return hashes_of([jpeg(drawing(number)) for number in range(NUMBER)])


def test_coefficients_are_those_of_scipys_transform():
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    down, across = frequencies().T
    wanted = dctn(pixels.astype(float), axes=(1, 2), norm="ortho")[:, down, across]
    np.testing.assert_allclose(transform(pixels)[0], wanted, atol=1e-3)
    assert frequencies()[:4].tolist() == [[0, 1], [1, 0], [1, 1], [0, 2]]
    np.testing.assert_allclose(basis() @ basis().T, np.eye(BITS), atol=1e-9)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changed_copies_are_near_and_others_are_not(originals, change):
    copies = hashes_of([change(drawing(number)) for number in range(NUMBER)])
    pairs = near_between(copies, originals, 10)
    right = np.count_nonzero(pairs.first == pairs.second)
    assert right >= 0.95 * NUMBER
    assert right >= 0.95 * len(pairs.first)


def test_the_first_bit_is_the_lowest_frequency():
    across = np.tile(np.linspace(200, 20, SIDE), (SIDE, 1))
    bits = [int(hash_table([""], image[None])["hash"][0].as_py()) & 3 for image in (across, across.T, across[:, ::-1])]
    # Of a drawing that is symmetric, a coefficient is zero, whatever rounding makes of it.
    assert bits == [1, 2, 0]


def test_flat_images_have_no_hash():
    noise = np.random.default_rng(0).normal(128, 2, (SIDE, SIDE))
    table = hash_table(["flat", "drawn"], np.stack([noise, shrink(jpeg(drawing(1)))]))
    assert table["hash"].is_null().to_pylist() == [True, False]
    assert table["coefficients"][0].as_py() == bytes(BITS)
    assert Hashes([table]).rows.tolist() == [1] and Hashes([table]).coefficients.shape == (1, BITS)


def test_hashes_of_a_slice_are_those_of_its_rows(originals):
    table = hash_table(list("abc"), np.stack([shrink(jpeg(drawing(number))) for number in range(3)]))
    part = Hashes([table.slice(1)])
    assert part.hashes.tolist() == originals.hashes[1:3].tolist()
    assert (part.coefficients == originals.coefficients[1:3]).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_images_of_every_mode_are_shrunk(mode):
    grey = drawing(3).convert("L")
    image = grey.convert(mode)
    file = io.BytesIO()
    image.save(file, "TIFF")
    pixels = shrink(file.getvalue()).astype(float)
    assert np.abs(pixels - shrink(jpeg(grey))).mean() < (25 if mode == "1" else 6)


def test_bytes_without_an_image_are_an_error():
    with pytest.raises(OSError):
        shrink(b"not an image")
    with pytest.raises(OSError):
        shrink(jpeg(drawing(1))[:900])


def test_similarity_is_the_cosine_of_coefficients():
    first = np.array([[3, 4] + [0] * 62, [127] * 64], np.int8)
    assert similarity(first, -first).tolist() == pytest.approx([-1, -1])
    assert similarity(first[:1], np.roll(first[:1], 1)).tolist() == pytest.approx([12 / 25])
    assert similarity(first[:1], np.zeros((1, 64), np.int8)).tolist() == [0]
