"""The page of the interactive scatter plot: one self-contained HTML file with its style, scripts and data."""

import json
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
STYLES = ["page.css", "chart.css"]
SCRIPTS = [
    "state.js",
    "svg.js",
    "marks.js",
    "chart.js",
    "card.js",
    "controls.js",
    "table.js",
    "similarity.js",
    "main.js",
]


def explorer_page(data: Mapping) -> str:
    """The HTML page. `data` is the result of `explorer_data`; NaN in it raises `ValueError`."""
    parts = {
        "style": "\n".join(_read(name) for name in STYLES),
        "script": "\n".join(_read(name) for name in SCRIPTS),
        "data": json_block(data),
    }
    pieces = _read("page.html").split("[[")
    # split before anything is inserted, so that a placeholder's name inside the data is not replaced
    filled = [parts[name] + rest for name, rest in (piece.split("]]", 1) for piece in pieces[1:])]
    return pieces[0] + "".join(filled)


def json_block(data: Mapping) -> str:
    """`data` as ASCII JSON, escaped so that it cannot end its script element or begin a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
