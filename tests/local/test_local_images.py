"""Images of local files: what stays as it is, what is encoded anew and why, and what is left out."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from testbed.local.images import ImageFault, Storage, check_image, plain_jpeg_size, store_image

STORAGE = Storage(image_size=64, quality=95, rotate=True, minimum_size=16, max_bytes=200_000, max_pixels=90_000)
RED, BLUE = (230, 20, 20), (20, 20, 230)


def picture(width: int, height: int) -> Image.Image:
    """Red on the left half, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def encoded(image: Image.Image, form: str = "JPEG", orientation: int = 0, **options) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
        options["exif"] = exif
    image.save(file, form, **options)
    return file.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


@pytest.mark.parametrize("size", [(64, 64), (200, 64), (64, 200), (16, 90)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_of_fitting_size_stays_byte_for_byte(size, mode):
    content = encoded(picture(*size).convert(mode))
    stored = store_image(content, STORAGE)
    assert (stored.content, stored.change) == (content, "")
    assert (stored.facts["width"], stored.facts["height"]) == size


@pytest.mark.parametrize(
    ("content", "change", "size"),
    [
        (encoded(picture(200, 128)), "resized", (100, 64)),
        (encoded(picture(64, 90), "PNG"), "format", (64, 90)),
        (encoded(picture(200, 128), "WEBP"), "format", (100, 64)),
        (encoded(picture(64, 64).convert("CMYK")), "colours", (64, 64)),
        (encoded(picture(200, 128).quantize(4), "PNG"), "format", (100, 64)),
        (encoded(picture(40, 64), orientation=1), "", (40, 64)),
    ],
)
def test_other_images_are_encoded_anew_and_the_reason_is_told(content, change, size):
    check_image(content, STORAGE)
    stored = store_image(content, STORAGE)
    assert stored.change == change
    image = Image.open(io.BytesIO(stored.content))
    assert (image.format, image.size) == ("JPEG", size)
    assert np.abs(pixels(stored.content)[:, 2] - RED).max() < 30
    assert np.abs(pixels(stored.content)[:, -3] - BLUE).max() < 30


@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_image_becomes_upright_as_its_exif_says(orientation):
    upright = picture(60, 40)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    content = encoded(upright.transpose(Image.Transpose(back)), orientation=orientation)
    stored = store_image(content, STORAGE)
    assert stored.change == "rotated"
    assert np.abs(pixels(stored.content) - np.asarray(upright).astype(int)).mean() < 6
    assert 0x0112 not in Image.open(io.BytesIO(stored.content)).getexif()


def test_without_rotation_an_image_stays_as_it_lies_in_the_file():
    lying = picture(40, 60)
    content = encoded(lying, orientation=6)
    assert store_image(content, replace(STORAGE, rotate=False)).content == content
    larger = store_image(encoded(picture(80, 120), orientation=6), replace(STORAGE, rotate=False))
    assert (larger.change, Image.open(io.BytesIO(larger.content)).size) == ("resized", (64, 96))


def test_transparent_parts_become_white():
    image = picture(64, 64).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 64, 32))
    stored = store_image(encoded(image, "PNG"), STORAGE)
    assert pixels(stored.content)[:20].min() > 240 and np.abs(pixels(stored.content)[50, 2] - RED).max() < 30


def test_sixteen_bits_become_eight():
    grey = Image.fromarray(np.full((40, 40), 200 << 8, np.uint16))
    assert np.abs(pixels(store_image(encoded(grey, "PNG"), STORAGE).content) - 200).max() < 3


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not_decodable"),
        (b"no image", "not_decodable"),
        (encoded(picture(60, 60), "GIF"), "not_decodable"),
        (encoded(picture(60, 60))[:400], "not_decodable"),
        (encoded(picture(60, 60), "PNG")[:90], "not_decodable"),
        (encoded(picture(90, 15)), "small"),
        (encoded(picture(301, 300)), "large"),
        (encoded(picture(60, 60)) + bytes(200_000), "large"),
    ],
)
def test_what_is_left_out_has_a_cause(content, cause):
    with pytest.raises(ImageFault, match=cause):
        check_image(content, STORAGE)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"comment": "x"}, {"dpi": (72, 72)}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_size_of_a_plain_jpeg_is_that_which_pillow_reads(mode, options):
    for size in [(64, 40), (1, 300), (255, 256)]:
        assert plain_jpeg_size(encoded(picture(*size).convert(mode), **options)) == size


def test_pillow_looks_at_every_other_file():
    plain = encoded(picture(40, 40))
    others = [encoded(picture(40, 40), orientation=6), encoded(picture(40, 40).convert("CMYK"))]
    others += [encoded(picture(40, 40), "PNG"), b"", b"\xff\xd8", plain[:30], b"\xff\xd8" + b"\xff" * 60]
    # Three components that are RGB, and not brightness and colour.
    others.append(plain[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00" + plain[2:])
    assert [plain_jpeg_size(content) for content in others] == [None] * len(others)
    for length in range(len(plain)):
        assert plain_jpeg_size(plain[:length]) in (None, (40, 40))


def test_a_plain_jpeg_of_too_many_pixels_is_left_out():
    with pytest.raises(ImageFault, match="large"):
        store_image(encoded(picture(2000, 60)), STORAGE)
