"""The rows of a mini-source's list.

A list has usable rows, and between them invalid rows, which a reader must drop and count by cause (`INVALID_ROWS`). Some
usable rows have unusual syntax, which simple readers lose or misread (`UNUSUAL_ROWS`).
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

INVALID_ROWS = {
    "yfcc": _TEXT,
    "laion": _COMMON | {"nsfw": 0.060, "long_caption": 0.002},
    "cc12m": _TEXT,
    "redcaps": _TEXT,
    "wit": _TEXT | {"language": 0.400, "empty_caption": 0.200},
    "shutterstock": _TEXT,
    "imagenet": _COMMON | {"malformed": 0.002},
}
"""Invalid rows by cause, as shares of the usable rows; at least one of each."""

UNUSUAL_ROWS = {
    "yfcc": {"quote": 0.010, "NA": 0.002, "null": 0.002},
    "laion": {"spaces": 0.005, "NA": 0.002, "null": 0.002},
    "cc12m": {"quote": 0.010, "NA": 0.002, "null": 0.002},
    "redcaps": {"quote": 0.005},
    "wit": {"quote": 0.005, "quoted": 0.010, "repeat": 0.080},
    "shutterstock": {"quote": 0.010, "NA": 0.002, "null": 0.002, "tab": 0.030, "spaces": 0.020},
    "imagenet": {"comma": 0.005, "newline": 0.002},
}
"""Usable rows with unusual syntax, as shares of the usable rows; at least one of each."""

_LONGEST_CAPTION = 2000


@dataclass(frozen=True)
class Row:
    """One row of a list: its caption as written and as a reader should return it, and the cause to drop it, if any."""

    url: str
    written: str
    expected: str
    cause: str = ""


def draw_rows(kind: str, pages: list[Page], pairs: int, rng: Generator) -> list[Row]:
    """Return the rows of one list in order: `pairs` usable rows for the given pages, with invalid rows between them.

    If there are fewer pages than pairs, the other rows repeat a page with another caption.
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
    _make_unusual(kind, usable, rng)
    return _insert_invalid(kind, usable, rng)


def count_of(share: float, pairs: int) -> int:
    """Return the number of rows for a share of `pairs`: at least one."""
    return max(1, round(share * pairs))


def _caption_for(kind: str, page: Page, rng: Generator) -> str:
    """Return a caption, which is wrong or vague as often as the source's captions are."""
    profile = SOURCES[kind]
    quality = draw_from({"mismatch": profile.mismatch, "vague": profile.vague}, rng, otherwise="right")
    label = page.label or None
    if quality == "vague":
        label = None
    elif quality == "mismatch":
        others = [other.name for other in CLASSES if other.name != page.label]
        label = others[rng.integers(len(others))]
    term = draw_from(dict(zip(TERMS, profile.terms, strict=True)), rng)
    return caption(kind, label, term, rng)


def _make_unusual(kind: str, rows: list[Row], rng: Generator) -> None:
    """Replace some of `rows` by rows with unusual syntax."""
    order = iter(rng.permutation(len(rows)))
    for syntax, share in UNUSUAL_ROWS[kind].items():
        for _ in range(0 if syntax == "repeat" else count_of(share, len(rows))):
            place = next(order)
            written, expected = _unusual_caption(syntax, rows[place].expected)
            rows[place] = dataclasses.replace(rows[place], written=written, expected=expected)


def _unusual_caption(syntax: str, text: str) -> tuple[str, str]:
    """Return the caption as it is written, and as a reader should return it."""
    match syntax:
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
    return syntax, syntax


def _insert_invalid(kind: str, usable: list[Row], rng: Generator) -> list[Row]:
    """Return the rows with invalid rows inserted, each a copy of a usable row; `lists` writes malformed ones."""
    inserted: dict[int, list[Row]] = {}
    for cause, share in INVALID_ROWS[kind].items():
        for number in range(count_of(share, len(usable))):
            origin = int(rng.integers(len(usable)))
            place = int(rng.integers(origin, len(usable))) if cause == "duplicate" else origin
            inserted.setdefault(place, []).append(_invalid_row(cause, usable[origin], number))
    return [row for place, first in enumerate(usable) for row in (first, *inserted.get(place, ()))]


def _invalid_row(cause: str, row: Row, number: int) -> Row:
    rest = row.url.removeprefix("http://")
    match cause:
        case "empty_caption":
            return dataclasses.replace(row, written=("", "  ")[number % 2], cause=cause)
        case "long_caption":
            return dataclasses.replace(row, written="word " * _LONGEST_CAPTION + "end", cause=cause)
        case "bad_url":
            wrong = (rest, f"//{rest}", f"http:///{rest.partition('/')[2]}", f"http://www .{rest}")[number % 4]
            return dataclasses.replace(row, url=wrong, cause=cause)
        case "scheme":
            return dataclasses.replace(row, url=f"{('ftp', 'file')[number % 2]}://{rest}", cause=cause)
        case "credentials":
            return dataclasses.replace(row, url=f"http://user:secret@{rest}", cause=cause)
        case "private_address":
            host = ("127.0.0.1", "169.254.169.254", "localhost:8080")[number % 3]
            return dataclasses.replace(row, url=f"http://{host}/{rest.partition('/')[2]}", cause=cause)
    return dataclasses.replace(row, cause=cause)
