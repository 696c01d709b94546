"""Captions in the style of each source.

Every source has templates that name the object and templates that do not. A caption has at most 14 tokens before byte-pair
merges (words, single digits, runs of punctuation), so it fits a text context of 16.
"""

from dataclasses import dataclass

from numpy.random import Generator

from testbed.miniweb.world import CLASSES

TERMS = ("plain", "casual", "formal")
"""Kinds of words for the object of a caption, in the order of ``Profile.terms``."""

_WORDS = {label.name: {"plain": label.name, "casual": label.casual, "formal": label.formal} for label in CLASSES}

FILLERS = {
    "place": ("Paris", "London", "São Paulo", "Zürich", "Kyoto", "Chicago", "the park", "Málaga", "our garden"),
    "city": ("Paris", "London", "Zürich", "Kyoto", "Vienna", "Málaga", "Göteborg", "Rome"),
    "spot": ("garden", "street", "kitchen", "window", "field", "harbour", "market", "corner"),
    "month": ("January", "April", "June", "August", "October", "December"),
    "season": ("spring", "summer", "autumn", "winter"),
    "weather": ("sunny", "rainy", "cloudy", "cold", "warm"),
    "color": ("red", "blue", "green", "yellow", "white", "black"),
    "adj": ("beautiful", "small", "old", "modern", "colorful", "vintage", "simple", "pretty"),
    "mood": ("love", "finally got", "just found", "cannot stop looking at", "so proud of"),
    "family": ("grandma", "dad", "my sister", "a friend", "my neighbor"),
    "shop": ("ShopNow", "HomeDeco", "Etsy", "PrintHub", "Gifts & More"),
    "product": ("poster", "sticker", "t-shirt", "wall art", "print", "decal"),
    "museum": ("National Museum", "City Archive", "Musée d'Orsay", "British Library"),
    "style": ("vector", "illustration", "icon", "stock photo", "banner", "cartoon"),
    "theme": ("nature", "design", "lifestyle", "summer", "object", "concept", "decoration"),
}


@dataclass(frozen=True)
class Templates:
    """Caption templates of a source: `naming` an object (``{x}``, ``{a_x}``, ``{X}``), and `vague` ones without object."""

    naming: tuple[str, ...]
    vague: tuple[str, ...]


CAPTION_TEMPLATES = {
    "yfcc": Templates(
        (
            "{X} in {place}",
            "the {x} by the {spot}",
            "My {x}, {month} walk",
            "{X} on a {weather} day in {place}",
            "Another {x} from {place}",
            "{X} {serial2}",
            "DSC_{serial4} {x}",
            "Old {x}, {city}",
            "{color} {x} near the {spot}",
            "{place} trip - {x}",
        ),
        (
            "IMG_{serial4}",
            "DSC_{serial4}",
            "P{serial4}{serial2}.JPG",
            "{place}, {month} {recent}",
            "Weekend in {place}",
            "Untitled",
            "A {weather} day by the {spot}",
            "{season} walk with {family}",
            "Día {serial2}",
        ),
    ),
    "laion": Templates(
        (
            "{adj} {x} {product} - {shop}",
            "Buy {color} {x} {product} online",
            "{X} {product} | Free Shipping",
            "{X} for sale, {adj} {color}",
            "{X} clipart free download",
            "{adj} {x} drawing | {shop}",
            "{X} – {adj} {product} for your home",
            "{X} image {serial2}",
            "{color} {x} on white, {product}",
            "Picture of {a_x} ★ {shop}",
        ),
        (
            "Free Shipping on all orders | {shop}",
            "New arrivals {recent} - {shop}",
            "product image {serial4}",
            "{adj} {product} – {shop}",
            "★★★★★ {adj} gift idea",
            "thumbnail of image {serial2}",
            "{color} {product} on sale now",
        ),
    ),
    "cc12m": Templates(
        (
            "{a_x} in the {spot} on a {weather} day",
            "a {adj} {x} in {city}",
            "close up of {a_x} near the {spot}",
            "a photo of {a_x} in {season}",
            "<PERSON> with {a_x} in the {spot}",
            "the {color} {x} is the best of the {season}",
            "how to draw {a_x} step by step",
            "{adj} {color} {x} by the {spot}",
            "picture of {a_x} with {adj} details",
        ),
        (
            "a {adj} view of {city} in {season}",
            "<PERSON> in the {spot} on a {weather} day",
            "{adj} ideas for the {season}",
            "what to see in {city} this {month}",
        ),
    ),
    "redcaps": Templates(
        (
            "my {x} just arrived and i love it!",
            "found this {x} on my walk today",
            "itap of {a_x} in the {spot}",
            "{mood} this {color} {x}",
            "{family} gave me this {x}, thoughts?",
            "anyone else here with {a_x} like this?",
            "this {x} on a {weather} morning",
            "{a_x} i saw in {season}, no filter",
        ),
        (
            "look what i found today!",
            "what do you think of this one?",
            "{mood} this, it made my day",
            "{weather} morning in the {spot}",
            "{family} sent me this from the {spot}",
            "not mine, but i had to share",
        ),
    ),
    "wit": Templates(
        (
            "{X} in {city}, {year}",
            "{A_x} from the {museum}",
            "{X}, {city}, about {year}",
            "Drawing of {a_x}, {city}, {year}",
            "View of {a_x} near {city}",
            "{A_x} in the {spot} of the {museum}",
            "{X} ({year}), {museum}",
            "Typical {x} of the {city} region",
        ),
        (
            "{museum}, {city}, {year}",
            "View of {city} in {year}",
            "Map of the {city} region",
            "Page from a book of {year}",
            "The {spot} in {month} {year}",
        ),
    ),
    "shutterstock": Templates(
        (
            "{x}, {adj}, {style}, isolated, white background",
            "{color} {x}, {style}, {theme}, isolated",
            "{x} {style}, {theme}, {color}, {adj}",
            "{adj} {x} isolated on white background, {style}",
            "{x}, {theme}, {season}, {style}",
            "set of {x}, {style}, {theme}, white",
            "{x} on {color} background, {theme}",
        ),
        (
            "{style}, {theme}, {adj}, white background",
            "{color} background, {theme}, {season}, {style}",
            "{adj} {theme} {style}, isolated",
        ),
    ),
    "imagenet": Templates(
        (
            "a photo of {a_x}",
            "{x}",
            "{a_x}",
            "a photo of the {x}",
            "an image of {a_x}",
            "this is {a_x}",
        ),
        ("a photo", "an image of something"),
    ),
}
"""The caption templates of each source, by its kind."""


def caption(kind: str, label: str | None, term: str, rng: Generator) -> str:
    """Return a caption in the style of the source `kind`.

    `label` is the name of a class, or None for a caption that names no object. `term` is one of `TERMS`. Raises KeyError for
    an unknown kind, label or term.
    """
    templates = CAPTION_TEMPLATES[kind].vague if label is None else CAPTION_TEMPLATES[kind].naming
    slots = {name: _pick(choices, rng) for name, choices in FILLERS.items()}
    slots["year"] = str(rng.integers(1850, 2021))
    slots["recent"] = str(rng.integers(2004, 2015))
    slots["serial2"] = f"{rng.integers(100):02d}"
    slots["serial4"] = f"{rng.integers(10_000):04d}"
    if label is not None:
        slots |= _named(_WORDS[label][term])
    text = _pick(templates, rng).format_map(slots)
    return text.lower() if kind == "redcaps" else text


def _named(word: str) -> dict[str, str]:
    with_article = f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
    return {"x": word, "X": _capital(word), "a_x": with_article, "A_x": _capital(with_article)}


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _pick(choices: tuple[str, ...], rng: Generator) -> str:
    return choices[rng.integers(len(choices))]
