"""Near-duplicates in the mini-web: at the known rate, found by their hashes, and all else as without them."""

import io
from collections import Counter
from dataclasses import asdict, astuple

import numpy as np
import pytest
from PIL import Image

from make_miniweb import draw_source, make_source
from near_images import jpeg, stored
from testbed.filtering.image_hashes import Hashes, hash_table, shrink
from testbed.filtering.near_duplicates import near_between
from testbed.miniweb.pages import draw_pages
from testbed.miniweb.planted import CHANGES, change_image
from testbed.miniweb.rows import draw_rows
from testbed.miniweb.scenes import draw
from testbed.miniweb.server import image_bytes
from testbed.miniweb.testsets import SIZE, draw_testset, labels_in_turn, scenes_of_testset
from testbed.miniweb.world import CLASSES, NEAR_PAGES, NEAR_TESTSETS, PLANTED, SOURCES, TESTSETS
from testbed.records.manifest import read_json

SEED, IMAGES = 5, 60


def planted(kind: str, pairs: int) -> list[tuple[int, dict]]:
    """The planted pages of a mini-source, with their places."""
    pages = draw_source(kind, pairs, SEED, IMAGES).pages
    return [(place, asdict(page)) for place, page in enumerate(pages) if page.change]


@pytest.mark.parametrize("kind", SOURCES)
def test_rows_and_other_pages_are_as_without(kind):
    source = draw_source(kind, 400, SEED, IMAGES)
    number = len(source.pages)
    # The streams of pages and rows are the first two of the three that there were before.
    streams = np.random.SeedSequence([SEED, list(SOURCES).index(kind)]).spawn(3)
    pages = draw_pages(kind, number, np.random.default_rng(streams[0]))
    assert source.rows == draw_rows(kind, pages, 400, np.random.default_rng(streams[1]))
    changed = [(one, other) for one, other in zip(source.pages, pages, strict=True) if one != other]
    assert len(changed) == (round(PLANTED * number) if kind in (NEAR_PAGES, NEAR_TESTSETS) else 0)
    for one, other in changed:
        own, before = asdict(one), asdict(other)
        assert {key for key in own if own[key] != before[key]} <= {"domain", "seed", "size", "change"}
        assert one.label and one.change


def test_the_manifest_counts_each_change(tmp_path):
    for kind, counts in ((NEAR_TESTSETS, [4, 4, 4]), (NEAR_PAGES, [4, 4, 4]), ("yfcc", [])):
        make_source(kind, 600, SEED, tmp_path / kind / "manifest.json", IMAGES)
        assert list(read_json(tmp_path / kind / "manifest.json")["planted"].values()) == counts
    assert Counter(page["change"] for _, page in planted(NEAR_PAGES, 600)) == dict.fromkeys(CHANGES, 4)


def test_without_test_images_there_are_no_near_duplicates_of_them():
    assert not [page for page in draw_source(NEAR_TESTSETS, 400, SEED).pages if page.change]


@pytest.mark.parametrize("kind", TESTSETS)
def test_the_scenes_of_a_test_set_are_those_of_its_images(kind):
    labels = labels_in_turn(25)
    scenes = scenes_of_testset(kind, [CLASSES[label].name for label in labels], SEED)
    for scene, (_, content, label) in zip(scenes, draw_testset(kind, labels, SEED), strict=True):
        assert scene.label == CLASSES[label].name
        assert np.array_equal(Image.open(io.BytesIO(content)), draw(*scene, SIZE))


def originals(kind: str, pairs: int) -> set[tuple]:
    """The scenes and sizes that planted pages may show."""
    if kind == NEAR_PAGES:
        return {(page.label, page.domain, page.seed, page.size) for page in draw_source(kind, pairs, SEED).pages}
    labels = [CLASSES[label].name for label in labels_in_turn(IMAGES)]
    return {(*scene, SIZE) for testset in TESTSETS for scene in scenes_of_testset(testset, labels, SEED)}


@pytest.mark.parametrize("kind", [NEAR_TESTSETS, NEAR_PAGES])
def test_near_duplicates_are_found_by_their_hashes(kind):
    """As they are served, and as they are stored after a download."""
    pages = [page for _, page in planted(kind, 3000)]
    scenes = [(page["label"], page["domain"], page["seed"], page["size"]) for page in pages]
    assert set(scenes) <= originals(kind, 3000)
    files = [image_bytes(page) for page in pages]
    shown = [[stored(file) for file in files], files]
    pixels = [np.array([shrink(file) for file in version]) for version in shown]
    wanted = Hashes([hash_table([""] * len(pages), np.array([shrink(jpeg(draw(*scene))) for scene in scenes]))])
    for version in pixels:
        found = near_between(Hashes([hash_table([""] * len(pages), version)]), wanted, 10)
        assert np.sum(found.first == found.second) >= 0.95 * len(pages) == 57


def test_an_earlier_page_is_shown_again():
    pages = draw_source(NEAR_PAGES, 600, SEED).pages
    for place, page in planted(NEAR_PAGES, 600):
        shown = {astuple(one)[1:4] for one in pages[:place] if not one.change}
        assert (page["label"], page["domain"], page["seed"]) in shown


def test_images_are_changed_as_named():
    image = draw("cat", "photo", 3, 96)
    assert change_image(image, "") is image
    assert np.abs(np.asarray(change_image(image, "reencoded"), int) - image).mean() > 0.5
    cropped = change_image(image, "cropped")
    assert cropped.width * cropped.height / image.width**2 == pytest.approx(0.95, abs=0.015)
    brighter = np.asarray(change_image(image, "brightened"), float)
    dark = np.asarray(image) < 190
    assert brighter[dark].sum() == pytest.approx(1.3 * np.asarray(image, float)[dark].sum(), rel=0.01)
