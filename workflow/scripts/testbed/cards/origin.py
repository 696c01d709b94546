"""The part of a source's card that says what became of the rows of its list."""

from collections.abc import Mapping
from html import escape

from testbed.cards.charts import bars
from testbed.cards.template import STYLES, facts
from testbed.cards.text import percent, printable

CAUSES = {"bad_url": "bad URL", "private_address": "private address", "long_caption": "long caption"}


def origin_section(description: Mapping) -> str:
    """What became of the rows of a source's list or tars, by cause and host; empty for a filter."""
    if "list" not in description:
        return ""
    listed, downloads = description["list"], description.get("downloads")
    what = {"list": "rows of the list", "shards": "samples in the tars", "files": "samples in the files"}[
        listed["kind"]
    ]
    numbers = [(what, [f"{listed['rows']:,}"]), ("of these usable", [f"{listed['kept']:,}"])]
    if downloads:
        images, urls = downloads["images"], downloads["urls"]
        numbers.append(("URLs that were asked", [f"{urls:,}"]))
        numbers.append(("gave an image", [f"{images:,} <small>{percent(images / max(1, urls))}</small>"]))
    numbers.append(("samples in shards", [f"{description['samples']:,}"]))
    charts = [_causes("Rows that are left out", listed["dropped"], listed["rows"])]
    if downloads:
        charts.append(_causes("URLs without an image", downloads["failed"], downloads["urls"]))
        charts.append(_hosts(downloads))
    for title, key in (("Images that were encoded anew", "encoded"), ("Images that were left out", "dropped")):
        if counts := description.get("rewriting", {}).get(key):
            charts.append(_causes(title, counts, description["samples"]))
    return (
        f'<section><h2>From the list to samples</h2>{facts(numbers)}<div class="charts" style="margin-top:1.2rem">'
        f"{''.join(charts)}</div></section>"
    )


def _causes(title: str, counts: Mapping[str, int], whole: int) -> str:
    rows = [
        (escape(printable(CAUSES.get(cause, cause).replace("_", " "))), [(count, whole)])
        for cause, count in counts.items()
    ]
    content = bars(rows, STYLES) if rows else '<p class="empty">None.</p>'
    return f"<div><h3>{title}</h3>{content}</div>"


def _hosts(downloads: Mapping) -> str:
    about = "" if downloads["is_exact"] else "at least "
    body = "".join(
        f"<tr><td>{escape(printable(entry['host'])) or '(none)'}</td><td class=number>{entry['urls']:,}</td>"
        f"<td class=number>{percent(entry['images'] / max(1, entry['urls']))}</td></tr>"
        for entry in downloads["largest"]
    )
    head = "<tr><th>host</th><th class=number>URLs</th><th class=number>with an image</th></tr>"
    return (
        f"<div><h3>Hosts</h3><p class='note'>The largest of {about}{downloads['hosts']:,}.</p>"
        f'<div class="scroll"><table>{head}{body}</table></div></div>'
    )
