"""Each released format and its oddities."""

import bz2
import gzip
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from example_lists import URL, annotation, laion, listed, pairs_of, prepare, redcaps, zstd
from testbed.lists import json_stream
from testbed.lists.pairs import ListError, uid
from testbed.miniweb.lists import WIT_COLUMNS


@pytest.mark.parametrize("format", ["yfcc", "cc12m", "shutterstock"])
def test_headerless_lists_have_no_quoting(tmp_path, format):
    content = (
        f'{URL}\t"a stray quote\nhttp://a.test/2.jpg\tnext row\nhttp://a.test/3.jpg\t"whole"\n"http://a.test/4\tx\n'
    )
    rows, dropped = prepare(listed(tmp_path, content), format)
    assert pairs_of(rows) == [
        (URL, '"a stray quote'),
        ("http://a.test/2.jpg", "next row"),
        ("http://a.test/3.jpg", '"whole"'),
    ]
    assert dropped == {"bad_url": 1}


def test_cc3m_has_the_caption_first(tmp_path):
    rows, _ = prepare(listed(tmp_path, f"a cat\t{URL}\n"), "cc3m")
    assert pairs_of(rows) == [(URL, "a cat")]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstd])
def test_packed_text_is_unpacked_whatever_its_name(tmp_path, pack):
    for name in ("list.tsv.gz", "list.tsv.bz2", "list.tsv.zst", "list"):
        rows, _ = prepare(listed(tmp_path, pack(f"{URL}\ta cat\n".encode()), name), "yfcc")
        assert pairs_of(rows) == [(URL, "a cat")]


def test_packed_json_is_unpacked(tmp_path):
    content = gzip.compress(json.dumps({"annotations": [annotation()]}).encode())
    rows, _ = prepare(listed(tmp_path, content, "cats_2018.json.gz"), "redcaps")
    assert pairs_of(rows) == [(URL, "a cat")]


def test_laion_keeps_what_is_unlikely_to_be_nsfw_and_its_own_columns(tmp_path):
    values = ["UNLIKELY", "UNSURE", "NSFW", None, "UNLIKELY", "UNLIKELY"]
    path = laion(
        tmp_path,
        URL=[f"http://a.test/{number}" for number in range(5)] + [None],
        TEXT=["a", "b", "c", "d", None, "f"],
        NSFW=values,
        similarity=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
    )
    rows, dropped = prepare(path, "laion")
    assert rows == [
        {
            "uid": uid("http://a.test/0", "a"),
            "url": "http://a.test/0",
            "caption": "a",
            "NSFW": "UNLIKELY",
            "similarity": 0.1,
        }
    ]
    assert dropped == {"nsfw": 3, "empty_caption": 1, "bad_url": 1}


def test_parquet_texts_that_are_not_utf8_are_malformed(tmp_path):
    def broken(*values):
        return pa.array(values, pa.binary()).view(pa.string())

    path = laion(
        tmp_path,
        URL=["http://a.test/1", "http://a.test/2", "http://a.test/3"],
        TEXT=broken(b"a", b"\xff", b"c"),
        NSFW=["UNLIKELY"] * 3,
        similarity=[0.0] * 3,
        LICENSE=broken(b"?", b"?", b"\xe9"),
    )
    rows, dropped = prepare(path, "laion")
    assert [row["caption"] for row in rows] == ["a"] and dropped == {"malformed": 2}


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_texts_of_every_kind(tmp_path, kind):
    path = laion(tmp_path, URL=pa.array([URL]).cast(kind), TEXT=pa.array(["a cat"]).cast(kind))
    rows, _ = prepare(path, "laion")
    assert pairs_of(rows) == [(URL, "a cat")]


def test_parquet_files_of_one_list_may_differ_in_number_types_and_order_of_columns(tmp_path):
    laion(tmp_path, "0.parquet", WIDTH=pa.array([1.0]))
    laion(tmp_path, "1.parquet", WIDTH=pa.array([2]), URL=["http://a.test/2"])
    rows, _ = prepare(tmp_path / "list", "laion")
    assert [row["WIDTH"] for row in rows] == [1.0, 2.0]


def test_own_columns_that_duckdb_would_confuse_are_renamed(tmp_path):
    columns = {"url": [URL], "text": ["a cat"], "URL": ["x"], "UID": ["y"], "caption": ["z"], "Size": [1], "size": [2]}
    path = tmp_path / "list" / "own.parquet"
    path.parent.mkdir()
    parquet.write_table(pa.table(columns | {"nothing": pa.nulls(1)}), path)
    rows, _ = prepare(path, "parquet", {"caption": "text"})
    assert {key: value for key, value in rows[0].items() if key != "uid"} == {
        "url": URL,
        "caption": "a cat",
        "source_url": "x",
        "source_uid": "y",
        "source_caption": "z",
        "Size": 1,
        "source_size": 2,
        "nothing": None,
    }


def test_wit_keeps_english_reference_captions(tmp_path):
    lines = [
        "\t".join(WIT_COLUMNS),
        wit_line(),
        wit_line("de", "http://a.test/2", "eine Katze"),
        wit_line("en", "http://a.test/3", ""),
        wit_line("en", "http://a.test/4", '"A ""cat"", sitting"'),
        wit_line("en", "http://a.test/5", '"stray'),
        wit_line("en", "http://a.test/6", '"two" and "three"'),
        wit_line("simple", "http://a.test/7"),
        wit_line("en", URL, "the same image"),
        "en\tcut short",
    ]
    path = listed(tmp_path, gzip.compress("\n".join(lines).encode()), "wit_v1.train.all-00000-of-00010.tsv.gz")
    rows, dropped = prepare(path, "wit")
    assert [row["caption"] for row in rows] == [
        "a cat",
        'A "cat", sitting',
        '"stray',
        '"two" and "three"',
        "the same image",
    ]
    assert dropped == {"language": 2, "empty_caption": 1, "malformed": 1}
    assert rows[0]["page_title"] == "Cat" and len(rows[0]) == 18 and "image_url" not in rows[0]


def test_redcaps_files_are_read_in_order_with_their_own_columns(tmp_path):
    redcaps(
        tmp_path,
        annotation("http://a.test/2", crosspost_parents=["p"], score="high", author=None),
        name="dogs_2018.json",
    )
    redcaps(tmp_path, annotation(), name="cats_2018.json")
    rows, _ = prepare(tmp_path / "list", "redcaps")
    assert [row["url"] for row in rows] == [URL, "http://a.test/2"]
    assert rows[0]["score"] == 3 and rows[0]["raw_caption"] == "A Cat" and rows[0]["crosspost_parents"] is None
    assert rows[1]["score"] is None and rows[1]["author"] is None and rows[1]["crosspost_parents"] == ["p"]


def test_annotations_that_are_no_pairs(tmp_path):
    without_url = annotation()
    del without_url["url"]
    path = redcaps(
        tmp_path,
        annotation(),
        without_url,
        annotation(caption=7),
        "text",
        None,
        annotation(caption="half \ud83d"),
        annotation(caption=None),
        annotation(url=None),
        annotation("http://a.test/2", raw_caption="half \ud83d", score=2**70),
    )
    rows, dropped = prepare(path, "redcaps")
    assert [row["raw_caption"] for row in rows] == ["A Cat", "half ?"] and rows[1]["score"] is None
    assert dropped == {"malformed": 5, "empty_caption": 1, "bad_url": 1}


def test_json_is_read_in_small_bites_whatever_the_order_of_keys(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK", 7)
    entries = [annotation(f"http://a.test/{number}", f'caption "{number}" \u00e9 ]}}') for number in range(50)]
    content = {"count": 1234567, "annotations": entries, "info": {"annotations": [1]}, "last": 12}
    for indent in (None, 2):
        path = listed(tmp_path, json.dumps(content, indent=indent), "cats_2018.json")
        rows, _ = prepare(path, "redcaps")
        assert pairs_of(rows) == [(entry["url"], entry["caption"]) for entry in entries]


def test_csv_has_quoting(tmp_path):
    content = (
        f'id,caption,url\n1,"a ""cat"", sitting\nhere",{URL}\n2,"a"b,http://a.test/2\n3,c,http://a.test/3,more\n\n4\n'
    )
    rows, dropped = prepare(listed(tmp_path, content, "list.csv"), "csv")
    assert rows == [{"uid": rows[0]["uid"], "url": URL, "caption": 'a "cat", sitting here', "id": "1"}]
    assert dropped == {"malformed": 3}


def test_csv_rows_that_are_not_utf8_are_malformed(tmp_path):
    content = f"url,caption\n{URL},a cat\n".encode() + b"http://a.test/2,caf\xe9\nhttp://a.test/3,\xc3\xa9\n"
    rows, dropped = prepare(listed(tmp_path, content, "list.csv"), "csv")
    assert [row["caption"] for row in rows] == ["a cat", "é"] and dropped == {"malformed": 1}


def test_tsv_has_a_header_and_no_quoting(tmp_path):
    content = f'text\tid\timage\n"a cat\t1\t{URL}\n"b"\t2\thttp://a.test/2\n'
    rows, _ = prepare(listed(tmp_path, content), "tsv", {"url": "image", "caption": "text"})
    assert pairs_of(rows) == [(URL, '"a cat'), ("http://a.test/2", '"b"')] and rows[1]["id"] == "2"


def wit_line(language="en", url=URL, caption="a cat", page="Cat"):
    cells = dict.fromkeys(WIT_COLUMNS, "") | {"language": language, "image_url": url, "page_title": page}
    return "\t".join((cells | {"caption_reference_description": caption}).values())


def test_csv_quotes_that_do_not_end_are_an_error(tmp_path):
    for rest in ("", "x,y\n" * 50_000):
        path = listed(tmp_path, f'url,caption\n{URL},a cat\nhttp://a.test/2,"open\n{rest}', "list.csv")
        with pytest.raises(ListError, match=r"list.csv: line \d+: a quoted field does not end"):
            prepare(path, "csv")
