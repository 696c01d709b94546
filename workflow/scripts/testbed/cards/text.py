"""Text of strangers on a page: escaped, cut, and harmless in every script; and numbers as people read them."""

import unicodedata
from html import escape

from testbed.cards.languages import LANGUAGES

CUT = 160
"""Characters of a caption that a card shows."""

JOINER, VARIATIONS, TONES = "\u200d", ("\ufe0e", "\ufe0f"), ("\U0001f3fb", "\U0001f3ff")
FLAG_LETTERS = ("\U0001f1e6", "\U0001f1ff")


def printable(text: str) -> str:
    """Return `text` in one line, with a replacement character for control characters and unpaired surrogates."""
    text = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(one) in ("Cc", "Cs") else one for one in text)


def cut(text: str, length: int = CUT) -> str:
    """Return the beginning of `text`, of at most `length` characters, which ends between characters as people see them.

    It ends behind a word if that shortens it by less than a third.
    """
    if len(text) <= length:
        return text
    end = length
    while end > 1 and _continues(text, end):
        end -= 1
    space = text.rfind(" ", 0, end + 1)
    return text[: space if space > 2 * length // 3 else end].rstrip()


def _continues(text: str, place: int) -> bool:
    """Return whether the character at `place` belongs to the one before it: an accent, a skin tone, a part of an emoji."""
    one, before = text[place], text[place - 1]
    joined = one == JOINER or before == JOINER or one in VARIATIONS or TONES[0] <= one <= TONES[1]
    is_flag = all(FLAG_LETTERS[0] <= letter <= FLAG_LETTERS[1] for letter in (one, before))
    return joined or is_flag or unicodedata.category(one) in ("Mn", "Mc", "Me")


def caption_html(caption: str, length: int = CUT) -> str:
    """Return a caption as HTML: its beginning, and how long it is where it is cut. Its own direction stays inside it."""
    whole = printable(caption)
    shown = cut(whole, length)
    text = f'<bdi dir="auto">{escape(shown)}</bdi>'
    if shown == whole:
        return text
    return f'{text}<span class="cut"> \u2026 {len(caption):,} characters</span>'


def percent(share: float) -> str:
    """Return a share in per cent: with one digit below 10 %, and "< 0.1 %" rather than none."""
    value = 100 * share
    if value and value < 0.1:
        return "< 0.1 %"
    return f"{value:.1f} %" if 0 < value < 9.95 or 99 < value < 100 else f"{value:.0f} %"


def language_name(code: str) -> str:
    return LANGUAGES.get(code, code)


def number(value: float | None) -> str:
    """Return a number with separators and few digits; a dash for one that is not known."""
    if value is None:
        return "\u2013"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def in_bytes(value: float | None) -> str:
    """Return a number of bytes in the largest unit."""
    if value is None:
        return "\u2013"
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} B"
