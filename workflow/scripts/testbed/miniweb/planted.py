"""Near-duplicates that are planted in the mini-web: of test images in one source, of earlier pages in another."""

import dataclasses
import io
from collections.abc import Sequence

from numpy.random import Generator
from PIL import Image, ImageEnhance

from testbed.miniweb.pages import Page
from testbed.miniweb.testsets import SIZE, Scene, labels_in_turn, scenes_of_testset
from testbed.miniweb.world import CLASSES, NEAR_PAGES, NEAR_TESTSETS, PLANTED, TESTSETS

CHANGES = ("reencoded", "cropped", "brightened")
"""How the images of near-duplicates are changed, in turn."""

QUALITY, AREA, BRIGHTNESS = 50, 0.95, 1.3
"""The JPEG quality of what is encoded anew, the share of the area that a crop keeps, and the factor of brightness."""


def change_image(image: Image.Image, change: str) -> Image.Image:
    """Return `image` as one of `CHANGES` leaves it; itself where `change` is empty."""
    match change:
        case "reencoded":
            file = io.BytesIO()
            image.save(file, "JPEG", quality=QUALITY)
            return Image.open(file)
        case "cropped":
            left, top = (side * (1 - AREA**0.5) / 2 for side in image.size)
            kept = (left, top, image.width - left, image.height - top)
            return image.crop(tuple(round(edge) for edge in kept))
        case "brightened":
            return ImageEnhance.Brightness(image).enhance(BRIGHTNESS)
    return image


def plant_duplicates(kind: str, pages: Sequence[Page], testset_images: int, seed: int, rng: Generator) -> list[Page]:
    """Return `pages` with near-duplicates in place of a share (`PLANTED`) of them, if `kind` has such.

    A near-duplicate keeps its page's URL, label, format and behaviour. So lists and captions stay as they are. The test
    sets are those of all kinds, with `testset_images` images each, drawn with `seed`. Without images there are no
    near-duplicates of them.
    """
    if kind == NEAR_TESTSETS:
        scenes = scenes_by_label(testset_images, seed)
        eligible = [place for place, page in enumerate(pages) if page.label in scenes]
    elif kind == NEAR_PAGES:
        labels = [page.label for page in pages]
        eligible = [place for place, label in enumerate(labels) if label and label in labels[:place]]
    else:
        eligible = []
    chosen = rng.choice(eligible, min(len(eligible), round(PLANTED * len(pages))), replace=False) if eligible else []
    places = {int(place) for place in chosen}
    found = list(pages)
    for number, place in enumerate(sorted(places)):
        page = pages[place]
        if kind == NEAR_TESTSETS:
            scene, size = scenes[page.label][rng.integers(len(scenes[page.label]))], SIZE
        else:
            # The first page of a label is never eligible, so there is one that is not changed itself.
            earlier = [
                one for before, one in enumerate(pages[:place]) if one.label == page.label and before not in places
            ]
            original = earlier[rng.integers(len(earlier))]
            scene, size = Scene(original.label, original.domain, original.seed), original.size
        change = CHANGES[number % len(CHANGES)]
        found[place] = dataclasses.replace(page, domain=scene.domain, seed=scene.seed, size=size, change=change)
    return found


def scenes_by_label(testset_images: int, seed: int) -> dict[str, list[Scene]]:
    """Return the scenes of the images of all test sets, by their objects."""
    labels = [CLASSES[label].name for label in labels_in_turn(testset_images)]
    scenes: dict[str, list[Scene]] = {}
    for kind in TESTSETS:
        for scene in scenes_of_testset(kind, labels, seed):
            scenes.setdefault(scene.label, []).append(scene)
    return scenes
