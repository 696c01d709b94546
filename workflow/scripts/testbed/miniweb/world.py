"""The classes and visual domains of the mini-web, and the profile of each source and test set."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Class:
    """One object class: its name in zero-shot prompts, and other words for it in captions."""

    name: str
    casual: str
    formal: str
    setting: str


CLASSES = (
    Class("house", "home", "dwelling", "land"),
    Class("tree", "leafy giant", "arboreal plant", "land"),
    Class("fish", "fishy", "aquatic vertebrate", "sea"),
    Class("mug", "cuppa", "drinking vessel", "table"),
    Class("car", "ride", "automobile", "land"),
    Class("key", "opener", "latchkey", "wall"),
    Class("flower", "bloom", "angiosperm blossom", "land"),
    Class("clock", "ticker", "timepiece", "wall"),
    Class("umbrella", "brolly", "parasol", "room"),
    Class("sailboat", "boat", "sailing vessel", "water"),
    Class("cat", "kitty", "felis catus", "room"),
    Class("bird", "birb", "avian", "sky"),
    Class("butterfly", "flutterby", "lepidopteran", "land"),
    Class("mushroom", "shroom", "fungus fruiting body", "land"),
    Class("apple", "crunchy snack", "malus fruit", "table"),
    Class("chair", "seat", "side chair", "room"),
    Class("guitar", "axe", "plucked chordophone", "room"),
    Class("airplane", "plane", "fixed-wing aircraft", "sky"),
    Class("teapot", "tea thing", "tea vessel", "table"),
    Class("snail", "slowpoke", "gastropod", "land"),
)

SETTINGS = ("land", "sea", "water", "sky", "table", "room", "wall")
"""Settings of objects, drawn behind them in photographs."""

DOMAINS = (
    "photo",
    "photo_v2",
    "snapshot",
    "odd",
    "studio",
    "clipart",
    "painting",
    "sketch",
    "engraving",
    "chalk",
    "pixelart",
    "junk",
)
"""Visual domains. ``junk`` shows no object. ``photo_v2``, ``odd``, ``chalk`` and ``pixelart`` are in test sets only, and in
near-duplicates of their images."""


@dataclass(frozen=True)
class Profile:
    """The distribution of a source's images and captions.

    ``domains`` are the shares of visual domains, which add up to one. ``mismatch`` is the share of captions for another
    image, ``vague`` the share without an object, ``terms`` the shares of plain, casual and formal words for the object.
    """

    domains: dict[str, float]
    mismatch: float = 0.0
    vague: float = 0.0
    terms: tuple[float, float, float] = (1.0, 0.0, 0.0)


SOURCES = {
    "yfcc": Profile(
        {
            "photo": 0.80,
            "snapshot": 0.10,
            "studio": 0.01,
            "clipart": 0.01,
            "painting": 0.02,
            "sketch": 0.01,
            "junk": 0.05,
        },
        mismatch=0.10,
        vague=0.25,
        terms=(0.92, 0.06, 0.02),
    ),
    "laion": Profile(
        {
            "photo": 0.40,
            "snapshot": 0.05,
            "studio": 0.16,
            "clipart": 0.19,
            "painting": 0.08,
            "sketch": 0.07,
            "junk": 0.05,
        },
        mismatch=0.15,
        vague=0.10,
        terms=(0.90, 0.05, 0.05),
    ),
    "cc12m": Profile(
        {
            "photo": 0.58,
            "snapshot": 0.07,
            "studio": 0.12,
            "clipart": 0.10,
            "painting": 0.06,
            "sketch": 0.05,
            "junk": 0.02,
        },
        mismatch=0.06,
        vague=0.06,
        terms=(0.96, 0.02, 0.02),
    ),
    "redcaps": Profile(
        {
            "photo": 0.20,
            "snapshot": 0.72,
            "studio": 0.01,
            "clipart": 0.02,
            "painting": 0.02,
            "sketch": 0.01,
            "junk": 0.02,
        },
        mismatch=0.04,
        vague=0.08,
        terms=(0.90, 0.10, 0.0),
    ),
    "wit": Profile(
        {
            "photo": 0.52,
            "snapshot": 0.05,
            "studio": 0.03,
            "clipart": 0.03,
            "painting": 0.17,
            "sketch": 0.02,
            "engraving": 0.14,
            "junk": 0.04,
        },
        mismatch=0.10,
        vague=0.14,
        terms=(0.80, 0.0, 0.20),
    ),
    "shutterstock": Profile(
        {
            "photo": 0.14,
            "snapshot": 0.01,
            "studio": 0.48,
            "clipart": 0.25,
            "painting": 0.03,
            "sketch": 0.08,
            "junk": 0.01,
        },
        mismatch=0.03,
        vague=0.04,
        terms=(0.95, 0.02, 0.03),
    ),
    "imagenet": Profile({"photo": 1.0}),
}
"""The seven sources of the mini-web, by the name of the real source that each imitates."""

TESTSETS = {
    "imagenet": {"photo": 1.0},
    "v2": {"photo_v2": 1.0},
    "sketch": {"sketch": 1.0},
    "rendition": {"clipart": 0.35, "painting": 0.35, "chalk": 0.15, "pixelart": 0.15},
    "objectnet": {"odd": 1.0},
}
"""Visual domains of the test sets, by the name of the real test set that each imitates."""

NEAR_TESTSETS, NEAR_PAGES = "laion", "redcaps"
"""The source with near-duplicates of test images, and the one with near-duplicates of its own earlier pages."""

PLANTED = 0.02
"""Share of the pages of these sources that show a near-duplicate."""
