"""Shapes of newer lists: JSON lines, nested columns, several captions, and files whose own columns differ."""

import gzip
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from example_lists import URL, laion, listed, pairs_of, prepare, zstd
from testbed.lists import released
from testbed.lists.pairs import uid
from testbed.lists.released import check_list, count_rows

NESTED = {"url": "image.url", "caption": "meta.captions[1]"}


def lines(tmp_path, *rows, name="a.jsonl", pack=bytes):
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    return listed(tmp_path, pack(text.encode()), name)


def table(tmp_path, file="a.parquet", **columns):
    path = tmp_path / "list" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)
    return path


def own(rows):
    """The rows without their pairs."""
    return [{key: value for key, value in row.items() if key not in ("uid", "url", "caption")} for row in rows]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_json_lines_keep_the_types_of_their_own_columns(tmp_path, pack):
    row = {
        "url": URL,
        "caption": "a cat",
        "id": 2**60,
        "score": 1,
        "nsfw": False,
        "tags": ["a", "é"],
        "exif": {"a": [1]},
    }
    other = {"caption": "a dog", "url": "http://a.test/2", "score": 0.5, "tags": None, "exif": None, "nsfw": None}
    path = lines(tmp_path, row, "", other, pack=pack)
    rows, dropped = prepare(path, "jsonl")
    assert rows[0] == {"uid": uid(URL, "a cat"), **row, "exif": '{"a": [1]}'} and not dropped
    assert own(rows[1:]) == [{"id": None, "score": 0.5, "nsfw": None, "tags": None, "exif": None}]
    check_list(path, "jsonl")
    assert count_rows(path, "jsonl") == 2


def test_lines_that_are_no_pairs_are_dropped(tmp_path):
    pair = {"url": URL, "caption": "a cat"}
    strange = [
        "[]",
        "null",
        "{",
        '{"url": 1, "caption": "a"}',
        '{"url": "u", "caption": {}}',
        '{"url": "u", "caption": "\\ud83d"}',
    ]
    path = lines(tmp_path, "\ufeff" + json.dumps(pair), *strange, {"url": URL}, {"caption": "a"}, '{"url": "http')
    rows, dropped = prepare(path, "jsonl")
    assert pairs_of(rows) == [(URL, "a cat")]
    assert dropped == {"malformed": 7, "empty_caption": 1, "bad_url": 1}


def test_types_that_the_first_lines_do_not_show_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(released, "FIRST_ROWS", 1)
    values = {
        "id": [1, 2**53 + 1, None],
        "score": [1, None, 0.5],
        "exact": [2**53 + 1, 0.5, 1],
        "mixed": [1, "b", [True]],
        "late": [None, None, 7],
        "size": [None, 2**63, 1],
    }
    rows = [
        {"url": f"http://a.test/{row}", "caption": "a"} | {key: cells[row] for key, cells in values.items()}
        for row in range(3)
    ]
    rows[1]["new"] = True
    lines(tmp_path, rows[0], name="a.jsonl")
    lines(tmp_path, *rows[1:], name="b.jsonl")
    found, _ = prepare(tmp_path / "list", "jsonl", threads=2)
    assert own(found) == [
        {"id": 1, "score": 1.0, "exact": "9007199254740993", "mixed": "1", "late": None, "size": None, "new": None},
        {"id": 2**53 + 1, "score": None, "exact": "0.5", "mixed": "b", "late": None, "size": str(2**63), "new": True},
        {"id": None, "score": 0.5, "exact": "1", "mixed": "[true]", "late": 7, "size": "1", "new": None},
    ]


def test_a_column_without_values_is_one_of_texts(tmp_path):
    rows, _ = prepare(lines(tmp_path, {"url": URL, "caption": "a", "x": None}), "jsonl")
    assert own(rows) == [{"x": None}]


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_nested_columns_are_named_by_their_place(tmp_path, format):
    rows = [
        {"image": {"url": URL}, "meta": {"captions": ["short", "a cat"]}},
        {"image": {"url": "http://a.test/2"}, "meta": {"captions": ["only one"]}},
        {"image": None, "meta": {"captions": ["x", "y"]}},
        {"image": {"url": "http://a.test/4"}, "meta": None},
        {"image": {"url": "http://a.test/5"}, "meta": {"captions": ["x", "a dog"]}},
    ]
    if format == "jsonl":
        path = lines(tmp_path, *rows)
    else:
        path = table(tmp_path, **{key: [row[key] for row in rows] for key in ("image", "meta")})
    check_list(path, format, NESTED)
    found, dropped = prepare(path, format, NESTED)
    assert pairs_of(found) == [(URL, "a cat"), ("http://a.test/5", "a dog")]
    assert dropped == {"empty_caption": 2, "bad_url": 1}
    assert len(own(found)[0]) == 2


def test_a_column_that_has_the_name_of_a_place_is_meant_itself(tmp_path):
    path = table(tmp_path, url=[URL], **{"captions[0]": ["itself"], "captions": [["first"]]})
    rows, _ = prepare(path, "parquet", {"caption": "captions[0]"})
    assert pairs_of(rows) == [(URL, "itself")]


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_one_of_several_captions_is_taken_by_a_draw_that_is_the_same_everywhere(tmp_path, format):
    captions = [["", "\u200b", f"first {row}", f"second {row}", f"third {row}"] for row in range(300)]
    urls = [f"http://a.test/{row}" for row in range(300)]
    if format == "jsonl":
        path = lines(tmp_path, *({"url": url, "captions": texts} for url, texts in zip(urls, captions, strict=True)))
    else:
        path = table(tmp_path, url=urls, captions=captions)
    first, _ = prepare(path, format, {"caption": "captions"})
    assert [row["caption"] for row in first] == [f"first {row}" for row in range(300)]
    drawn, _ = prepare(path, format, {"caption": "captions", "several": "random"})
    assert [row["caption"] for row in drawn] == [
        f"{('first', 'second', 'third')[int(uid(url, f'first {row}'), 16) % 3]} {row}" for row, url in enumerate(urls)
    ]
    assert all(
        70 < sum(row["caption"].startswith(word) for row in drawn) < 130 for word in ("first", "second", "third")
    )
    assert drawn[0]["captions"] == captions[0]


@pytest.mark.parametrize("several", ["first", "random"])
def test_a_url_that_is_no_text_makes_its_row_malformed_whichever_caption_is_taken(tmp_path, several):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"url": "http://a.test/\\ud800.jpg", "captions": ["a", "b"]}\n{"url": "http://a.test/1", "captions": ["a", "b"]}\n'
    )
    rows, dropped = prepare(path, "jsonl", {"caption": "captions", "several": several})
    assert [row["url"] for row in rows] == ["http://a.test/1"] and dropped == {"malformed": 1}


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_lists_without_a_caption_are_dropped(tmp_path, format):
    texts = [[], None, ["", " "], ["a cat", None]]
    path = (
        table(tmp_path, url=[URL] * 4, caption=pa.array(texts, pa.list_(pa.string())))
        if format == "parquet"
        else lines(tmp_path, *({"url": URL, "caption": captions} for captions in texts))
    )
    rows, dropped = prepare(path, format)
    assert pairs_of(rows) == [(URL, "a cat")] and dropped == {"empty_caption": 3}
    assert own(rows) == [{"source_caption": ["a cat", None] if format == "parquet" else '["a cat", null]'}]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.list_(pa.binary())])
def test_parquet_texts_may_be_bytes(tmp_path, kind):
    is_list = pa.types.is_list(kind)
    texts = ["é".encode(), b"\xff"]
    captions = pa.array([[text] for text in texts] if is_list else texts, kind)
    urls = pa.array([URL.encode(), b"http://a.test/2"], pa.binary() if is_list else kind)
    rows, dropped = prepare(table(tmp_path, url=urls, caption=captions), "parquet")
    assert pairs_of(rows) == [(URL, "é")] and dropped == {"empty_caption" if is_list else "malformed": 1}


def test_parquet_files_may_differ_in_their_own_columns(tmp_path):
    both = {"URL": [URL], "TEXT": ["a"], "NSFW": ["UNLIKELY"]}
    for number, columns in enumerate(
        [
            {"WIDTH": [2], "id": [2**53 + 1], "flag": pa.nulls(1), "extra": [{"a": 1}], "name": ["x"]},
            {"WIDTH": [2.5], "id": [0.5], "flag": [True], "extra": ["b"], "name": pa.array(["y"]).dictionary_encode()},
            {"similarity": [0.25], "name": [7], "flag": pa.nulls(1)},
        ]
    ):
        table(tmp_path, f"{number}.parquet", **both | {"URL": [f"http://a.test/{number}"]}, **columns)
    rows, _ = prepare(tmp_path / "list", "laion")
    keys = ["WIDTH", "id", "flag", "extra", "name", "similarity"]
    assert [[row[key] for key in keys] for row in rows] == [
        [2.0, "9007199254740993", None, '{"a": 1}', "x", None],
        [2.5, "0.5", True, "b", "y", None],
        [None, None, None, None, "7", 0.25],
    ]


def test_parquet_files_of_equal_columns_keep_their_types(tmp_path):
    kinds = {
        "a": pa.int32(),
        "b": pa.float32(),
        "c": pa.large_string(),
        "d": pa.timestamp("ms"),
        "e": pa.list_(pa.list_(pa.int8())),
    }
    for number in range(2):
        cells = {"a": [1], "b": [0.5], "c": ["x"], "d": [7], "e": [[[1]]]}
        laion(tmp_path, f"{number}.parquet", **{name: pa.array(cells[name], kind) for name, kind in kinds.items()})
    prepare(tmp_path / "list", "laion")
    schema = parquet.read_schema(tmp_path / "list_out" / "pairs.parquet")
    assert {name: schema.field(name).type for name in kinds} == kinds | {"e": schema.field("e").type}


def test_text_lists_may_differ_in_their_own_columns(tmp_path):
    listed(tmp_path, f"url\tcaption\tid\n{URL}\ta\t1\n", "0.tsv")
    listed(tmp_path, "score\turl\tcaption\n0.5\thttp://a.test/2\tb\n", "1.tsv")
    rows, _ = prepare(tmp_path / "list", "tsv")
    assert own(rows) == [{"id": "1", "score": None}, {"id": None, "score": "0.5"}]


def test_texts_in_lists_that_are_not_utf8_make_a_row_malformed(tmp_path):
    broken = pa.ListArray.from_arrays([0, 1, 2], pa.array([b"\xff", b"a"], pa.binary()).view(pa.string()))
    rows, dropped = prepare(table(tmp_path, url=[URL, "http://a.test/2"], caption=["a", "b"], tags=broken), "parquet")
    assert own(rows) == [{"tags": ["a"]}] and dropped == {"malformed": 1}
