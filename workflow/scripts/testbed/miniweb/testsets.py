"""Test sets of the mini-web in CLIP_benchmark's local WebDataset format."""

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from testbed.miniweb.scenes import draw
from testbed.miniweb.world import CLASSES, TESTSETS
from testbed.records.files import add_member, publish
from testbed.records.manifest import record

SHARDS = 2
SIZE = 64
# Differs from the streams of all sources, which are [seed, number of the source].
STREAM = 1000
TEMPLATES = (
    "a photo of a {c}",
    "a picture of a {c}",
    "a {c}",
    "a drawing of a {c}",
    "a painting of a {c}",
    "a sketch of a {c}",
    "the {c}",
    "a close-up of a {c}",
)
OWN_CLASSES = tuple((entry.name, entry.name) for entry in CLASSES)
"""The mini-web's classes, each with its object."""


class Scene(NamedTuple):
    """What is drawn: an object, the visual domain, and the seed; the first three arguments of `draw`."""

    label: str
    domain: str
    seed: int


def scenes_of_testset(kind: str, labels: Sequence[str], seed: int) -> list[Scene]:
    """Return the scenes of the test set for `kind`, one for each of `labels`, which are objects of the mini-web.

    Domains and seeds depend on the number of images.
    """
    domains = TESTSETS[kind]
    stream = np.random.default_rng(np.random.SeedSequence([seed, STREAM, list(TESTSETS).index(kind)]))
    chosen = stream.choice(list(domains), size=len(labels), p=list(domains.values()))
    seeds = stream.integers(2**62, size=len(labels))
    return [Scene(*scene) for scene in zip(labels, chosen.tolist(), seeds.tolist(), strict=True)]


def labels_in_turn(images: int, classes: int = len(CLASSES)) -> list[int]:
    """Return the labels of `images` images, with `classes` classes in turn."""
    return [number % classes for number in range(images)]


def draw_testset(
    kind: str, labels: Sequence[int], seed: int, classes: Sequence[tuple[str, str]] = OWN_CLASSES
) -> Iterator[tuple[str, bytes, int]]:
    """Yield the key, PNG file and label of each image of the test set for `kind`, one image for each of `labels`.

    `classes` are pairs of a class's name and the mini-web's object for it.
    """
    scenes = scenes_of_testset(kind, [classes[label][1] for label in labels], seed)
    for number, (label, scene) in enumerate(zip(labels, scenes, strict=True)):
        image = draw(*scene, SIZE)
        file = io.BytesIO()
        image.save(file, "PNG")
        yield f"{number:06d}", file.getvalue(), label


def write_shards(samples: list[tuple[str, bytes, int]], folder: Path) -> list[Path]:
    """Write samples (key, image, label) as test/0.tar, test/1.tar, ... in `folder`, and return their paths."""
    paths = []
    for shard in range(SHARDS):
        path = folder / "test" / f"{shard}.tar"
        temporary = path.with_name(f".{path.name}.tmp")
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
            for key, image, label in samples[shard::SHARDS]:
                add_member(archive, f"{key}.png", image)
                add_member(archive, f"{key}.cls", str(label).encode())
        publish(temporary, path)
        paths.append(path)
    return paths


def make_testset(
    kind: str,
    images: int | Sequence[int],
    seed: int,
    folder: Path,
    classes: Sequence[tuple[str, str]] = OWN_CLASSES,
    templates: Sequence[str] = TEMPLATES,
) -> dict:
    """Draw the test set for `kind` into `folder`, and return its manifest.

    `images` are the labels of the images, or their number, with classes in turn. `classes` are as in `draw_testset`, and
    `templates` are the prompt templates for class names.
    """
    labels = labels_in_turn(images, len(classes)) if isinstance(images, int) else images
    (folder / "test").mkdir(parents=True, exist_ok=True)
    texts: Mapping[str, Sequence[str]] = {
        "classnames.txt": [name for name, _ in classes],
        "zeroshot_classification_templates.txt": templates,
        "test/nshards.txt": [str(SHARDS)],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    shards = write_shards(list(draw_testset(kind, labels, seed, classes)), folder)
    paths = [*(folder / name for name in texts), *shards]
    files = [{**record(path), "name": str(path.relative_to(folder))} for path in paths]
    return {"kind": kind, "seed": seed, "images": len(labels), "classes": len(classes), "files": files}
