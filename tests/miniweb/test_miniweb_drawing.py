"""The mini-web's drawings: repeatable, never blank, and of classes that can be told apart."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from testbed.miniweb.objects import SHAPES, draw_object
from testbed.miniweb.objects_shapes import ROLES
from testbed.miniweb.scenes import RENDERERS, draw
from testbed.miniweb.scenes_surroundings import SURROUNDINGS
from testbed.miniweb.world import CLASSES, DOMAINS, SETTINGS

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
LABELS = tuple(known.name for known in CLASSES)
CASES = [
    (LABELS[(3 * index) % len(LABELS)] if domain != "junk" else "", domain) for index, domain in enumerate(DOMAINS)
]

DIGESTS = """
import hashlib
from testbed.miniweb.scenes import draw
for label, domain in {cases}:
    print(hashlib.sha256(draw(label, domain, 7, 48).tobytes()).hexdigest())
"""


def digest(label: str, domain: str, seed: int = 7, size: int = 48) -> str:
    return hashlib.sha256(draw(label, domain, seed, size).tobytes()).hexdigest()


def pixels(label: str, domain: str, seed: int, size: int = 32) -> np.ndarray:
    return np.asarray(draw(label, domain, seed, size), dtype=np.float64) / 255


def test_every_class_and_domain_of_the_world_can_be_drawn():
    assert tuple(SHAPES) == LABELS
    assert set(RENDERERS) == set(DOMAINS)


def test_other_processes_draw_the_same_in_any_order():
    here = [digest(label, domain) for label, domain in CASES]
    for order, hash_seed in ((1, "1"), (-1, "2")):
        code = DIGESTS.format(cases=CASES[::order])
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(SCRIPTS)}
        run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert run.stdout.split()[::order] == here


@pytest.mark.parametrize("domain", DOMAINS)
def test_images_have_the_asked_form_and_are_not_blank(domain):
    for label in LABELS if domain != "junk" else [""]:
        for size in (64, 32):
            image = draw(label, domain, 3, size)
            assert (image.mode, image.size) == ("RGB", (size, size))
            grey = np.asarray(image.convert("L"), dtype=float)
            assert np.percentile(grey, 98) - np.percentile(grey, 2) > (25 if label else 5), (label, domain, size)


@pytest.mark.parametrize("size", [17, 100, 224])
def test_other_sizes_work(size):
    for label, domain in CASES:
        assert draw(label, domain, 0, size).size == (size, size)


@pytest.mark.parametrize(("label", "domain"), CASES)
def test_every_seed_gives_another_image(label, domain):
    assert len({digest(label, domain, seed) for seed in range(6)}) == 6


def test_domains_of_one_seed_differ():
    assert len({digest("cat", domain) for domain in DOMAINS if domain != "junk"}) == len(DOMAINS) - 1


@pytest.mark.parametrize(
    ("label", "domain", "value"),
    [("dragon", "photo", "dragon"), ("cat", "hologram", "hologram"), ("", "photo", "''"), ("cat", "junk", "cat")],
)
def test_unknown_values_are_named(label, domain, value):
    with pytest.raises(ValueError, match=value):
        draw(label, domain, 0)


def test_unknown_class_of_object_is_named():
    with pytest.raises(ValueError, match="dragon"):
        draw_object("dragon", np.random.Generator(np.random.PCG64(0)))


@pytest.mark.parametrize("label", LABELS)
def test_objects_fit_their_box_and_use_known_colours(label):
    for seed in range(20):
        drawing = draw_object(label, np.random.Generator(np.random.PCG64(seed)))
        points = np.concatenate([shape.points for shape in drawing.shapes])
        assert np.ptp(points, axis=0).max() == pytest.approx(1)
        assert np.abs(points).max() <= 0.5 + 1e-9
        assert {shape.role for shape in drawing.shapes} <= {*ROLES, "hole"}
        assert set(drawing.colours) == set(ROLES)


def test_every_setting_has_surroundings():
    assert set(SURROUNDINGS) == set(SETTINGS)


def features(domain: str, seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """Grey pixels of 32 x 32 and the edge strengths among them, one row per image, and the class numbers."""
    rows, labels = [], []
    for number, label in enumerate(LABELS):
        for seed in seeds:
            image = pixels(label, domain, seed)
            edges = np.hypot(*np.gradient(image.mean(axis=2)))
            coarse = image.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
            rows.append(
                np.concatenate(
                    [coarse.ravel() - coarse.mean(), 4 * edges.reshape(16, 2, 16, 2).mean(axis=(1, 3)).ravel()]
                )
            )
            labels.append(number)
    return np.array(rows), np.array(labels)


@pytest.mark.slow
def test_classes_can_be_told_apart_in_photos_and_less_so_elsewhere():
    train, known = features("photo", range(60))
    middle = train.mean(axis=0)
    gram = (train - middle).T @ (train - middle) + 30 * np.eye(train.shape[1])
    weights = np.linalg.solve(gram, (train - middle).T @ np.eye(len(LABELS))[known])
    accuracy = {}
    for domain in ("photo", "sketch", "odd"):
        shown, truth = features(domain, range(1000, 1015))
        accuracy[domain] = float((((shown - middle) @ weights).argmax(axis=1) == truth).mean())
    assert accuracy["photo"] > 0.4
    assert max(accuracy["sketch"], accuracy["odd"]) < accuracy["photo"] - 0.1
