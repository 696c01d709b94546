"""Near-duplicates of test images in sources, and repeats within: a table, and parts of the pages of cards."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from testbed.cards.template import count_of, facts, picture
from testbed.cards.text import caption_html

COLUMNS = ["source", "testset", "images", "near_images", "near_samples", "samples", "distance"]
"""Columns of the table of overlaps. Repeats within a source have no test set and no images."""


def overlap_rows(counted: Iterable[Mapping]) -> list[dict]:
    """Return the rows of the table (`COLUMNS`) for what `measure_overlap` counted in each source."""
    rows = []
    for one in counted:
        common = {"source": one["source"], "samples": one["samples"], "distance": one["distance"]}
        for name, found in one["testsets"].items():
            own = {key: found[key] for key in ("images", "near_images", "near_samples")}
            rows.append(common | {"testset": name} | own)
        rows.append(common | {"testset": None, "images": None, "near_images": None} | one["within"])
    return [{name: row[name] for name in COLUMNS} for row in rows]


def overlap_section(counted: Mapping, examples: Sequence[Mapping], titles: Mapping[str, str], blur: str) -> str:
    """Return the part of a source's card with its near-duplicates. `titles` are those of test sets.

    `examples` are pairs of a sample and a test image with thumbnails; `blur` says which of the samples are blurred.
    """
    within = counted["within"]
    numbers = facts(
        [
            ("samples near a test image", [count_of(counted["near_samples"], counted["samples"])]),
            ("samples near an earlier sample", [count_of(within["near_samples"], within["samples"])]),
        ]
    )
    body = "".join(
        f"<tr><td>{escape(titles[name])}</td><td class=number>{found['images']:,}</td>"
        f"<td class=number>{count_of(found['near_images'], found['images'])}</td>"
        f"<td class=number>{count_of(found['near_samples'], counted['samples'])}</td></tr>"
        for name, found in counted["testsets"].items()
    )
    head = "<tr><th>test set</th><th class=number>images</th><th class=number>of these near a sample</th>"
    table = f'<div class="scroll"><table>{head}<th class=number>samples near them</th></tr>{body}</table></div>'
    part = "" if within["samples"] == counted["samples"] else f" The first {within['samples']:,} samples are compared."
    note = (
        "Near-duplicates by perceptual hashes: encoded anew, resized, brightened or slightly cropped. Larger crops and"
        " mirrored images are missed, and simple drawings of one object may be near by chance."
        f"{part} docs/duplicates.md says how many are found."
    )
    return (
        f'<section><h2>Near-duplicates</h2><p class="note">{note}</p>{numbers}<div class="charts" style="margin-top:1.2rem">'
        f"<div>{table}</div>{_examples(examples, titles, blur)}</div></section>"
    )


def _examples(examples: Sequence[Mapping], titles: Mapping[str, str], blur: str) -> str:
    if not examples:
        return ""
    items = "".join(
        f'<li><figure><div class="couple">{picture(one, blur)}{picture(_test_image(one), blur)}</div>'
        f"<figcaption>{caption_html(one['caption'])}<small>and {escape(titles[one['testset']])},"
        f" {one['distance']} bits differ</small></figcaption></figure></li>"
        for one in examples
    )
    return f'<div><h3>A sample, and the test image that it is near</h3><ul class="sheet couples">{items}</ul></div>'


def _test_image(example: Mapping) -> dict:
    """The test image of a pair. Where the sample is flagged, the image that is like it is, too."""
    return {"thumbnail": example["test_thumbnail"], "flagged": example["flagged"]}


def overlap_table(pools: Sequence[tuple[Mapping, Mapping]], titles: Mapping[str, str]) -> str:
    """Return the part of the page of all pools with the shares of near-duplicates; empty without pools.

    `pools` are sources (name, title) with what was counted in each.
    """
    if not pools:
        return ""
    names = list(dict.fromkeys(name for _, counted in pools for name in counted["testsets"]))
    body = []
    for pool, counted in pools:
        within = counted["within"]
        shares = [(counted["testsets"][name]["near_images"], counted["testsets"][name]["images"]) for name in names]
        shares += [(counted["near_samples"], counted["samples"]), (within["near_samples"], within["samples"])]
        cells = "".join(f"<td class=number>{count_of(count, whole)}</td>" for count, whole in shares)
        title = f'<a href="pools/{pool["name"]}.html">{escape(pool["title"])}</a>'
        body.append(f"<tr><th scope=row>{title}</th>{cells}</tr>")
    heads = [*(escape(titles[name]) for name in names), "samples near a test image", "samples near an earlier one"]
    head = "".join(f"<th class=number>{title}</th>" for title in heads)
    return (
        '<section><h2>Near-duplicates</h2><p class="note">The share of the images of each test set that have a'
        " near-duplicate in the source, and the shares of the source's samples that are near a test image or an earlier"
        ' sample, by perceptual hashes.</p><div class="scroll" tabindex="0" role="region" aria-label="Near-duplicates in all'
        f' sources"><table class="compared"><tr><th>source</th>{head}</tr>{"".join(body)}</table></div></section>'
    )
