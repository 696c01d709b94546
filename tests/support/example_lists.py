"""Small released lists for tests, and what prepare_metadata makes of them."""

import json

import pyarrow as pa
from pyarrow import parquet

from prepare_metadata import prepare_list
from testbed.lists.pairs import CAUSES

URL = "http://a.test/1.jpg"


def listed(tmp_path, content, name="list.tsv"):
    """A list file in a folder of its own."""
    path = tmp_path / "list" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zstd(content):
    """The content in two frames of Zstandard, as parallel packers write it."""
    half = len(content) // 2
    return b"".join(pa.Codec("zstd").compress(part, asbytes=True) for part in (content[:half], content[half:]))


def annotation(url=URL, caption="a cat", **more):
    return {"image_id": "x", "author": "me", "url": url, "raw_caption": "A Cat", "caption": caption, "score": 3, **more}


def redcaps(tmp_path, *annotations, name="cats_2018.json"):
    return listed(tmp_path, json.dumps({"info": {"version": "1.0"}, "annotations": annotations}), name)


def laion(tmp_path, name="0.parquet", **columns):
    table = {"URL": [URL], "TEXT": ["a cat"], "NSFW": ["UNLIKELY"], "similarity": [0.31]} | columns
    path = tmp_path / "list" / name
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(pa.table(table), path)
    return path


def prepare(path, format, columns=None, **options):
    """The rows that were kept and the non-zero counts."""
    folder = path if path.is_dir() else path.parent
    output = folder.parent / f"{folder.name}_out" / "pairs.parquet"
    counts = prepare_list(path, format, columns, output, **options).as_json()
    assert counts["rows"] == counts["kept"] + sum(counts["dropped"].values())
    assert list(counts["dropped"]) == list(CAUSES)
    assert [file.name for file in output.parent.iterdir()] == ["pairs.parquet"]
    rows = parquet.read_table(output).to_pylist()
    assert len(rows) == counts["kept"]
    return rows, {cause: count for cause, count in counts["dropped"].items() if count}


def pairs_of(rows):
    return [(row["url"], row["caption"]) for row in rows]
