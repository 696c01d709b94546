"""Small parts of a shuffled list with the pages behind them, downloads of them, and shards, as the scripts leave them."""

import hashlib
import io
import json
import tarfile
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from testbed.miniweb.pages import Page
from testbed.records.files import add_member
from testbed.records.manifest import read_json, record, write_json
from testbed.web.outcomes import OUTCOMES


def draw_page(number: int, behaviour: str = "ok") -> dict:
    form = "jpeg" if behaviour == "truncated" else ("jpeg", "png", "webp")[number % 3]
    url = f"http://host{number % 4}.test/{behaviour}/{number}.{form}"
    return asdict(Page(url, "cat", "photo", number, (64, 72, 96)[number % 3], form, behaviour))


def make_rows(urls: list[str]) -> list[dict]:
    """Rows of a shuffled list, with two columns of the source's own; `width` is also one of img2dataset's."""
    return [
        {
            "uid": hashlib.md5(url.encode()).hexdigest(),
            "url": url,
            "caption": f"Ein süßes Bild: {url}",
            "likes": number * 10,
            "width": 5000,
        }
        for number, url in enumerate(urls)
    ]


def write_part(path: Path, urls: list[str]) -> list[dict]:
    """Write a part of a shuffled list; returns its rows."""
    rows = make_rows(urls)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return rows


def draw_jpeg(url: str) -> bytes:
    """A small image that no other url has."""
    colour = tuple(hashlib.md5(url.encode()).digest()[:3])
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "JPEG")
    return file.getvalue()


def write_downloads(folder: Path, rows: list[dict], missing: set[str] = frozenset(), chunk_size: int = 10) -> None:
    """What download_images leaves of `rows`, without an image for the urls in `missing`.

    As with img2dataset, the tar is in the order of arrival, which is not the list's.
    """
    folder.mkdir(parents=True)
    entries = []
    for chunk, start in enumerate(range(0, len(rows), chunk_size)):
        name, outcomes = f"{chunk:05d}", []
        with tarfile.open(folder / f"{name}.tar", "w") as tar:
            for place, row in reversed(list(enumerate(rows[start : start + chunk_size]))):
                outcome = dict.fromkeys(OUTCOMES.names) | {"uid": row["uid"], "url": row["url"]}
                outcomes.insert(0, outcome)
                if row["url"] in missing:
                    outcome["cause"] = "http 404"
                    continue
                key, image = f"{name}{place:04d}", draw_jpeg(row["url"])
                outcome |= {"cause": "success", "tar": f"{name}.tar", "key": key, "width": 8, "height": 8}
                outcome |= {"original_width": 64, "original_height": 64, "sha256": hashlib.sha256(image).hexdigest()}
                add_member(tar, f"{key}.jpg", image)
                add_member(tar, f"{key}.json", json.dumps(outcome).encode())
                outcomes[0] = outcome
        parquet.write_table(pa.Table.from_pylist(outcomes, OUTCOMES), folder / f"{name}.parquet")
        files = [record(folder / f"{name}.tar", passing=True), record(folder / f"{name}.parquet")]
        entries.append({"successes": sum(outcome["cause"] == "success" for outcome in outcomes), "files": files})
        write_json(folder / f"{name}.json", entries[-1])
    write_manifest(folder)


def write_manifest(folder: Path, quality: int = 95) -> None:
    """The manifest of a part, from the records of its chunks."""
    entries = [read_json(path) for path in sorted(folder.glob("[0-9]*.json"))]
    files = [file for entry in entries for file in entry["files"]]
    successes = sum(entry["successes"] for entry in entries)
    write_json(folder / "manifest.json", {"successes": successes, "storage": {"quality": quality}, "files": files})


def write_shards(folder: Path, source: str, samples: list[dict[str, bytes]], shard_size: int) -> None:
    """Shards of `samples` (image, caption and metadata under their extensions), as shard_samples leaves them."""
    folder.mkdir(parents=True)
    files = []
    for shard, start in enumerate(range(0, len(samples), shard_size)):
        content = samples[start : start + shard_size]
        with tarfile.open(folder / f"{shard:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for number, sample in enumerate(content, start):
                uid = hashlib.md5(f"{source} {number}".encode()).hexdigest()
                for extension in ("jpg", "json", "txt"):
                    add_member(archive, f"{uid}.{extension}", sample[extension])
        files.append(record(folder / f"{shard:06d}.tar", samples=len(content)))
    manifest = {"source": source, "samples": len(samples), "shard_size": shard_size, "files": files}
    write_json(folder / "manifest.json", manifest)
