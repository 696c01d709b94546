"""Images of training samples: JPEG to bytes of a random crop, fast where open_clip's transform is the plain one.

open_clip's plain transform is a random crop, resized, and normalised. The crop is done here on bytes, and normalisation on
the device. A transform with further augmentations (`aug-cfg`) is used as it is, with its random numbers seeded by sample.
"""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate
from torchcodec.decoders import decode_jpeg
from torchvision.transforms.v2.functional import pil_to_tensor

from testbed.training.order import CROP, random_bits, uniforms

ATTEMPTS = 10
"""How often torchvision's RandomResizedCrop tries to fit a crop, before it takes the middle of the image."""


def decode_image(content: bytes) -> torch.Tensor:
    """Return the image in the file `content` as RGB bytes, shape (3, height, width).

    TorchCodec decodes JPEG files, with the same pixels as Pillow; Pillow decodes the rest. Raises `ValueError` if the file
    has no whole image.
    """
    try:
        return decode_jpeg(content)
    except (RuntimeError, ValueError):
        try:
            with Image.open(io.BytesIO(content)) as image:
                return pil_to_tensor(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True)
class Crop:
    """A random crop as by torchvision's RandomResizedCrop, of `size` (height, width) pixels.

    The crop has a share of the image's area in `scale`, and a ratio of width to height in `ratio`. `mean` and `std` are
    those of the normalisation that follows.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    ratio: tuple[float, float]
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, transform: object) -> "Crop | None":
        """The crop of open_clip's training transform; None if the transform does more."""
        steps = getattr(transform, "transforms", [])
        names = [type(step).__name__ for step in steps]
        if names != ["RandomResizedCrop", "MaybeConvertMode", "MaybeToTensor", "Normalize"]:
            return None
        crop, normalise = steps[0], steps[-1]
        shape = (tuple(crop.size), tuple(crop.scale), tuple(crop.ratio), crop.interpolation.value)
        return cls(*shape, tuple(normalise.mean), tuple(normalise.std))

    def draw(self, seed: int, epochs: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return the random numbers of the crops of `samples`, shape (len(samples), 2 + 2 * ATTEMPTS)."""
        return uniforms(random_bits(CROP, seed, epochs, samples, 2 + 2 * ATTEMPTS))

    def boxes(self, heights: np.ndarray, widths: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return top, left, height and width of crops, shape (n, 4), in images of `heights` and `widths`, shape (n,).

        `numbers` are those of `draw`. A crop has the first area and ratio that fit, or else the middle of the image.
        """
        low, high = np.log(self.ratio)
        areas = self.scale[0] + (self.scale[1] - self.scale[0]) * numbers[:, 2 : 2 + ATTEMPTS]
        areas *= (heights * widths)[:, None]
        ratios = np.exp(low + (high - low) * numbers[:, 2 + ATTEMPTS :])
        wide, tall = np.rint(np.sqrt(areas * ratios)), np.rint(np.sqrt(areas / ratios))
        fits = (wide > 0) & (wide <= widths[:, None]) & (tall > 0) & (tall <= heights[:, None])
        chosen = np.arange(len(fits)), fits.argmax(axis=1)
        # Where nothing fits, the image is too flat or too narrow: one side is whole, and the other is cut to the ratio.
        whole = ~fits.any(axis=1)
        wide = np.where(whole, np.minimum(widths, np.rint(heights * self.ratio[1])), wide[chosen])
        tall = np.where(whole, np.minimum(heights, np.rint(widths / self.ratio[0])), tall[chosen])
        top = np.where(whole, (heights - tall) // 2, numbers[:, 0] * (heights - tall + 1))
        left = np.where(whole, (widths - wide) // 2, numbers[:, 1] * (widths - wide + 1))
        return np.stack([top, left, tall, wide], axis=1).astype(int)

    def cut(self, images: Sequence[torch.Tensor], numbers: np.ndarray, target: torch.Tensor) -> None:
        """Write the crops of `images` that `numbers` choose into `target`, bytes of shape (n, 3, *size)."""
        heights, widths = np.array([image.shape[-2:] for image in images]).T
        boxes = self.boxes(heights, widths, numbers).tolist()
        for place, (image, (top, left, tall, wide)) in enumerate(zip(images, boxes, strict=True)):
            part = image[None, :, top : top + tall, left : left + wide]
            target[place] = interpolate(part, self.size, mode=self.interpolation, antialias=True)[0]


def seed_all(bits: int) -> None:
    """Seed all generators of random numbers that open_clip's code may use, with 64 random `bits`."""
    random.seed(bits)
    np.random.seed(bits & 0xFFFFFFFF)
    torch.manual_seed(bits)
