"""What became of a source's samples on the way from its list to its shards, by cause and by host."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, parquet

from testbed.records.manifest import read_json

HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@?#]*@)?(?P<host>\[[^\]]*\]|[^/:?#]*)"
ENDING = r"\.(?P<ending>[A-Za-z0-9]{2,5})(?:[?#].*)?$"
KNOWN_ENDINGS = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tif": "tiff"}
ENDINGS = {"jpg", "png", "gif", "webp", "bmp", "tiff", "svg", "avif", "heic", "ico"}
NO_ENDING = "none of these"
MOST_HOSTS = 200_000
"""Number of hosts that are counted at once. Above it, those with few URLs are dropped, so the web's tail takes no memory."""

SHOWN_HOSTS = 20


def hosts_of(urls: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the host of each URL, in lower case; empty where there is none."""
    found = compute.extract_regex(urls, HOST)
    return compute.utf8_lower(compute.fill_null(compute.struct_field(found, "host"), ""))


def count_endings(urls: pa.ChunkedArray) -> dict[str, int]:
    """Return how many URLs end in the usual ending of each image format, jpg and jpeg together."""
    found = compute.struct_field(compute.extract_regex(urls, ENDING), "ending")
    counts: Counter = Counter()
    for entry in compute.value_counts(compute.utf8_lower(found)).to_pylist():
        ending = KNOWN_ENDINGS.get(entry["values"], entry["values"])
        counts[ending if ending in ENDINGS else NO_ENDING] += entry["counts"]
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


class Hosts:
    """Counts of URLs and of images by host. Of more than `MOST_HOSTS` hosts, the smallest are dropped now and then."""

    def __init__(self):
        self.urls: Counter = Counter()
        self.images: Counter = Counter()
        self.dropped = 0

    def add(self, outcomes: pa.Table) -> None:
        """Count the rows of an outcome table (url, cause)."""
        hosts = hosts_of(outcomes["url"])
        success = compute.equal(outcomes["cause"], "success")
        for counts, names in ((self.urls, hosts), (self.images, hosts.filter(success))):
            for entry in compute.value_counts(names).to_pylist():
                counts[entry["values"]] += entry["counts"]
        if len(self.urls) > MOST_HOSTS:
            kept = sorted(self.urls.items(), key=lambda entry: (-entry[1], entry[0]))[: MOST_HOSTS // 2]
            self.dropped += len(self.urls) - len(kept)
            self.urls = Counter(dict(kept))
            self.images = Counter({host: self.images[host] for host in self.urls})

    def result(self) -> dict:
        """Return the number of hosts, whether it is exact, and the hosts with the most URLs with their counts."""
        largest = sorted(self.urls.items(), key=lambda entry: (-entry[1], entry[0]))[:SHOWN_HOSTS]
        return {
            "hosts": len(self.urls) + self.dropped,
            "is_exact": not self.dropped,
            "largest": [{"host": host, "urls": urls, "images": self.images[host]} for host, urls in largest],
        }


def describe_list(counts: Path) -> dict:
    """Return the rows of a source's list, or the samples of its tars, those kept, and those dropped by cause."""
    listed = read_json(counts)
    dropped = {cause: number for cause, number in listed["dropped"].items() if number}
    return {
        "kind": listed.get("format") if listed.get("format") in ("shards", "files") else "list",
        "rows": listed["rows"],
        "kept": listed["kept"],
        "dropped": dict(sorted(dropped.items(), key=lambda entry: (-entry[1], entry[0]))),
    }


def describe_downloads(folders: Sequence[Path]) -> dict:
    """Return the outcomes of the downloads in `folders`: URLs, images, failures by cause, and the largest hosts."""
    causes, hosts = Counter(), Hosts()
    for folder in folders:
        manifest = read_json(folder / "manifest.json")
        causes.update(manifest["causes"])
        for file in manifest["files"]:
            if not file.get("passing"):
                hosts.add(parquet.read_table(folder / file["name"], columns=["url", "cause"]))
    images = causes.pop("success", 0)
    failed = dict(sorted(causes.items(), key=lambda entry: (-entry[1], entry[0])))
    return {"urls": images + sum(failed.values()), "images": images, "failed": failed, **hosts.result()}


def describe_rewriting(shards: Path) -> dict:
    """Return how many images of tars or files were encoded anew or left out when shards were written, by cause."""
    manifest = read_json(shards / "manifest.json")
    return {key: manifest[key] for key in ("encoded", "dropped") if manifest.get(key)}
