"""Images of training samples: the crops of torchvision, the pixels of open_clip's transform, and files of any kind."""

import io

import numpy as np
import pytest
import torch
from open_clip.transform import AugmentationCfg, image_transform
from PIL import Image
from torchvision.transforms.functional import resized_crop

from testbed.models.pixels import normalise
from testbed.training.images import ATTEMPTS, Crop, decode_image

SIZES = [(341, 256), (256, 256), (64, 48), (40, 300), (900, 30), (1, 1), (224, 3)]


def encoded(image: Image.Image, form: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Coarse noise, with the sharp edges of text in it."""
    rng = np.random.default_rng(width * height)
    coarse = rng.integers(0, 256, (height // 9 + 1, width // 9 + 1, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    image.paste((255, 255, 255), (width // 3, height // 3, width // 3 + 5, height // 2 + 3))
    return image.convert(mode)


def normalised(crop: Crop, images: torch.Tensor) -> torch.Tensor:
    return normalise(images, *(torch.tensor(values)[:, None, None] for values in (crop.mean, crop.std)))


@pytest.fixture(scope="module")
def crop() -> Crop:
    return Crop.of(image_transform(224, is_train=True))


def test_the_plain_transform_is_known(crop):
    assert (crop.size, crop.scale, crop.ratio, crop.interpolation) == (
        (224, 224),
        (0.9, 1.0),
        (3 / 4, 4 / 3),
        "bicubic",
    )
    assert crop.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    other = Crop.of(image_transform((32, 48), is_train=True, mean=0.5, std=0.5, aug_cfg={"scale": (0.4, 0.8)}))
    assert (other.size, other.scale, other.mean, other.std) == ((32, 48), (0.4, 0.8), (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    "further",
    [{"color_jitter": (0.1, 0.1, 0.1, 0.1), "color_jitter_prob": 0.5}, {"gray_scale_prob": 0.2}, {"use_timm": True}],
    ids=lambda further: next(iter(further)),
)
def test_transforms_with_more_are_left_to_open_clip(further):
    assert Crop.of(image_transform(224, is_train=True, aug_cfg=AugmentationCfg(**further))) is None


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_open_clip(crop, size):
    """At most 2 of 255 from Pillow's pixels of the same crop, and 0.12 on average.

    The corners of a hard edge are the exception: a pixel in a million, by up to 8 in 200 crops.
    """
    file = encoded(photo(*size), quality=95)
    image = decode_image(file)
    numbers = crop.draw(0, np.zeros(20, int), np.arange(20))
    cut = torch.empty(20, 3, 224, 224, dtype=torch.uint8)
    crop.cut([image] * 20, numbers, cut)
    boxes = crop.boxes(np.full(20, size[1]), np.full(20, size[0]), numbers)
    transform = image_transform(224, is_train=True).transforms
    for own, box in zip(cut, boxes.tolist(), strict=True):
        expected = resized_crop(Image.open(io.BytesIO(file)), *box, crop.size, transform[0].interpolation)
        difference = np.abs(np.asarray(expected).astype(int).transpose(2, 0, 1) - own.numpy())
        assert (difference > 2).mean() < 1e-4 and difference.max() <= 8 and difference.mean() < 0.15
        for step in transform[1:]:
            expected = step(expected)
        numbers_apart = torch.abs(normalised(crop, own[None])[0] - expected)
        assert numbers_apart.max() < (difference.max() + 0.01) / 255 / min(crop.std)


def test_numbers_are_those_of_open_clip_to_the_last_bit(crop):
    image = photo(224, 224)
    normalise = image_transform(224, is_train=True).transforms[2:]
    expected = image
    for step in normalise:
        expected = step(expected)
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
    assert torch.equal(normalised(crop, pixels)[0], expected)
    # With pure half precision, open_clip's trainer converts the bytes before the model sees them, which loses nothing.
    assert torch.equal(normalised(crop, pixels.bfloat16())[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_boxes_are_drawn_like_torchvisions(crop, size):
    """In the image; of the area and ratio that are asked for, or in the middle where no such box fits."""
    width, height = size
    numbers = crop.draw(1, np.zeros(2000, int), np.arange(2000))
    top, left, tall, wide = crop.boxes(np.full(2000, height), np.full(2000, width), numbers).T
    assert (top >= 0).all() and (left >= 0).all() and (tall > 0).all() and (wide > 0).all()
    assert (top + tall <= height).all() and (left + wide <= width).all()
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    drawn = np.array(
        [RandomResizedCrop.get_params(photo(*size), list(crop.scale), list(crop.ratio)) for _ in range(2000)]
    ).T
    for own, theirs in zip((top, left, tall, wide), drawn, strict=True):
        spread = max(own.std(), theirs.std())
        assert abs(own.mean() - theirs.mean()) <= 5 * spread / np.sqrt(2000)
        assert own.std() == pytest.approx(theirs.std(), rel=0.15, abs=0.05)


def test_a_crop_is_of_its_sample_epoch_and_seed(crop):
    def draw(seed, epoch, *samples):
        return crop.draw(seed, np.full(len(samples), epoch), np.array(samples)).tolist()

    assert draw(0, 1, 5, 9) == [*draw(0, 1, 5), *draw(0, 1, 9)]
    others = [draw(1, 1, 5), draw(0, 2, 5), draw(0, 1, 6)]
    assert all(other != draw(0, 1, 5) for other in others)
    assert len(draw(0, 1, 5)[0]) == 2 + 2 * ATTEMPTS


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB")]
)
def test_files_of_any_kind_become_rgb(form, mode):
    file = encoded(photo(40, 30, mode), form)
    expected = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    assert np.array_equal(decode_image(file).numpy(), expected.transpose(2, 0, 1))


@pytest.mark.parametrize("damage", [lambda file: file[: len(file) // 2], lambda file: b"<html>", lambda file: b""])
def test_files_without_a_whole_image_are_refused(damage):
    with pytest.raises(ValueError, match=r"truncated|cannot identify"):
        decode_image(damage(encoded(photo(64, 64))))
