"""The page of the interactive scatter: one HTML file with style, script and data in it, which asks for nothing else."""

import json
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
STYLES = ["page.css", "chart.css"]
SCRIPTS = ["state.js", "svg.js", "marks.js", "chart.js", "card.js", "controls.js", "table.js", "main.js"]


def explorer_page(data: Mapping) -> str:
    """The page as text. `data` is that of `testbed.explorer.data.explorer_data`; NaN in it raises `ValueError`."""
    parts = {
        "style": "\n".join(_read(name) for name in STYLES),
        "script": "\n".join(_read(name) for name in SCRIPTS),
        "data": json_block(data),
    }
    pieces = _read("page.html").split("[[")
    # taken apart before anything is put in, so that a name that looks like a place for the next part stays a name
    filled = [parts[place] + rest for place, rest in (piece.split("]]", 1) for piece in pieces[1:])]
    return pieces[0] + "".join(filled)


def json_block(data: Mapping) -> str:
    """`data` as JSON in ASCII that cannot end the script element around it, nor open a comment in it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
