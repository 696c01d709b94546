"""Small pools for the tests of filters: shards, the table of their samples, and lists of entries."""

import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from build_entries import build_entries
from count_entries import count_entries
from list_samples import list_samples
from match_entries import match_entries
from mini_parts import make_rows
from testbed.records.files import add_member
from testbed.records.manifest import record, write_json


def draw_image(number: int, size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), tuple(hashlib.md5(str(number).encode()).digest()[:3])).save(file, "JPEG")
    return file.getvalue()


def rows_of(captions: list[str]) -> list[dict]:
    """Rows of a shuffled list with these captions; beside the pair they have the columns of `mini_parts.make_rows`."""
    rows = make_rows([f"http://a.test/{number}.jpg" for number in range(len(captions))])
    return [row | {"caption": caption} for row, caption in zip(rows, captions, strict=True)]


def facts_of(number: int, image: bytes) -> dict:
    sides = {"width": 8, "height": 8, "original_width": 100 + number, "original_height": 400}
    return {"sha256": hashlib.sha256(image).hexdigest(), **sides}


def write_pool(folder: Path, captions: list[str], shard_size: int = 10, images: list[bytes] | None = None) -> Path:
    """Shards of samples with `captions` as shard_samples leaves them, in `folder`/shards, and the table of them in
    `folder`/samples; returns the folder of the latter."""
    import tarfile

    rows, shards = rows_of(captions), folder / "shards"
    shards.mkdir(parents=True)
    images = images or [draw_image(number) for number in range(len(rows))]
    files = []
    for shard, start in enumerate(range(0, len(rows), shard_size)):
        path = shards / f"{shard:06d}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for number in range(start, min(start + shard_size, len(rows))):
                row, image = rows[number], images[number]
                metadata = json.dumps(row | facts_of(number, image), sort_keys=True, ensure_ascii=False)
                add_member(archive, f"{row['uid']}.jpg", image)
                add_member(archive, f"{row['uid']}.json", metadata.encode())
                add_member(archive, f"{row['uid']}.txt", row["caption"].encode())
        content = rows[start : start + shard_size]
        uids = {"first_uid": content[0]["uid"], "last_uid": content[-1]["uid"]}
        files.append(record(path, samples=len(content), **uids))
    manifest = {"source": "mine", "samples": len(rows), "shard_size": shard_size, "files": files}
    write_json(shards / "manifest.json", manifest)
    return list_pool(folder, rows)


def list_pool(folder: Path, rows: list[dict]) -> Path:
    samples = folder / "samples"
    samples.mkdir(exist_ok=True)
    schema = pa.Table.from_pylist(rows).schema
    write_json(samples / "manifest.json", list_samples(folder / "shards", schema, samples))
    return samples


def write_entries(folder: Path, entries: list[str]) -> Path:
    """A list of entries as build_entries leaves it."""
    folder.mkdir(parents=True)
    (folder / "list.txt").write_text("\n".join(entries), encoding="utf-8")
    lists = [{"kind": "list", "path": str(folder / "list.txt")}]
    write_json(folder / "manifest.json", build_entries(lists, folder))
    return folder


def write_matches(folder: Path, samples: Path, entries: list[str]) -> tuple[Path, Path, Path]:
    """The folders of entries, matches and counts of the pool `samples`, made as the rules make them."""
    listed = write_entries(folder / "entries", entries)
    for name, make in (("matches", match_entries), ("counts", count_entries)):
        (folder / name).mkdir()
        other = samples if name == "matches" else folder / "matches"
        write_json(folder / name / "manifest.json", make(listed, other, folder / name))
    return listed, folder / "matches", folder / "counts"


def table_of(folder: Path) -> pa.Table:
    """All parts of a table."""
    return pa.concat_tables([parquet.read_table(path) for path in sorted(folder.glob("[0-9]*.parquet"))])
