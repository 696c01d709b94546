"""How each class of the mini-web is drawn: its shapes and its colours, from a random generator."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from testbed.miniweb import objects_animals as animals
from testbed.miniweb import objects_outdoors as outdoors
from testbed.miniweb import objects_plants as plants
from testbed.miniweb import objects_things as things
from testbed.miniweb.objects_shapes import Shape

ANY_COLOUR = 0.10
"""Share of drawings whose main colour is none of the usual ones of their class."""

SHAPES: dict[str, Callable[[Generator], list[Shape]]] = {
    "house": outdoors.house,
    "tree": plants.tree,
    "fish": animals.fish,
    "mug": things.mug,
    "car": outdoors.car,
    "key": things.key,
    "flower": plants.flower,
    "clock": things.clock,
    "umbrella": things.umbrella,
    "sailboat": outdoors.sailboat,
    "cat": animals.cat,
    "bird": animals.bird,
    "butterfly": animals.butterfly,
    "mushroom": plants.mushroom,
    "apple": plants.apple,
    "chair": things.chair,
    "guitar": things.guitar,
    "airplane": outdoors.airplane,
    "teapot": things.teapot,
    "snail": animals.snail,
}

# For each class the usual colours of main, second and third, and of dark and light where these are not the common ones.
PALETTES = {
    "house": (
        "f3ead7 e8d3a2 d9b38c b5523c dfe6ea 9fb4c7",
        "a63d2f 7a3b2e 4d4f57 8c5a3c 5b6b52",
        "6b3f26 2f5d7a 8c2f2b 3d5b3a",
    ),
    "tree": ("2f6b2f 3f8a3a 57963f 7fa83e 1f5138 c98a2b", "6b4a2f 5a3d28 7d5a3c", "d23b2e e0a02e e8d050"),
    "fish": (
        "f08a24 e5622c 3f8fc4 e3c23a 8fa7b5 2fa7a0 d9566b",
        "e0a32e d9481f 2d5f9a 6f8fa5 f2e28a",
        "fff3dd 1d2f4f f6e07a",
    ),
    "mug": ("ffffff d6392f 2f6db5 f0c330 3f9a62 e9dcc3 36405a", "d6392f 2f6db5 f0c330 ffffff 8a4f9a", "e08a2f 3f9a62"),
    "car": ("c92a2a 2458a8 e3b51e d9dde0 3f4650 2f8a5f f2f2ee", "f2f2ee c9ced2 e8c76a", "e2452c c2221f"),
    "key": ("d2a83a b8b8bc 9a8f7a c98f45 8a8f99", "b8b8bc", "b8b8bc"),
    "flower": ("e0342f f0c22a e87aa8 8a4fc2 ffffff f08030 4a6fd2", "f5c22a 7a4a22 f0e070", "3f8a3a 2f6f3a 5fa04a"),
    "clock": ("c92f2f 2f5fa8 3a3d44 d9a83a f0efe8 2f8f7f 7a4a2c", "d9b23a b8bcc2 8a8f99", "d23b2e 3a3d44"),
    "umbrella": (
        "d62f2f 2f5fb5 f0c22a 2f8f5f 8a3f9a e8703a",
        "ffffff f6e7b5 1f2f5a d62f2f f0a8b8",
        "7a4a2c 2a2a2e a3703f",
    ),
    "sailboat": ("7a4326 2a4a7a b5302a ffffff 2f6f5f", "fdfbf2 f2ead2 ffffff e8d8b0", "d6392f e8a02e 2f6db5"),
    "cat": ("d98a3f 8a8f94 3a3a40 c9a27a f0ece2 6b4a35", "8f4f1f 4a4c52 2a2a2e efe6d6", "e8a5a0 d98f8f"),
    "bird": ("3f7fc2 c2452f 7a5a3f e0b52f 5a8f4f 6f7882", "2f4f8a 4a3a2f 8f6a2f 3a3f46 2f6a4a", "e8952f 3a3a3a e0b040"),
    "butterfly": (
        "f0852a 3f7fd2 f2d23a 8a4fb8 e9e3cf d2452f",
        "f2a83a 2f5fa8 f0e3a0 c26ab0 e86f3a",
        "1f2a3f fff3c0 d2452f",
    ),
    "mushroom": ("cf2f25 a8683a d9a05a 8a5a3a e8c89a", "d9b890", "e8d6b0 d9b890 f0e6cf"),
    "apple": ("cf2a2a 8fb83a d9c23a b5202f e0584a", "8fb83a", "3f8a3a 5fa04a"),
    "chair": (
        "9a6238 6b4226 c9975a d6392f 3a5f8f ece4d4 3f7a5f",
        "6b4226 54351f 8a5a34",
        "b5302f 3a5f8f c9a86a 4f7a4a",
    ),
    "guitar": ("cf8a3a d9a85a a8452a 2f4f9a b52a2a e8c88a 2a2a2e", "4f3220 3a261a 6b4a30", "2f2018 5a3a24"),
    "airplane": ("f2f4f6 ffffff d2d8de e8c23a c23a34", "c9d0d8 a8b2bd 3a5fa8 d6392f", "d6392f 2f5fb5 f0a02a"),
    "teapot": (
        "ffffff 2f6db5 c2452f f0c84a 5fa08a d99ab0",
        "e0b23a 7a4a2c 2f4f7a ffffff",
        "d6392f 2f6db5 f0c330 3f9a62",
    ),
    "snail": ("b5773f d9a25a 8a5a3a c96f4a 9a8f5a", "d9c79a b5a87f 9a9a7a c9b28f", "6b4226 f0dcb0 7a3a22"),
}

DARK, LIGHT = "201d22 2d2a33 33261f", "f6f4ec ffffff f2ecd8"
GLASS = "bcd9e8 d6e8ef 8fb5cc"
LIGHTS = {"house": GLASS, "car": GLASS, "airplane": GLASS, "mushroom": "f3ead8 fbf6e8 e8d9bd"}
DARKS = {"apple": "4f3420 3a2a1a", "tree": "1f3f1f 24331c", "umbrella": "2a2a2e 54402f"}


@dataclass(frozen=True)
class Drawing:
    """Shapes centred on the origin, the larger side of their bounding box being 1, and the colour of each role.

    Colours are RGB in 0..1; ``width`` and ``height`` are the sides of the bounding box.
    """

    shapes: tuple[Shape, ...]
    colours: dict[str, np.ndarray]
    width: float
    height: float


def draw_object(label: str, rng: Generator) -> Drawing:
    """Draw one object of a class.

    Raises ValueError if no such class is known.
    """
    if label not in SHAPES:
        raise ValueError(f"unknown class {label!r}; known are: {', '.join(SHAPES)}")
    shapes = SHAPES[label](rng)
    points = np.concatenate([shape.points for shape in shapes])
    low, high = points.min(axis=0), points.max(axis=0)
    extent, middle = high - low, (low + high) / 2
    scale = 1 / extent.max()
    centred = tuple(Shape(s.role, (s.points - middle) * scale, s.width * scale) for s in shapes)
    return Drawing(centred, colours_of(label, rng), float(extent[0] * scale), float(extent[1] * scale))


def colours_of(label: str, rng: Generator) -> dict[str, np.ndarray]:
    """Draw a colour for each role from the palette of a class."""
    main, second, third = PALETTES[label]
    choices = (main, second, third, DARKS.get(label, DARK), LIGHTS.get(label, LIGHT))
    picks, shifts = rng.random(len(choices)), rng.normal(0, 0.035, (len(choices), 3))
    colours = {}
    for role, text, pick, shift in zip(
        ("main", "second", "third", "dark", "light"), choices, picks, shifts, strict=True
    ):
        palette = _parsed(text)
        colours[role] = np.clip(palette[int(pick * len(palette))] + shift, 0, 1)
    if rng.random() < ANY_COLOUR:
        colours["main"] = rng.uniform(0.05, 0.98, 3)
    return _told_apart(colours)


def _told_apart(colours: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    # A second or third colour equal to the main one would hide the parts that a person goes by.
    for role in ("second", "third"):
        if np.abs(colours[role] - colours["main"]).sum() < 0.3:
            bright = colours["main"].mean() > 0.55
            colours[role] = np.clip(colours["main"] * (0.6 if bright else 1.1) + (0.0 if bright else 0.25), 0, 1)
    return colours


@lru_cache(maxsize=128)
def _parsed(text: str) -> np.ndarray:
    return np.array([[int(word[i : i + 2], 16) for i in (0, 2, 4)] for word in text.split()]) / 255
