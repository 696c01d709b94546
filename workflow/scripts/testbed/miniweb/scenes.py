"""How a drawing becomes an image of a visual domain: ``draw`` is all that other rooms need."""

from collections.abc import Callable

from numpy.random import PCG64, Generator, SeedSequence
from PIL import Image

from testbed.miniweb.scenes_art import clipart, painting, pixelart
from testbed.miniweb.scenes_junk import junk
from testbed.miniweb.scenes_lines import chalk, engraving, sketch
from testbed.miniweb.scenes_photos import odd, photo, photo_v2, snapshot, studio
from testbed.miniweb.world import CLASSES, DOMAINS

LABELS = tuple(known.name for known in CLASSES)
EMPTY = "junk"
RENDERERS: dict[str, Callable[[str, Generator, int], Image.Image]] = {
    "photo": photo,
    "photo_v2": photo_v2,
    "snapshot": snapshot,
    "odd": odd,
    "studio": studio,
    "clipart": clipart,
    "painting": painting,
    "sketch": sketch,
    "engraving": engraving,
    "chalk": chalk,
    "pixelart": pixelart,
    "junk": junk,
}


def draw(label: str, domain: str, seed: int, size: int = 64) -> Image.Image:
    """Draw an object of a class in a visual domain, as an RGB image of ``size`` x ``size`` pixels.

    The same arguments give the same pixels. ``label`` is a class name of ``world.CLASSES``, and "" for domain ``junk``,
    which shows no object; ``seed`` is not negative. Raises ValueError for any other label or domain.
    """
    if domain not in DOMAINS:
        raise ValueError(f"unknown domain {domain!r}; known are: {', '.join(DOMAINS)}")
    if domain == EMPTY and label:
        raise ValueError(f"domain {EMPTY!r} shows no object, so label {label!r} should be ''")
    if domain != EMPTY and label not in LABELS:
        raise ValueError(f"unknown label {label!r}; known are: {', '.join(LABELS)}")
    number = LABELS.index(label) if label else len(LABELS)
    rng = Generator(PCG64(SeedSequence((seed, number, DOMAINS.index(domain)))))
    return RENDERERS[domain](label, rng, size)
