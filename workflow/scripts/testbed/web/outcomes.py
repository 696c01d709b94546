"""Outcome tables: one row per URL, an image or the one cause why there is none."""

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
"""One row per URL: the cause is "success" where there is an image, which has `key` in `tar`; sha256 is of what came."""

REFUSED = {"image too small"}
"""What img2dataset's resizer says in words of its own; anything else is OpenCV's."""

TOP_CAUSES = 5


def tabulate(outcomes: list[dict], scratch: Path, chunk: str, rows: pa.Table, tar: str) -> pa.Table:
    """What img2dataset says became of `rows`, in their order (`OUTCOMES`), with images to be kept in `tar`.

    Raises `DownloadError` unless every row has one outcome and every success an image.
    """
    entries = {}
    for outcome in outcomes:
        success = outcome["status"] == "success"
        # Some errors have no words, so that an empty message is no sign of success.
        cause = "success" if success else outcome["error_message"] or outcome["status"]
        if outcome["status"] == "failed_to_resize" and cause not in REFUSED:
            cause = "cannot be decoded"
        place = {"cause": cause, "key": outcome["key"] if success else None, "tar": tar if success else None}
        entries[outcome["uid"]] = outcome | place
    keys = {entry["key"] for entry in entries.values() if entry["key"]}
    try:
        with tarfile.open(scratch / f"{chunk}.tar") as archive:
            images = {name.removesuffix(".jpg") for name in archive.getnames()}
    except (OSError, tarfile.TarError) as error:
        raise DownloadError(
            f"chunk {chunk}: its images are not whole ({error}). Run the same command again."
        ) from error
    uids = rows["uid"].to_pylist()
    if len(outcomes) != len(uids) or set(entries) != set(uids) or images != keys:
        raise DownloadError(
            f"chunk {chunk}: {len(uids)} URLs gave {len(outcomes)} outcomes, {len(keys)} successes and {len(images)} "
            "images. Run the same command again; if it stays so, look at the rule's log."
        )
    ordered = [{name: entries[uid][name] for name in OUTCOMES.names} for uid in uids]
    return pa.Table.from_pylist(ordered, OUTCOMES)


def causes_of(outcomes: pa.Table) -> Counter:
    """How many URLs ended in each cause ("success" among them)."""
    return Counter(outcomes["cause"].to_pylist())


def check_success(outcomes: pa.Table, minimum: float, chunk: str) -> None:
    """Raise `DownloadError`, naming the top causes and hosts, where less than `minimum` of a chunk's URLs gave an image."""
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
