"""The card of one pool: one self-contained HTML page without scripts."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from testbed.cards.charts import Counted, bars, histogram, summary
from testbed.cards.distinctive import Words, distinctive_words
from testbed.cards.measures import MEASURES
from testbed.cards.origin import origin_section
from testbed.cards.template import contact_sheet, count_of, facts, fill_page, key, label_of, styles_of
from testbed.cards.text import caption_html, language_name, percent, printable

SHOWN_LANGUAGES = 10
SHOWN_CLASSES = 20


def card_page(
    description: Mapping,
    pool: Mapping,
    sheet: Sequence[dict],
    words: Words,
    rivals: Words,
    blur: str,
    overlap: str = "",
) -> str:
    """Return the page of a pool.

    `pool` has its name, title, kind and, of a filter, the pool that it selects `from`, of a mixture the shares of its
    `members` and the `sizes` of its trainsets; its groups are its members. `words` are those of its groups,
    `rivals` those of other sources, by name. `blur` says which thumbnails are blurred: flagged, all or none. `overlap` is
    the part with near-duplicates (testbed.cards.overlap), if they are counted.
    """
    groups = description["groups"]
    sections = [
        sheets_section(groups, sheet, blur),
        captions_section(groups, words, rivals),
        images_section(groups),
        classes_section(groups, description["classes"], pool["reference"]),
        overlap,
        origin_section(description),
    ]
    total = sum(group["samples"] for group in groups)
    about = f"{description['samples']:,} samples"
    if pool["kind"] == "filter":
        share = percent(description["samples"] / max(1, total))
        about = f"Keeps {description['samples']:,} of the {total:,} samples of {escape(pool['from'])} ({share})."
        if len(groups) == 1:
            about += " It drops none."
    if pool["kind"] == "mixture":
        members = zip(groups, pool["members"].values(), strict=True)
        about = ", ".join(f"{percent(share)} {label_of(group)}" for group, share in members) + ". "
        about += f"Trainsets of {', '.join(f'{size:,}' for size in pool['sizes'])} samples."
    name = "" if pool["title"] == pool["name"] else f" <small>{escape(pool['name'])}</small>"
    header = (
        f'<nav><a href="../pools.html">All pools</a></nav><h1>{escape(pool["title"])}{name}</h1>'
        f"<p>{pool['kind'].capitalize()}. {about}</p>{key(groups)}"
    )
    return fill_page(
        title=f"Pool card: {pool['title']}",
        header=header,
        main="\n".join(section for section in sections if section),
        footer=footer(groups),
    )


def footer(groups: Sequence[Mapping]) -> str:
    captions, images = (
        " and ".join(f"{group[key]:,}" for group in groups) for key in ("drawn_captions", "decoded_images")
    )
    return (
        "<p>Samples are drawn by their uids, which are hashes, so the same ones are drawn each time. Languages, words,"
        f" quantiles and endings of URLs are of {captions} drawn captions. Bytes and grey images are of {images} decoded"
        " images. All other numbers are of all samples. py3langid classifies languages; of short captions it is often wrong."
        " docs/cards.md says how each number is computed.</p>"
    )


def sheets_section(groups: Sequence[Mapping], sheet: Sequence[dict], blur: str) -> str:
    """The contact sheets: of a filter, what it kept beside what it dropped; of a mixture, its members."""
    parts = []
    for group in groups:
        samples = [sample for sample in sheet if sample["group"] == group["name"]]
        heading = f"<h3>{label_of(group, begins=True)}</h3>" if len(groups) > 1 else ""
        parts.append(f"<div>{heading}{contact_sheet(samples, blur)}</div>")
    flagged = [name for group in groups for name in group["flags"]]
    said = {
        "all": "All images are blurred.",
        "none": "No image is blurred.",
        "flagged": f"Images that the column {escape(flagged[0])} flags are blurred."
        if flagged
        else "The list has no column that flags images as not safe for work, so none is blurred.",
    }[blur]
    two = " two" if len(groups) == 2 else ""
    return (
        f'<section><h2>Samples</h2><p class="note">{said}</p><div class="sheets{two}">{"".join(parts)}</div></section>'
    )


def rows_of(most: int, groups: Sequence[Mapping]) -> int:
    """Return how many rows a chart has: `most`, and half of them where each has bars for many groups."""
    return most if len(groups) <= 2 else most // 2


def histograms(names: Sequence[str], groups: Sequence[Mapping]) -> str:
    """The histograms of some measures, each with the quantiles of each group."""
    charts = []
    for name in names:
        counted = [
            Counted(group.get("label", group["name"]), style, group["measures"][name]["counts"])
            for group, style in zip(groups, styles_of(groups), strict=True)
        ]
        known = any(sum(one.counts) for one in counted)
        lines = "".join(
            f'<p class="note">{_label(group, groups)}{summary(name, group["measures"][name])}</p>' for group in groups
        )
        chart = histogram(name, counted) if known else '<p class="empty">Not recorded.</p>'
        charts.append(f"<div><h3>{MEASURES[name].title}</h3>{chart}{lines}</div>")
    return "".join(charts)


def _label(group: Mapping, groups: Sequence[Mapping]) -> str:
    """What a line about one of several groups begins with."""
    return f"{label_of(group, begins=True)}: " if len(groups) > 1 else ""


def captions_section(groups: Sequence[Mapping], words: Words, rivals: Words) -> str:
    """Lengths, languages and repeats of captions, and the words that are more frequent than elsewhere."""
    numbers = facts(
        [
            ("repeated captions", [percent(group["repeated_captions"]) for group in groups]),
            ("captions that name a class", [count_of(group["naming"], group["samples"]) for group in groups]),
            ("captions in English", [_english(group) for group in groups]),
            ("words, median", [f"{group['measures']['words'].get('median', 0):g}" for group in groups]),
        ],
        groups,
    )
    return (
        f'<section><h2>Captions</h2>{numbers}<div class="charts" style="margin-top:1.2rem">'
        f"{histograms(['words', 'characters'], groups)}<div><h3>Languages</h3>{_languages(groups)}</div>{_repeats(groups)}"
        f'<div class="wide"><h3>Words</h3>{distinctive_words(groups, words, rivals)}</div></div></section>'
    )


def _english(group: Mapping) -> str:
    return percent(group["languages"].get("en", 0) / max(1, group["drawn_captions"]))


def _languages(groups: Sequence[Mapping]) -> str:
    totals: dict[str, int] = {}
    for group in groups:
        for code, count in group["languages"].items():
            totals[code] = totals.get(code, 0) + count
    order = sorted(totals, key=lambda code: (-totals[code], code))
    most = rows_of(SHOWN_LANGUAGES, groups)
    rows = [
        (escape(language_name(code)), [(group["languages"].get(code, 0), group["drawn_captions"]) for group in groups])
        for code in order[:most]
    ]
    if rest := order[most:]:
        others = [sum(group["languages"].get(code, 0) for code in rest) for group in groups]
        label = f"{len(rest)} others"
        rows.append((label, [(count, group["drawn_captions"]) for count, group in zip(others, groups, strict=True)]))
    return bars(rows, styles_of(groups))


def _repeats(groups: Sequence[Mapping]) -> str:
    """The captions that are repeated most often, with the number of samples that have them."""
    tables = []
    for group in groups:
        rows = "".join(
            f"<tr><td>{caption_html(entry['caption'], 90)}</td><td class=number>{entry['samples']:,}</td></tr>"
            for entry in group["most_repeated"]
        )
        heading = "Captions that are repeated most" + (f": {label_of(group)}" if len(groups) > 1 else "")
        head = "<tr><th>caption</th><th class=number>samples</th></tr>"
        table = f'<table class="repeats">{head}{rows}</table>' if rows else '<p class="empty">None is repeated.</p>'
        tables.append(f"<div><h3>{heading}</h3>{table}</div>")
    content = "".join(tables)
    return content if len(groups) == 1 else f'<div class="wide words">{content}</div>'


def images_section(groups: Sequence[Mapping]) -> str:
    """Sizes, aspect ratios, bytes, grey images and endings of URLs."""
    numbers = facts(
        [
            ("repeated images", [percent(group["repeated_images"]) for group in groups]),
            ("grey images", [percent(group["grey_images"] / max(1, group["decoded_images"])) for group in groups]),
        ],
        groups,
    )
    endings = list(dict.fromkeys(ending for group in groups for ending in group["url_endings"]))
    rows = [
        (escape(ending), [(group["url_endings"].get(ending, 0), group["drawn_captions"]) for group in groups])
        for ending in endings
    ]
    formats = f"<div><h3>Format by the ending of the URL</h3>{bars(rows, styles_of(groups))}</div>" if rows else ""
    return (
        f'<section><h2>Images</h2>{numbers}<div class="charts" style="margin-top:1.2rem">'
        f"{histograms(['side', 'aspect_ratio', 'bytes'], groups)}{formats}</div>"
        '<p class="note">Sides and ratios are those of the fetched image, before it was reduced.</p></section>'
    )


def classes_section(groups: Sequence[Mapping], classes: Sequence[str], reference: str) -> str:
    """How many captions name each class of the reference, and how many images a teacher sees as each."""
    ways = {"Captions that name it": "named"}
    if any(group["predicted"] for group in groups):
        ways["Images, as the teacher sees them"] = "predicted"
    columns = []
    for title, field in ways.items():
        counts = np.array([group[field] or [0] * len(classes) for group in groups])
        order = np.lexsort((np.arange(len(classes)), -counts.sum(axis=0)))[: rows_of(SHOWN_CLASSES, groups)]
        rows = [
            (
                escape(printable(classes[label])),
                [(int(own[label]), group["samples"]) for own, group in zip(counts, groups, strict=True)],
            )
            for label in order
            if counts[:, label].any()
        ]
        columns.append(f"<div><h3>{title}</h3>{bars(rows, styles_of(groups))}</div>")
    never = sum(not any(group["named"][label] for group in groups) for label in range(len(classes)))
    unnamed = f"no caption names {never:,} of them" if never else "captions name all of them"
    said = f"{len(classes):,} classes of {escape(reference)}; {unnamed}."
    most = rows_of(SHOWN_CLASSES, groups)
    shown = f" The {most} most frequent ones:" if len(classes) > most else ""
    head = "".join(f"<th class=number>{label_of(group)}: {field}</th>" for field in ways.values() for group in groups)
    body = "".join(
        f"<tr><td>{escape(printable(name))}</td>"
        + "".join(
            f"<td class=number>{(group[field] or [0] * len(classes))[label]:,}</td>"
            for field in ways.values()
            for group in groups
        )
        + "</tr>"
        for label, name in enumerate(classes)
    )
    table = f'<div class="scroll"><table><tr><th>class</th>{head}</tr>{body}</table></div>'
    return (
        f'<section><h2>Classes of the reference</h2><p>{said}{shown}</p><div class="charts classes">{"".join(columns)}</div>'
        f"<details><summary>All classes</summary>{table}</details></section>"
    )
