"""Decoding for img2dataset's resizer: every orientation of EXIF, and files whose metadata or pixels are no use."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from testbed.web.decoding import decode, decoding_opencv, orientation_of, upright
from web_images import deep, picture, saved, turned

ARRAY = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_pillow_turns_them(orientation):
    image, exif = Image.fromarray(ARRAY), Image.Exif()
    exif[0x0112] = orientation
    image.info["exif"] = exif.tobytes()
    assert upright(ARRAY, orientation).tolist() == np.asarray(ImageOps.exif_transpose(image)).tolist()
    assert orientation_of(turned("JPEG", orientation)) == orientation
    assert orientation_of(turned("TIFF", orientation)) == 1


@pytest.mark.parametrize("value", [0, 9, 256])
def test_orientations_that_do_not_exist_are_upright(value):
    assert orientation_of(turned("PNG", value)) == 1


def test_the_orientation_of_xmp_turns_nothing():
    """Browsers ignore it; Pillow takes it where EXIF has none."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    content = saved(picture(), "JPEG", xmp=xmp)
    with Image.open(io.BytesIO(content)) as image:
        assert image.getexif().get(0x0112) == 6
    assert orientation_of(content) == 1


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_numbers_that_are_no_colours_are_refused(kind):
    file = io.BytesIO()
    Image.fromarray((ARRAY * 0.1).astype(np.float32)).save(file, "TIFF")
    content = file.getvalue()
    if kind == np.int16:
        done, encoded = cv2.imencode(".tiff", ARRAY.astype(np.int16))
        content = encoded.tobytes() if done else pytest.skip("this OpenCV writes no TIFF of int16")
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED).dtype == kind
    assert decode(np.frombuffer(content, np.uint8), True) is None


@pytest.mark.parametrize("content", [b"", b"no image", saved(picture(), "JPEG")[:100]])
def test_what_is_no_image_has_no_orientation(content):
    assert orientation_of(content) == 1


def test_what_opencv_cannot_decode_is_none():
    assert decode(np.frombuffer(b"no image", np.uint8), True) is None


def test_a_deep_image_is_turned_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = np.frombuffer(deep(picture(), ".png", 16), np.uint8)
    # OpenCV writes no EXIF data: they come from a file of Pillow's, behind the header.
    donor = saved(picture(), "PNG", exif=exif)
    start = donor.index(b"eXIf") - 4
    chunk = donor[start : start + 12 + int.from_bytes(donor[start : start + 4], "big")]
    content = np.frombuffer(plain[:33].tobytes() + chunk + plain[33:].tobytes(), np.uint8)
    assert cv2.imdecode(content, cv2.IMREAD_UNCHANGED).dtype == np.uint16
    image = decode(content, True)
    assert image.dtype == np.uint8 and image.shape == (96, 64, 3)
    assert (image == np.rot90(decode(content, False), -1)).all()


def test_all_else_of_opencv_is_there():
    own = decoding_opencv(True)
    assert own.imencode is cv2.imencode and own.INTER_AREA == cv2.INTER_AREA and own.imdecode is not cv2.imdecode
