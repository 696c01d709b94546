"""Outcome tables: one row per URL, with its image or the cause of its failure."""

import tarfile
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from testbed.web.chunks import DownloadError

SIZES = ("width", "height", "original_width", "original_height")
OUTCOMES = pa.schema(
    [(name, pa.string()) for name in ("uid", "url", "cause", "tar", "key", "sha256")]
    + [(name, pa.int32()) for name in SIZES]
)
"""One row per URL. The cause is "success" if there is an image: `key` in `tar`. sha256 is that of the fetched bytes."""

REFUSED = {"image too small"}
"""Messages of img2dataset's resizer itself; all others are from OpenCV."""

TOP_CAUSES = 5


def tabulate(outcomes: list[dict], scratch: Path, chunk: str, rows: pa.Table, tar: str) -> pa.Table:
    """Return the outcomes of `rows` from img2dataset as a table (`OUTCOMES`), in order. Images will be in `tar`.

    Raises `DownloadError` unless every row has one outcome and every success an image.
    """
    entries = {}
    for outcome in outcomes:
        success = outcome["status"] == "success"
        # Some errors have an empty message, so an empty message does not mean success.
        cause = "success" if success else outcome["error_message"] or outcome["status"]
        if outcome["status"] == "failed_to_resize" and cause not in REFUSED:
            cause = "cannot be decoded"
        stored = {"cause": cause, "key": outcome["key"] if success else None, "tar": tar if success else None}
        entries[outcome["uid"]] = outcome | stored
    keys = {entry["key"] for entry in entries.values() if entry["key"]}
    try:
        with tarfile.open(scratch / f"{chunk}.tar") as archive:
            images = {name.removesuffix(".jpg") for name in archive.getnames()}
    except (OSError, tarfile.TarError) as error:
        raise DownloadError(
            f"chunk {chunk}: its tar of images is incomplete ({error}). Run the same command again."
        ) from error
    uids = rows["uid"].to_pylist()
    if len(outcomes) != len(uids) or set(entries) != set(uids) or images != keys:
        raise DownloadError(
            f"chunk {chunk}: {len(uids)} URLs gave {len(outcomes)} outcomes, {len(keys)} successes and {len(images)} "
            "images. Run the same command again; if the error remains, look at the rule's log."
        )
    ordered = [{name: entries[uid][name] for name in OUTCOMES.names} for uid in uids]
    return pa.Table.from_pylist(ordered, OUTCOMES)


def causes_of(outcomes: pa.Table) -> Counter:
    """Return the number of URLs by cause, including "success"."""
    return Counter(outcomes["cause"].to_pylist())


def check_success(outcomes: pa.Table, minimum: float, chunk: str) -> None:
    """Raise `DownloadError`, with the top causes and hosts, if less than `minimum` of a chunk's URLs gave an image."""
    failed = outcomes.filter(pa.compute.not_equal(outcomes["cause"], "success"))
    success = 1 - len(failed) / len(outcomes)
    if success >= minimum:
        return
    causes = ", ".join(f"{cause} ({count})" for cause, count in causes_of(failed).most_common(TOP_CAUSES))
    hosts = Counter(urlsplit(url).hostname for url in failed["url"].to_pylist())
    names = ", ".join(f"{host} ({count})" for host, count in hosts.most_common(TOP_CAUSES))
    raise DownloadError(
        f"chunk {chunk}: only {success:.1%} of {len(outcomes)} URLs gave an image, less than download.minimum_success "
        f"({minimum:.1%}). Causes: {causes}. Hosts: {names}. Check the network and run the same command again, or lower "
        "download.minimum_success. The chunks before this one are kept."
    )
