"""Write the rows of a mini-source's list in the released format of its source."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

from numpy.random import Generator

from testbed.miniweb.rows import Row
from testbed.miniweb.world import SOURCES

FORMATS = {kind: kind for kind in SOURCES} | {"imagenet": "csv"}
"""The format in which `prepare_metadata` reads the list of each kind."""

WIT_COLUMNS = (
    "language",
    "page_url",
    "image_url",
    "page_title",
    "section_title",
    "hierarchical_section_title",
    "caption_reference_description",
    "caption_attribution_description",
    "caption_alt_text_description",
    "mime_type",
    "original_height",
    "original_width",
    "is_main_image",
    "attribution_passes_lang_id",
    "page_changed_recently",
    "context_page_description",
    "context_section_description",
)

_LAION_FILES = [f"part-{number:05d}.snappy.parquet" for number in range(3)]
_WIT_FILES = [f"wit_v1.train.all-{number:05d}-of-00003.tsv.gz" for number in range(3)]
_REDCAPS_FILES = [
    f"{subreddit}_{year}.json" for subreddit in ("itookapicture", "mildlyinteresting") for year in (2018, 2019)
]


def write_list(kind: str, rows: list[Row], folder: Path, rng: Generator) -> list[Path]:
    """Write the list in the released format of its source, and return its files in the order of its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    match kind:
        case "laion":
            return [_write_laion(path, part, rng) for path, part in _split(rows, folder, _LAION_FILES)]
        case "wit":
            return [_write_wit(path, part, rng) for path, part in _split(rows, folder, _WIT_FILES)]
        case "redcaps":
            return [_write_redcaps(path, part, rng) for path, part in _split(rows, folder, _REDCAPS_FILES)]
        case "imagenet":
            return [_write_csv(folder / "imagenet_captions.csv", rows)]
    return [_write_tsv(folder / {"shutterstock": "shutterstock.csv"}.get(kind, f"{kind}.tsv"), rows)]


def _split(rows: list[Row], folder: Path, names: list[str]) -> Iterator[tuple[Path, list[Row]]]:
    """Yield consecutive rows for each file, so that files in sorted order give the rows in order."""
    bounds = [len(rows) * number // len(names) for number in range(len(names) + 1)]
    for name, start, end in zip(sorted(names), bounds, bounds[1:], strict=False):
        yield folder / name, rows[start:end]


def _malformed_line(cells: list[str], separator: str, number: int) -> bytes:
    """Return a line with too few columns, with too many, or with bytes that are not UTF-8."""
    match number % 3:
        case 0:
            return cells[0].encode()
        case 1:
            return separator.join([*cells, "surplus"]).encode()
    return separator.join(cells).encode() + b" caf\xe9"


def _write_tsv(path: Path, rows: list[Row]) -> Path:
    lines = [
        _malformed_line([row.url, row.written], "\t", number)
        if row.cause == "malformed"
        else f"{row.url}\t{row.written}".encode()
        for number, row in enumerate(rows)
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def _write_csv(path: Path, rows: list[Row]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["url", "caption"])
    for row in rows:
        writer.writerow([row.url] if row.cause == "malformed" else [row.url, row.written])
    path.write_bytes(text.getvalue().encode())
    return path


def _write_laion(path: Path, rows: list[Row], rng: Generator) -> Path:
    import pyarrow
    import pyarrow.parquet

    columns = {
        "SAMPLE_ID": rng.integers(10**12, size=len(rows)),
        "URL": [row.url for row in rows],
        "TEXT": [None if row.written == "" else row.written for row in rows],
        "LICENSE": ["?"] * len(rows),
        "NSFW": [("UNSURE", "NSFW")[rng.integers(2)] if row.cause == "nsfw" else "UNLIKELY" for row in rows],
        "similarity": 0.3 + 0.15 * rng.random(len(rows)),
        "WIDTH": rng.integers(200, 1200, size=len(rows), dtype="int32"),
        "HEIGHT": rng.integers(200, 1200, size=len(rows), dtype="int32"),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def _write_wit(path: Path, rows: list[Row], rng: Generator) -> Path:
    lines = ["\t".join(WIT_COLUMNS).encode()]
    for number, row in enumerate(rows):
        language = ("de", "fr", "ja", "zh-TW")[rng.integers(4)] if row.cause == "language" else "en"
        title = row.url.rpartition("/")[2].rpartition(".")[0]
        mime = "image/png" if row.url.endswith("png") else "image/jpeg"
        cells = [
            language,
            f"http://{language}.wikipedia.test/wiki/{title}",
            row.url,
            title,
            "History",
            f"{title} / History",
        ]
        cells += [
            row.written,
            f"English: {title}",
            "",
            mime,
            str(rng.integers(200, 3000)),
            str(rng.integers(200, 3000)),
        ]
        cells += ["true", "true", "false", f'{title} is an "article".', ""]
        malformed = row.cause == "malformed"
        lines.append(_malformed_line(cells, "\t", number) if malformed else "\t".join(cells).encode())
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
        file.write(b"".join(line + b"\n" for line in lines))
    return path


def _write_redcaps(path: Path, rows: list[Row], rng: Generator) -> Path:
    subreddit, _, year = path.stem.rpartition("_")
    annotations = []
    for row in rows:
        name = f"{rng.integers(36**4):06x}"
        annotation = {
            "image_id": name,
            "author": f"user_{rng.integers(10**6)}",
            "url": row.url,
            "raw_caption": f"{row.written.capitalize()} [OC] \U0001f60a"[:300],
            "caption": row.written,
            "subreddit": subreddit,
            "score": int(rng.integers(1, 5000)),
            "created_utc": int(rng.integers(31_536_000)) + 31_536_000 * (int(year) - 1970),
            "permalink": f"/r/{subreddit}/comments/{name}/",
        }
        if row.cause == "malformed":
            del annotation["url"]
        annotations.append(annotation)
    info = {"start_date": f"{year}-01-01", "end_date": f"{year}-12-31", "url": "https://redcaps.test", "version": "1.0"}
    path.write_text(json.dumps({"info": info, "annotations": annotations}, ensure_ascii=False), encoding="utf-8")
    return path
