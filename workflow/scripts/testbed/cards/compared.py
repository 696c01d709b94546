"""All pools side by side: the page that leads to their cards, and their tables."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from testbed.cards.charts import Counted, histogram, summary
from testbed.cards.measures import MEASURES
from testbed.cards.overlap import overlap_table
from testbed.cards.template import fill_page, picture
from testbed.cards.text import in_bytes, number, percent

STRIP, SIDE = 12, 80
"""Thumbnails of each pool, and the pixels of their longer side."""

COLUMNS = [
    "pool",
    "group",
    "kind",
    "samples",
    "repeated_captions",
    "repeated_images",
    "words_median",
    "characters_median",
]
COLUMNS += [
    "english",
    "naming_a_class",
    "classes_named",
    "side_median",
    "aspect_ratio_median",
    "bytes_median",
    "grey_images",
]
COLUMNS += ["list_rows", "list_kept", "urls", "images"]
"""Columns of the table of pools. Shares are fractions."""

CLASS_COLUMNS = ["pool", "group", "label", "class", "named", "predicted"]


class Described(NamedTuple):
    """A pool (name, title, kind, and what a filter selects `from`), its description, and its contact sheet.

    `overlap` is what was counted of the near-duplicates in a source.
    """

    pool: Mapping
    description: Mapping
    sheet: Sequence[dict]
    overlap: Mapping | None = None


def pool_rows(described: Sequence[Described]) -> list[dict]:
    """Return the rows of the table of pools (`COLUMNS`), one for each group; None for what is not known."""
    rows = []
    for one in described:
        listed, downloads = one.description.get("list", {}), one.description.get("downloads", {})
        for group in one.description["groups"]:
            medians = {f"{name}_median": found.get("median") for name, found in group["measures"].items()}
            row = {
                "pool": one.pool["name"],
                "group": group["name"],
                "kind": one.pool["kind"],
                "samples": group["samples"],
                "repeated_captions": group["repeated_captions"],
                "repeated_images": group["repeated_images"],
                "english": _share(group["languages"].get("en", 0), group["drawn_captions"]),
                "naming_a_class": _share(group["naming"], group["samples"]),
                "classes_named": sum(count > 0 for count in group["named"]),
                "grey_images": _share(group["grey_images"], group["decoded_images"]),
                "list_rows": listed.get("rows"),
                "list_kept": listed.get("kept"),
                "urls": downloads.get("urls"),
                "images": downloads.get("images"),
                **medians,
            }
            rows.append({name: row[name] for name in COLUMNS})
    return rows


def class_rows(described: Sequence[Described]) -> list[dict]:
    """Return the rows of the table of classes (`CLASS_COLUMNS`): a pool's group and a class of the reference each."""
    return [
        {
            "pool": one.pool["name"],
            "group": group["name"],
            "label": label,
            "class": name,
            "named": group["named"][label],
            "predicted": group["predicted"][label] if group["predicted"] else None,
        }
        for one in described
        for group in one.description["groups"]
        for label, name in enumerate(one.description["classes"])
    ]


def _share(count: int, whole: int) -> float | None:
    return round(count / whole, 6) if whole else None


def pools_page(
    described: Sequence[Described],
    mixtures: Sequence[Mapping],
    experiment: str,
    blur: str,
    testsets: Mapping[str, str],
) -> str:
    """Return the page of all pools: samples, lengths and sizes of each, then their numbers in a table.

    `mixtures` have a name, a title, the shares of their `members`, and `titles` of these. `blur` says which thumbnails are
    blurred. `testsets` are the titles of test sets.
    """
    articles = "".join(_article(one, described, blur) for one in described)
    mixed = "".join(
        f'<li><a href="pools/{mixture["name"]}.html">{escape(mixture["title"])}</a>: {escape(_members(mixture))}</li>'
        for mixture in mixtures
    )
    overlap = overlap_table([(one.pool, one.overlap) for one in described if one.overlap], testsets)
    mixed = f"<h2>Mixtures</h2><ul>{mixed}</ul>" if mixed else ""
    return fill_page(
        title=f"Pools of {experiment}",
        header=f"<h1>Pools <small>{escape(experiment)}</small></h1><p>What the training data of each pool look like. Each"
        " title leads to the card of the pool. Samples are drawn by their uids.</p>",
        main=f'<div class="pools">{articles}</div><section><h2>Side by side</h2>{_table(described)}</section>{overlap}'
        f"{mixed}",
        footer="<p>A filter's numbers are of what it keeps. docs/cards.md says how each number is computed. The same numbers"
        " are in results/tables/pools.csv, the counts of classes in results/tables/pool_classes.csv"
        f"{', and near-duplicates in results/tables/overlap.csv' if overlap else ''}.</p>",
    )


def _article(one: Described, described: Sequence[Described], blur: str) -> str:
    group, name = one.description["groups"][0], one.pool["name"]
    shown = [sample for sample in one.sheet if sample["group"] == group["name"]][:STRIP]
    strip = "".join(picture(sample, blur, SIDE) for sample in shown)
    kind = f"{one.pool['kind'].capitalize()}" + (f" of {one.pool['from']}" if one.pool.get("from") else "")
    charts = "".join(
        f"<h3>{MEASURES[measure].title}</h3>{_chart(measure, group, described)}"
        f'<p class="note">{summary(measure, group["measures"][measure])}</p>'
        for measure in ("words", "side")
    )
    return (
        f'<article><h2><a href="pools/{name}.html">{escape(one.pool["title"])}</a></h2>'
        f'<p class="note">{escape(kind)}, {group["samples"]:,} samples</p><div class="strip">{strip}</div>{charts}</article>'
    )


def _chart(measure: str, group: Mapping, described: Sequence[Described]) -> str:
    """The histogram of a pool's samples, with the same axes for all pools."""
    counts = group["measures"][measure]["counts"]
    if not sum(counts):
        return '<p class="empty">Not recorded.</p>'
    others = [one.description["groups"][0]["measures"][measure]["counts"] for one in described]
    return histogram(measure, [Counted(group["name"], "first", counts)], others)


def _table(described: Sequence[Described]) -> str:
    """The numbers of all pools, a row each."""
    heads = ["samples", "gave an image", "words", "characters", "English", "name a class", "repeated captions"]
    heads += ["repeated images", "shorter side", "bytes", "grey"]
    body = []
    for one in described:
        group, downloads = one.description["groups"][0], one.description.get("downloads")
        medians = {name: found.get("median") for name, found in group["measures"].items()}
        cells = [
            f"{group['samples']:,}",
            percent(downloads["images"] / max(1, downloads["urls"])) if downloads else "",
            number(medians["words"]),
            number(medians["characters"]),
            percent(group["languages"].get("en", 0) / max(1, group["drawn_captions"])),
            percent(group["naming"] / max(1, group["samples"])),
            percent(group["repeated_captions"]),
            percent(group["repeated_images"]),
            number(medians["side"]),
            in_bytes(medians["bytes"]),
            percent(group["grey_images"] / max(1, group["decoded_images"])),
        ]
        title = f'<a href="pools/{one.pool["name"]}.html">{escape(one.pool["title"])}</a>'
        numbers = "".join(f"<td class=number>{cell}</td>" for cell in cells)
        body.append(f"<tr><th scope=row>{title}</th>{numbers}</tr>")
    head = "".join(f"<th class=number>{title}</th>" for title in heads)
    return (
        '<p class="note">Words, characters, sides (pixels) and bytes are medians.</p><div class="scroll" tabindex="0" '
        f'role="region" aria-label="Numbers of all pools"><table class="compared"><tr><th>pool</th>{head}</tr>'
        f"{''.join(body)}</table></div>"
    )


def _members(mixture: Mapping) -> str:
    return ", ".join(f"{percent(share)} {mixture['titles'][name]}" for name, share in mixture["members"].items())
