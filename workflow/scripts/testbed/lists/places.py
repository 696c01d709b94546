"""Places of values in rows: the name of a column, or a path into a nested one such as ``meta.captions[0]``.

If a column holds several captions, one of them is chosen.
"""

import re
from collections.abc import Collection, Iterable

from testbed.lists.pairs import clean_caption, clean_url, is_text, uid

Steps = tuple[str | int, ...]

_PLACE = re.compile(r"([^.\[\]]+)((?:\.[^.\[\]]+|\[[0-9]{1,9}\])*)")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]")


def place_of(text: str, columns: Collection[str]) -> tuple[str, Steps]:
    """Return the column that a place is in, and the steps into it: keys and indexes.

    The name of one of the `columns` stands for itself, whatever marks it has.
    """
    parts = None if text in columns else _PLACE.fullmatch(text)
    if not parts:
        return text, ()
    return parts[1], tuple(key or int(index) for key, index in _STEP.findall(parts[2]))


def value_at(value: object, steps: Steps) -> object:
    """Return what is at the end of `steps` into a value of JSON, or None."""
    for step in steps:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def choose_caption(url: str | None, captions: Iterable[object], choice: str) -> str | None:
    """Return one of several captions, or None if none of them has visible characters.

    `choice` is "first", or "random" for a draw by the uid of the pair with the first one: the same on every machine.
    """
    usable = [text for text in captions if isinstance(text, str) and is_text(text) and clean_caption(text)]
    if not usable:
        return None
    # A URL that is no text makes the row malformed, whichever caption it has.
    if choice == "first" or not is_text(url or ""):
        return usable[0]
    return usable[int(uid(clean_url(url or ""), clean_caption(usable[0])), 16) % len(usable)]
