"""The rows of a mini-source's list, traps included.

A list has its usable rows, and among them rows that a reader must drop and count by cause (`TRAPS`) and usable rows
that careless readers lose or garble (`QUIRKS`).
"""

import dataclasses
from dataclasses import dataclass

from numpy.random import Generator

from testbed.miniweb.captions import TERMS, caption
from testbed.miniweb.pages import Page, draw_from
from testbed.miniweb.world import CLASSES, SOURCES

_COMMON = {"empty_caption": 0.010, "bad_url": 0.005, "scheme": 0.003, "credentials": 0.001, "private_address": 0.001}
_COMMON |= {"duplicate": 0.015}
_TEXT = _COMMON | {"malformed": 0.005, "long_caption": 0.001}

TRAPS = {
    "yfcc": _TEXT,
    "laion": _COMMON | {"nsfw": 0.060, "long_caption": 0.002},
    "cc12m": _TEXT,
    "redcaps": _TEXT,
    "wit": _TEXT | {"language": 0.400, "empty_caption": 0.200},
    "shutterstock": _TEXT,
    "imagenet": _COMMON | {"malformed": 0.002},
}
"""Rows to be dropped, by cause, as shares of the usable rows; at least one of each."""

QUIRKS = {
    "yfcc": {"quote": 0.010, "NA": 0.002, "null": 0.002},
    "laion": {"spaces": 0.005, "NA": 0.002, "null": 0.002},
    "cc12m": {"quote": 0.010, "NA": 0.002, "null": 0.002},
    "redcaps": {"quote": 0.005},
    "wit": {"quote": 0.005, "quoted": 0.010, "repeat": 0.080},
    "shutterstock": {"quote": 0.010, "NA": 0.002, "null": 0.002, "tab": 0.030, "spaces": 0.020},
    "imagenet": {"comma": 0.005, "newline": 0.002},
}
"""Usable rows that are written awkwardly, as shares of the usable rows; at least one of each."""

_LIMIT_OF_READERS = 2000


@dataclass(frozen=True)
class Row:
    """One row of a list: its caption as written, as a reader should understand it, and the cause to drop it, if any."""

    url: str
    written: str
    meant: str
    cause: str = ""


def draw_rows(kind: str, pages: list[Page], pairs: int, rng: Generator) -> list[Row]:
    """The rows of one list in their order: `pairs` usable ones, on the given pages, and the traps between them.

    There may be fewer pages than pairs: the rows beyond them show an earlier page again, with another caption.
    """
    usable: list[Row] = []
    seen = set()
    while len(usable) < pairs:
        page = pages[len(usable)] if len(usable) < len(pages) else pages[rng.integers(len(pages))]
        text = _caption_for(kind, page, rng)
        if (page.url, text) not in seen:
            seen.add((page.url, text))
            usable.append(Row(page.url, text, text))
    rng.shuffle(usable)
    _write_awkwardly(kind, usable, rng)
    return _set_traps(kind, usable, rng)


def count_of(share: float, pairs: int) -> int:
    """How many of `pairs` rows a share stands for: at least one."""
    return max(1, round(share * pairs))


def _caption_for(kind: str, page: Page, rng: Generator) -> str:
    """A caption as often wrong and vague as the source's are; an image of no object has no right one."""
    character = SOURCES[kind]
    aim = draw_from({"mismatch": character.mismatch, "vague": character.vague}, rng, otherwise="right")
    label = page.label or None
    if aim == "vague":
        label = None
    elif aim == "mismatch":
        others = [other.name for other in CLASSES if other.name != page.label]
        label = others[rng.integers(len(others))]
    term = draw_from(dict(zip(TERMS, character.terms, strict=True)), rng)
    return caption(kind, label, term, rng)


def _write_awkwardly(kind: str, rows: list[Row], rng: Generator) -> None:
    order = iter(rng.permutation(len(rows)))
    for quirk, share in QUIRKS[kind].items():
        for _ in range(0 if quirk == "repeat" else count_of(share, len(rows))):
            place = next(order)
            written, meant = _quirk(quirk, rows[place].meant)
            rows[place] = dataclasses.replace(rows[place], written=written, meant=meant)


def _quirk(quirk: str, text: str) -> tuple[str, str]:
    """The caption as it is written and as it is meant."""
    match quirk:
        case "quote":
            return f'"{text}', f'"{text}'
        case "quoted":
            return f'"{text}, or ""so"""', f'{text}, or "so"'
        case "tab":
            return f"{text}\\t", text
        case "spaces":
            return f"  {text.replace(' ', '  ')} \u00a0 ", text
        case "comma":
            return f'{text}, "real"', f'{text}, "real"'
        case "newline":
            return f"{text}\nand more", f"{text} and more"
    return quirk, quirk


def _set_traps(kind: str, usable: list[Row], rng: Generator) -> list[Row]:
    """Put each trap behind a usable row: a spoilt copy of it, or one that is spoilt when its format is written."""
    behind: dict[int, list[Row]] = {}
    for cause, share in TRAPS[kind].items():
        for number in range(count_of(share, len(usable))):
            origin = int(rng.integers(len(usable)))
            place = int(rng.integers(origin, len(usable))) if cause == "duplicate" else origin
            behind.setdefault(place, []).append(_trap(cause, usable[origin], number))
    return [row for place, first in enumerate(usable) for row in (first, *behind.get(place, ()))]


def _trap(cause: str, row: Row, number: int) -> Row:
    rest = row.url.removeprefix("http://")
    match cause:
        case "empty_caption":
            return dataclasses.replace(row, written=("", "  ")[number % 2], cause=cause)
        case "long_caption":
            return dataclasses.replace(row, written="word " * _LIMIT_OF_READERS + "end", cause=cause)
        case "bad_url":
            wrong = (rest, f"//{rest}", f"http:///{rest.partition('/')[2]}", f"http://{rest} large.jpg")[number % 4]
            return dataclasses.replace(row, url=wrong, cause=cause)
        case "scheme":
            return dataclasses.replace(row, url=f"{('ftp', 'file')[number % 2]}://{rest}", cause=cause)
        case "credentials":
            return dataclasses.replace(row, url=f"http://user:secret@{rest}", cause=cause)
        case "private_address":
            host = ("127.0.0.1", "169.254.169.254", "localhost:8080")[number % 3]
            return dataclasses.replace(row, url=f"http://{host}/{rest.partition('/')[2]}", cause=cause)
    return dataclasses.replace(row, cause=cause)
