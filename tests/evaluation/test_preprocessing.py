"""Images are framed as open_clip's own transforms for evaluation do it, to the last bit."""

from itertools import product

import numpy as np
import pytest
from open_clip import get_pretrained_cfg
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image

from decode_testset import preprocessing_of
from testbed.evaluation.preprocessing import Preprocessing
from testbed.models.networks import CONFIG_FILE
from testbed.records.manifest import write_json

SIZES = [(50, 50), (37, 61), (200, 33), (32, 32), (7, 9), (333, 251)]
RESIZE_MODES = ["shortest", "longest", "squash"]
MODES = ["RGB", "L", "P", "RGBA", "CMYK", "1", "LA"]


def noise(width, height, mode="RGB"):
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def pixels_of_open_clip(preprocess, image):
    """What open_clip's transform makes of an image before it makes numbers of it."""
    *steps, to_numbers, normalise = image_transform_v2(PreprocessCfg(**preprocess), is_train=False).transforms
    assert [type(step).__name__ for step in (to_numbers, normalise)] == ["MaybeToTensor", "Normalize"]
    for step in steps:
        image = step(image)
    return np.asarray(image)


@pytest.mark.parametrize(("size", "resize_mode"), list(product([32, (20, 31), (45, 17)], RESIZE_MODES)))
@pytest.mark.parametrize(("interpolation", "fill_color"), [("bicubic", 0), ("bilinear", 7), ("random", 0)])
def test_pictures_are_open_clips(size, resize_mode, interpolation, fill_color):
    preprocess = {
        "size": size,
        "resize_mode": resize_mode,
        "interpolation": interpolation,
        "fill_color": fill_color,
    }
    for (width, height), mode in product(SIZES, MODES):
        image = noise(width, height, mode)
        given = np.asarray(Preprocessing.of(preprocess)(image))
        np.testing.assert_array_equal(
            given, pixels_of_open_clip(preprocess, image), err_msg=f"{width} x {height} {mode}"
        )


def test_what_is_not_said_is_open_clips_default():
    assert Preprocessing.of({"size": 224}) == Preprocessing.of(vars(PreprocessCfg()))


@pytest.mark.parametrize(
    ("model", "tag", "side"),
    [
        ("RN50", None, 224),
        ("RN50", "openai", 224),
        ("ViT-B-16-SigLIP-256", "webli", 256),
        ("ViTamin-S", "datacomp1b", 224),
    ],
)
def test_published_weights_have_their_own_framing(model, tag, side):
    preprocess = merge_preprocess_dict(PreprocessCfg(), get_pretrained_cfg(model, tag) if tag else {}) | {"size": side}
    image = noise(333, 251)
    np.testing.assert_array_equal(
        np.asarray(preprocessing_of(model, tag)(image)), pixels_of_open_clip(preprocess, image)
    )


@pytest.mark.parametrize(
    ("model", "preprocessing"),
    [
        ("ViT-B-16-SigLIP-384", Preprocessing((384, 384), "squash")),
        ("ViT-B-32", Preprocessing((224, 224), "shortest")),
        # Its published weights have one of two.
        ("ViT-L-14", Preprocessing((224, 224), "shortest")),
        # It has no published weights.
        ("ViT-S-32", Preprocessing((224, 224), "shortest")),
    ],
)
def test_a_name_has_the_framing_of_its_published_weights(model, preprocessing):
    assert preprocessing_of(model) == preprocessing


def test_a_folder_says_its_framing(tmp_path):
    preprocess = {"resize_mode": "squash", "interpolation": "bilinear", "size": 7}
    config = {"model_cfg": {"vision_cfg": {"image_size": 48}}, "preprocess_cfg": preprocess}
    write_json(tmp_path / CONFIG_FILE, config)
    # The network's size holds, as it does when open_clip makes the network.
    assert preprocessing_of(str(tmp_path)) == Preprocessing((48, 48), "squash", "bilinear")
