"""Decoding of fetched images for img2dataset's resizer: upright, and with 8 bits for each channel.

The resizer decodes by OpenCV as the file says (`cv2.IMREAD_UNCHANGED`), because it needs the transparency. That leaves a
photograph on its side if the camera noted its orientation (EXIF), and the resizer stores images of more than 8 bits white.
"""

import io
from types import SimpleNamespace

import numpy as np
from PIL import ExifTags, Image

QUARTER_TURNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}
"""EXIF orientations of images that must be turned, and by how many quarters against the clock."""

MIRRORED = {2, 4, 5, 7}
"""EXIF orientations of images that are mirrored, left to right, once they are turned."""


def orientation_of(content: bytes) -> int:
    """Return the EXIF orientation (1 to 8) by which the decoded image in the file `content` must be turned; 1 is upright.

    That of TIFF is 1, because OpenCV turns these images itself.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            # Not image.getexif(): it takes the orientation of XMP, too, which browsers ignore.
            exif = Image.Exif()
            if image.format != "TIFF" and "exif" in image.info:
                exif.load(image.info["exif"])
            orientation = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:
        # Pillow's readers raise many kinds of exceptions for invalid metadata.
        return 1
    return orientation if orientation in QUARTER_TURNS or orientation in MIRRORED else 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return an `image` (height, width, ...) with an EXIF `orientation` as it is meant to be seen."""
    turned = np.rot90(image, QUARTER_TURNS.get(orientation, 0))
    return np.ascontiguousarray(turned[:, ::-1] if orientation in MIRRORED else turned)


def decode(content: np.ndarray, rotate: bool) -> np.ndarray | None:
    """Return the image in the file `content` (its bytes) as OpenCV does, with at most 8 bits for each channel.

    Its shape is (height, width) or (height, width, 3 or 4): grey, or blue, green, red and opacity. With `rotate` it is
    turned as its EXIF data say. None if OpenCV cannot decode it, or if its numbers are not of 8 or 16 bits without a sign.
    """
    import cv2

    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype not in (np.uint8, np.uint16):
        return None
    if image.dtype == np.uint16:
        # How many of the 16 bits are used depends on the format; each decoder knows its own.
        if image.ndim == 3 and image.shape[2] == 4:
            with Image.open(io.BytesIO(content)) as opened:
                image = cv2.cvtColor(np.asarray(opened.convert("RGBA")), cv2.COLOR_RGBA2BGRA)
        else:
            channels = cv2.IMREAD_GRAYSCALE if image.ndim == 2 else cv2.IMREAD_COLOR
            image = cv2.imdecode(content, channels | cv2.IMREAD_IGNORE_ORIENTATION)
    orientation = orientation_of(content) if rotate else 1
    return image if orientation == 1 else upright(image, orientation)


def decoding_opencv(rotate: bool) -> SimpleNamespace:
    """Return OpenCV for img2dataset's resizer: its functions, but with `decode` for decoding."""
    import cv2

    return SimpleNamespace(**(vars(cv2) | {"imdecode": lambda content, flags: decode(content, rotate)}))
