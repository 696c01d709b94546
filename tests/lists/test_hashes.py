"""Hashes of images in lists: in each format, as text or bytes, and what is no hash."""

import gzip
import hashlib
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from example_lists import URL, listed, prepare
from prepare_metadata import prepare_list
from testbed.lists.formats import resolve_format
from testbed.lists.pairs import ListError, uid

SHA256, MD5 = hashlib.sha256(b"image"), hashlib.md5(b"image")
URLS = [URL, "http://a.test/2", "http://a.test/3", "http://a.test/4"]


def write(tmp_path, format, hashes):
    rows = [{"url": url, "caption": "a", "hash": value, "id": "x"} for url, value in zip(URLS, hashes, strict=False)]
    if format == "parquet":
        path = tmp_path / "list" / "a.parquet"
        path.parent.mkdir(exist_ok=True)
        parquet.write_table(pa.Table.from_pylist(rows), path)
        return path
    if format == "jsonl":
        return listed(tmp_path, "\n".join(map(json.dumps, rows)), "a.jsonl")
    mark = "," if format == "csv" else "\t"
    lines = [mark.join(rows[0]), *(mark.join(cell or "" for cell in row.values()) for row in rows)]
    return listed(tmp_path, "\n".join(lines), f"a.{format}")


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_hashes_of_every_format_are_expected(tmp_path, format, kind):
    digest = hashlib.new(kind, b"image").hexdigest()
    path = write(tmp_path, format, [f" {digest.upper()} ", None, digest[:-1], digest])
    output = tmp_path / "list_out" / "pairs.parquet"
    rows, counts = prepare(path, format, {kind: "hash"})
    assert [row[f"expected_{kind}"] for row in rows] == [digest, None, None, digest]
    # The other columns and the identity of a pair are those of a list without hashes.
    assert list(rows[0]) == ["uid", "url", "caption", "id", f"expected_{kind}"]
    assert rows[0]["uid"] == uid(URL, "a") and parquet.read_schema(output).names == list(rows[0])


@pytest.mark.parametrize("type", [pa.binary(), pa.binary(32), pa.large_binary()])
def test_hashes_may_be_bytes(tmp_path, type):
    path = tmp_path / "list" / "a.parquet"
    path.parent.mkdir()
    hashes = pa.array([SHA256.digest(), None], type)
    parquet.write_table(
        pa.table({"url": URLS[:2], "caption": ["a", "b"], "image": pa.StructArray.from_arrays([hashes], ["h"])}), path
    )
    rows, _ = prepare(path, "parquet", {"sha256": "image.h"})
    assert [row["expected_sha256"] for row in rows] == [SHA256.hexdigest(), None]


def test_hexadecimal_digits_may_be_bytes(tmp_path):
    path = write(tmp_path, "parquet", [SHA256.hexdigest().encode()])
    assert prepare(path, "parquet", {"sha256": "hash"})[0][0]["expected_sha256"] == SHA256.hexdigest()
    path = write(tmp_path, "parquet", [MD5.hexdigest().encode()])
    assert prepare(path, "parquet", {"md5": "hash"})[0][0]["expected_md5"] == MD5.hexdigest()


def test_a_column_without_any_hash_is_an_error(tmp_path):
    path = write(tmp_path, "csv", [MD5.hexdigest(), "x"])
    with pytest.raises(
        ListError, match=r"a.csv: column hash has a sha256 of 64 hexadecimal digits in no usable row; correct"
    ):
        prepare(path, "csv", {"sha256": "hash"})
    with pytest.raises(ListError, match=r"a.csv: has no column sums"):
        prepare(path, "csv", {"md5": "sums"})
    with pytest.raises(ListError, match=r"columns: sha256 and md5 are both given"):
        resolve_format("csv", {"sha256": "a", "md5": "b"})


@pytest.mark.parametrize("format", ["cc12m", "cc3m"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_hashes_in_a_file_of_their_own_are_joined_by_url(tmp_path, format, pack):
    urls = [URL, "http://a.test/a b", "http://a.test/3", URL, "http://a.test/5", URL]
    captions = ["a", "b", "c", "d", "e", "a"]
    columns = (urls, captions) if format == "cc12m" else (captions, urls)
    path = listed(tmp_path, "\n".join(map("\t".join, zip(*columns, strict=True))))
    digests = {url: hashlib.sha256(url.encode()).hexdigest() for url in (*urls, "http://a.test/9")}
    lines = [f"{url}\t{digests[url]}\t{MD5.hexdigest()}" for url in (*urls[1:2], URL, URL, "http://a.test/9")]
    join = tmp_path / "hashes.tsv.gz"
    join.write_bytes(pack("\n".join([*lines, "http://a.test/3\tnone\tnone", "http://a.test/5"]).encode()))
    rows, dropped = prepare(path, format, join=str(join))
    wanted = [digests[URL], digests["http://a.test/a b"], None, digests[URL], None]
    assert [row["expected_sha256"] for row in rows] == wanted and dropped == {"duplicate": 1}
    assert [row["caption"] for row in rows] == ["a", "b", "c", "d", "e"]
    without, _ = prepare(path, format)
    assert [row["uid"] for row in rows] == [row["uid"] for row in without] and "expected_sha256" not in without[0]
    counts = prepare_list(path, format, {}, tmp_path / "out" / "pairs.parquet", join=str(join))
    assert (counts.as_json()["hashed"], [entry["path"] for entry in counts.files]) == (4, [str(path), str(join)])


def test_hashes_of_other_urls_are_an_error(tmp_path):
    path = listed(tmp_path, f"{URL}\ta\n")
    join = tmp_path / "hashes.tsv"
    join.write_text(f"http://a.test/9\t{SHA256.hexdigest()}\t{MD5.hexdigest()}\n")
    with pytest.raises(ListError, match=r"hashes.tsv: has no SHA-256 for any URL of the list; correct join"):
        prepare(path, "cc12m", join=str(join))
    join.write_text("a line\n")
    with pytest.raises(ListError, match=r"hashes.tsv: its first line is not URL, SHA-256 and MD5 with tabs between"):
        prepare(path, "cc12m", join=str(join))


def test_own_columns_are_not_taken_for_hashes(tmp_path):
    path = listed(tmp_path, f"url\tcaption\texpected_md5\n{URL}\ta\t{MD5.hexdigest()}\n")
    rows, _ = prepare(path, "tsv")
    assert list(rows[0]) == ["uid", "url", "caption", "source_expected_md5"]
