"""What all pages of cards share: the template, the style, facts and contact sheets."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from testbed.cards.images import blurred, reduced
from testbed.cards.text import caption_html, number, percent

HERE = Path(__file__).parent
STYLES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
"""Classes of the style sheet for the groups of a pool: what a filter keeps and drops, or the members of a mixture."""


def fill_page(**parts: str) -> str:
    """Return the page with its `title` (plain text), `header`, `main` and `footer` (HTML)."""
    parts |= {"style": (HERE / "page.css").read_text(encoding="utf-8"), "title": escape(parts["title"])}
    pieces = (HERE / "page.html").read_text(encoding="utf-8").split("[[")
    # Split before anything is inserted, so that brackets in a caption are not replaced.
    filled = [parts[name] + rest for name, rest in (piece.split("]]", 1) for piece in pieces[1:])]
    return pieces[0] + "".join(filled)


def styles_of(groups: Sequence[Mapping]) -> list[str]:
    """Return the class of each group; more groups than classes share them."""
    return [STYLES[number % len(STYLES)] for number in range(len(groups))]


def label_of(group: Mapping, begins: bool = False) -> str:
    """Return what a group is called, as HTML; with a capital letter where a line `begins` with it."""
    if "label" in group:
        # The name of a pool is written as its author writes it.
        return escape(group["label"])
    return group["name"].capitalize() if begins else group["name"]


def facts(entries: Iterable[tuple[str, Sequence[str]]], groups: Sequence[Mapping] = ()) -> str:
    """Return a list of facts: what, and one value (HTML), or one for each of several `groups`."""
    rows = []
    for what, values in entries:
        named = zip(groups, styles_of(groups), strict=True)
        of = [""] if len(values) == 1 else [f'<i class="of {style}">{label_of(group)}</i>' for group, style in named]
        shown = "".join(f"<span>{label}{value}</span>" for label, value in zip(of, values, strict=True))
        rows.append(f"<div><dt>{escape(what)}</dt><dd>{shown}</dd></div>")
    return f'<dl class="facts">{"".join(rows)}</dl>'


def key(groups: Sequence[dict]) -> str:
    """Return the key to the colours of several groups; empty for one."""
    if len(groups) == 1:
        return ""
    entries = "".join(
        f'<span class="{style}">{label_of(group)}: {group["samples"]:,} samples</span>'
        for group, style in zip(groups, styles_of(groups), strict=True)
    )
    return f'<p class="{"key" if len(groups) == 2 else "key lines"}">{entries}</p>'


def is_blurred(sample: dict, blur: str) -> bool:
    return blur == "all" or (blur == "flagged" and bool(sample["flagged"]))


def picture(sample: dict, blur: str, side: int | None = None) -> str:
    """Return the thumbnail of a sample as HTML, of `side` pixels at most; blurred if the key `cards.blur` says so."""
    content = blurred(sample["thumbnail"]) if is_blurred(sample, blur) else sample["thumbnail"]
    content = content if side is None else reduced(content, side)
    # The caption is the text beside it, so the image has no text of its own.
    return f'<span class="frame"><img alt="" src="data:image/jpeg;base64,{b64encode(content).decode()}"></span>'


def contact_sheet(samples: Sequence[dict], blur: str) -> str:
    """Return samples with thumbnails and captions as an HTML list."""
    items = []
    for sample in samples:
        sides = [sample[f"original_{side}"] for side in ("width", "height")]
        size = "" if None in sides else f"<small>{sides[0]:,} \u00d7 {sides[1]:,}</small>"
        mark = '<span class="mark">blurred</span> ' if is_blurred(sample, blur) else ""
        items.append(
            f"<li><figure>{picture(sample, blur)}<figcaption>{mark}{caption_html(sample['caption'])}{size}"
            "</figcaption></figure></li>"
        )
    return f'<ul class="sheet">{"".join(items)}</ul>'


def count_of(count: int, whole: int) -> str:
    """Return a share in per cent with its count."""
    return f"{percent(count / max(1, whole))} <small>{number(count)}</small>"
