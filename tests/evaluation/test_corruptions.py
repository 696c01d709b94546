"""Corruptions of images: as strong as those of ImageNet-C, for images of every size and mode."""

from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from experiments import SCHEMA
from testbed.evaluation.corruptions import KINDS, SIDE, centre_crop, corrupt, directional_blur, plasma, zoom
from testbed.miniweb.scenes import draw


def test_the_schema_knows_the_kinds():
    properties = yaml.safe_load(SCHEMA.read_text())["$defs"]["testset"]["properties"]["corrupt"]["properties"]
    assert properties["kind"]["enum"] == list(KINDS)
    assert {len(kind.severities) for kind in KINDS.values()} == {properties["severity"]["maximum"]}


@pytest.mark.parametrize(
    ("size", "mode", "side"),
    [((64, 64), "RGB", 64), ((90, 60), "L", 60), ((500, 375), "P", 224), ((300, 20), "RGBA", 20)],
)
def test_images_of_any_size_and_mode_become_squares_of_at_most_224_pixels(size, mode, side):
    image = draw("cat", "photo", 1, 300).resize(size).convert(mode)
    assert centre_crop(image).size == (side, side)
    for kind in KINDS:
        result = corrupt(image, kind, 3, "key")
        assert (result.size, result.mode) == ((side, side), "RGB")


def test_the_middle_square_is_seen():
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    assert np.unique(np.asarray(centre_crop(image)).reshape(-1, 3), axis=0).tolist() == [[0, 0, 255]]


@pytest.mark.parametrize(
    "kind", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow", "fog", "elastic_transform"]
)
def test_lengths_keep_their_ratio_to_the_image(kind):
    """An image is corrupted at 64 pixels as it is at 224."""
    large = draw("house", "photo", 3, 224)
    small = large.resize((64, 64), Image.Resampling.BICUBIC)
    reduced = np.asarray(corrupt(large, kind, 4, "key").resize((64, 64), Image.Resampling.BICUBIC), dtype=float)
    result = np.asarray(corrupt(small, kind, 4, "key"), dtype=float)
    assert np.abs(result - reduced).mean() < 2 < np.abs(np.asarray(small, dtype=float) - reduced).mean()


def flat(value: float) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), value)


def applied(kind: str, severity: int, pixels: np.ndarray) -> np.ndarray:
    return KINDS[kind].function(pixels, np.random.default_rng(0), *KINDS[kind].severities[severity - 1])


def test_noise_has_the_published_strength():
    """ImageNet-C's code: normal noise of 0.18, Poisson noise of 12 photons, 9 % of values that are 0 or 1."""
    grey = flat(0.5)
    assert applied("gaussian_noise", 3, grey).std() == pytest.approx(0.18, rel=0.01)
    assert applied("shot_noise", 3, grey).std() == pytest.approx((0.5 / 12) ** 0.5, rel=0.01)
    salted = applied("impulse_noise", 3, grey)
    assert [(salted == value).mean() for value in (0, 1)] == pytest.approx([0.045, 0.045], rel=0.05)


@pytest.mark.parametrize(
    "kind", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "contrast", "elastic_transform"]
)
def test_nothing_is_done_to_a_flat_image(kind):
    assert applied(kind, 5, flat(0.3)) == pytest.approx(flat(0.3), abs=1e-6)


def test_a_point_becomes_a_disk_and_a_streak():
    point = np.zeros((SIDE, SIDE, 3))
    point[100, 100] = 1
    disk = applied("defocus_blur", 1, point)[..., 0]
    # Lattice points within a radius of 3.
    assert (disk > 1e-3).sum() == 29
    assert disk.sum() == pytest.approx(1)
    rows, columns = np.nonzero(directional_blur(point, 10, 3, 0)[..., 0] > 1e-12)
    assert set(rows) == {100}
    assert sorted(columns) == list(range(80, 101))


def test_zooming_enlarges_the_middle():
    plane = np.zeros((100, 100))
    plane[40:60, 40:60] = 1
    assert zoom(plane, 2).sum() == pytest.approx(4 * plane.sum(), rel=0.05)
    assert zoom(plane, 1).tolist() == plane.tolist()


def test_brightness_keeps_hue_and_saturation():
    """Red of half value, black and white, brighter by 0.3."""
    pixels = np.array([[[0.5, 0.25, 0.1], [0, 0, 0], [1, 1, 1]]])
    expected = [[[0.8, 0.4, 0.16], [0.3, 0.3, 0.3], [1, 1, 1]]]
    assert applied("brightness", 3, pixels) == pytest.approx(np.array(expected))


def test_a_stronger_elastic_field_moves_pixels_further():
    """At the severities 3 to 5, which have the same affine map."""
    function, _, severities = KINDS["elastic_transform"]
    ramp = np.tile(np.linspace(0, 1, SIDE)[:, None, None], (1, SIDE, 3))
    moved = [
        np.abs(function(ramp, np.random.default_rng(0), alpha, sigma, 0) - ramp).mean()
        for alpha, sigma, _ in severities[2:]
    ]
    assert 0 < moved[0] < moved[1] < moved[2]
    assert len({shift for _, _, shift in severities[2:]}) == 1


def test_noise_of_fog_is_weaker_by_the_square_of_its_decay_from_scale_to_scale():
    amplitudes, rng = [], np.random.default_rng(0)

    def uniform(low, high, size):
        amplitudes.append((low, high))
        return rng.uniform(low, high, size)

    heights = plasma(SimpleNamespace(uniform=uniform), 16, 2.0)
    assert (heights.shape, heights.min(), heights.max()) == ((16, 16), 0, 1)
    assert amplitudes == [(-one, one) for one in (1, 1 / 4, 1 / 16, 1 / 64)]
