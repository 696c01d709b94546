"""Lists that are not what they are said to be: one clear message each, early where the beginning shows it."""

import bz2
import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from example_lists import URL, annotation, laion, listed, prepare, redcaps, zstd
from make_miniweb import make_source
from prepare_metadata import prepare_list
from processes import cpu_seconds
from testbed.lists import released
from testbed.lists.formats import FORMATS
from testbed.lists.pairs import ListError
from testbed.lists.released import check_length, check_list, count_rows
from testbed.miniweb.lists import FORMATS as MINIWEB_FORMATS


def fails(path, format, columns=None):
    """The message, which preparation and the early check agree on."""
    with pytest.raises(ListError) as early:
        check_list(path, format, columns)
    with pytest.raises(ListError) as late:
        prepare_list(path, format, columns, Path(path).parent / "out" / "pairs.parquet")
    assert str(early.value) == str(late.value)
    assert not list((Path(path).parent / "out").glob("*"))
    return str(early.value)


@pytest.mark.parametrize("name", ["missing.tsv", "missing*.tsv"])
def test_a_missing_file_is_an_error(tmp_path, name):
    message = fails(tmp_path / name, "yfcc")
    assert message.startswith(f"{tmp_path / name}: there is no such file") and "correct the path" in message


def test_a_folder_without_fitting_files_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "has no file that ends in .parquet" in fails(tmp_path / "empty", "laion")


def test_a_link_to_nowhere_is_an_error(tmp_path):
    listed(tmp_path, f"{URL}\ta cat\n", "b.tsv")
    (tmp_path / "list" / "a.tsv").symlink_to(tmp_path / "nowhere")
    assert "a.tsv: cannot be read" in fails(tmp_path / "list", "yfcc")


def test_an_unknown_format_is_an_error(tmp_path):
    message = fails(listed(tmp_path, "x"), "coyo")
    assert "'coyo'" in message and all(name in message for name in FORMATS)


def test_wrong_columns_are_errors(tmp_path):
    path = listed(tmp_path, f"image\ttext\n{URL}\ta cat\n")
    assert "has no column url, caption; it has 'image', 'text'" in fails(path, "tsv")
    assert "has no column link; it has 'image', 'text'" in fails(path, "tsv", {"url": "link", "caption": "text"})
    assert "has no column image_url, caption_reference_description, language" in fails(path, "wit")
    assert "columns: the format yfcc has fixed columns" in fails(path, "yfcc", {"url": "image"})
    assert "columns: link is unknown" in fails(path, "tsv", {"link": "image"})
    parquet.write_table(pa.table({"URL": [URL], "label": ["a"]}), tmp_path / "x.parquet")
    assert "has no column TEXT, NSFW; it has 'URL', 'label'" in fails(tmp_path / "x.parquet", "laion")


def test_places_that_do_not_exist_are_errors(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"url": [URL], "meta": [{"captions": ["a"]}], "url2": [[URL]]}), path)
    for place, reason in [
        ("meta.text", "has no meta.text: 'text' is not in the type struct"),
        ("meta[0]", "has no meta[0]: 0 is not in the type struct"),
        ("url[0]", "has no url[0]: 0 is not in the type string"),
        ("meta", "column meta has the type struct<captions: list<element: string>>, not text"),
        ("text.captions[0]", "has no column text; it has 'url', 'meta'"),
    ]:
        assert reason in fails(path, "parquet", {"caption": place})
    assert "column url2 has the type list" in fails(path, "parquet", {"url": "url2", "caption": "meta.captions"})
    assert "columns.several: a cell of tsv has one caption" in fails(path, "tsv", {"several": "first"})


def test_columns_that_are_no_texts_or_come_twice_are_errors(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"url": [1], "caption": ["a"]}), path)
    assert "column url has the type int64, not text" in fails(path, "parquet")
    parquet.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, ["url", "caption", "caption"]), path)
    assert "column caption more than once" in fails(path, "parquet")


def test_a_later_file_that_lacks_url_or_caption_is_an_error(tmp_path):
    laion(tmp_path, "0.parquet")
    parquet.write_table(pa.table({"URL": [URL], "NSFW": ["UNLIKELY"]}), tmp_path / "list" / "1.parquet")
    with pytest.raises(ListError, match="1.parquet: has no column TEXT"):
        prepare(tmp_path / "list", "laion")
    listed(tmp_path, f"url\tcaption\n{URL}\ta\n", "0.tsv")
    listed(tmp_path, f"url\ttext\n{URL}\tb\n", "1.tsv")
    with pytest.raises(ListError, match="1.tsv: has no column caption"):
        prepare(tmp_path / "list", "tsv")


def test_json_without_annotations_is_an_error(tmp_path):
    for content in ([annotation()], {"info": {}}, {"annotations": {}}):
        message = fails(listed(tmp_path, json.dumps(content), "cats.json"), "redcaps")
        assert "cats.json" in message and '"annotations"' in message


def test_cut_files_are_errors(tmp_path):
    whole = json.dumps({"annotations": [annotation()] * 3})
    for length in (1, 20, 150, len(whole) - 3, len(whole) - 1):
        with pytest.raises(ListError, match=r"cats.json: is not complete JSON .*download it again"):
            prepare(listed(tmp_path, whole[:length], "cats.json"), "redcaps")
    deep = '{"annotations": ' + "[" * 200_000
    with pytest.raises(ListError, match="is not complete JSON"):
        prepare(listed(tmp_path, deep, "cats.json"), "redcaps")
    lines = "".join(f"http://a.test/{number}\t{hashlib.md5(b'%d' % number).hexdigest()}\n" for number in range(5000))
    for pack in (gzip.compress, bz2.compress, zstd):
        with pytest.raises(ListError, match=r"list.tsv: (is truncated|cannot be read).*download it again"):
            prepare(listed(tmp_path, pack(lines.encode())[:-9]), "yfcc")
    path = laion(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    assert "is not a complete parquet file" in fails(path, "laion")


def test_files_of_another_kind_are_errors(tmp_path):
    path = laion(tmp_path)
    assert "is a parquet file: choose the format parquet" in fails(path, "yfcc")
    assert "is a zip archive: unpack it" in fails(listed(tmp_path, b"PK\x03\x04rest", "a.json"), "redcaps")
    assert "is not a complete parquet file" in fails(listed(tmp_path, f"{URL}\ta cat\n"), "laion")
    assert "has no header line" in fails(listed(tmp_path, b"\n\n", "a.csv"), "csv")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_texts_in_utf16_are_named_as_such(tmp_path, pack):
    text = f"url\tcaption\n{URL}\ta cat\n"
    for encoding, name in {
        "utf-16": "UTF-16",
        "utf-16-le": "UTF-16LE",
        "utf-16-be": "UTF-16BE",
        "utf-32": "UTF-32",
    }.items():
        message = fails(listed(tmp_path, pack(text.encode(encoding)), "a.tsv"), "tsv")
        assert f"a.tsv: is in {name}, but" in message and f"iconv -f {name} -t UTF-8 a.tsv" in message
        assert f"is in {name}, but" in fails(tmp_path / "list" / "a.tsv", "cc12m")


def test_json_lines_that_are_something_else_are_errors(tmp_path):
    row = {"image": URL, "captions": ["a cat"]}
    message = fails(listed(tmp_path, json.dumps([row, row], indent=1), "a.jsonl"), "jsonl")
    assert "its first lines are no JSON objects; write one object in each line (jq -c '.[]' does" in message
    path = listed(tmp_path, json.dumps(row), "a.jsonl")
    assert "its first 1 rows have nothing at url; they have 'image', 'captions'" in fails(path, "jsonl")
    assert "have nothing at captions[1]" in fails(path, "jsonl", {"url": "image", "caption": "captions[1]"})
    with pytest.raises(ListError, match="is empty"):
        check_list(listed(tmp_path, "", "a.jsonl"), "jsonl")
    assert "is a parquet file" in fails(laion(tmp_path), "jsonl")
    many = listed(
        tmp_path, json.dumps({"url": URL, "caption": "a"} | dict.fromkeys(map(str, range(1000)), 1)), "b.jsonl"
    )
    with pytest.raises(ListError, match=r"b.jsonl: its rows have more than 1,000 different keys"):
        prepare(many, "jsonl")


def test_empty_files_are_errors(tmp_path):
    empty = listed(tmp_path, "", "empty.tsv")
    assert "has no header line" in fails(empty, "tsv")
    with pytest.raises(ListError, match="is empty"):
        check_list(empty, "yfcc")
    with pytest.raises(ListError, match="has no row"):
        prepare(empty, "yfcc")


def test_a_list_without_usable_rows_is_an_error_that_counts(tmp_path):
    path = listed(tmp_path, f"a cat\t{URL}\na dog\thttp://a.test/2\n\n{URL}\t \n")
    with pytest.raises(ListError, match=r"list.tsv: none of 3 rows .*cc12m.*bad_url 2, empty_caption 1\. bad_url: "):
        prepare(path, "cc12m")


def test_the_early_check_accepts_every_miniweb_list(tmp_path):
    for kind, format in MINIWEB_FORMATS.items():
        make_source(kind, 20, 1, tmp_path / kind / "manifest.json")
        assert check_list(tmp_path / kind / "list", format, {}) is None


@pytest.mark.slow
def test_the_early_check_reads_no_more_than_the_beginning(tmp_path):
    big = tmp_path / "big.json"
    with open(big, "w", encoding="utf-8") as file:
        file.write('{"info": {}, "annotations": [')
        file.writelines(json.dumps(annotation(f"http://a.test/{number}")) + ",\n" for number in range(200_000))
    table = tmp_path / "big.tsv"
    table.write_text("url\tcaption\n" + f"{URL}\ta cat\n" * 1_000_000)
    start = cpu_seconds()
    check_list(big, "redcaps")
    check_list(table, "tsv")
    early = cpu_seconds() - start
    start = cpu_seconds()
    with pytest.raises(ListError):
        prepare(big, "redcaps")
    assert early < (cpu_seconds() - start) / 10


def test_the_early_check_imports_nothing_heavy():
    heavy = {"pyarrow", "numpy", "duckdb", "pandas", "torch"}
    code = f"import sys, testbed.lists.released; print(sorted({heavy} & set(sys.modules)))"
    folder = Path(released.__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_rows_are_counted_before_a_run_where_that_is_cheap(tmp_path, monkeypatch):
    text = listed(tmp_path, f'url,caption\n{URL},"a cat\non a mat"\n{URL},a dog\n\nbad\n', "a.csv")
    assert count_rows(text, "csv") == 3
    assert count_rows(redcaps(tmp_path, annotation(), annotation()), "redcaps") == 2
    laion(tmp_path, "0.parquet")
    assert count_rows(laion(tmp_path, "1.parquet").parent / "*.parquet", "laion") == 2
    monkeypatch.setattr(released, "COUNTED_BYTES", 10)
    assert count_rows(text, "csv") is None
    assert count_rows(tmp_path / "list", "laion") == 2


def test_a_list_with_fewer_rows_than_its_trainsets_need_is_an_error(tmp_path):
    path = laion(tmp_path)
    check_length(path, "laion", {}, needed=1)
    with pytest.raises(
        ListError, match=r"0.parquet: has 1 rows, but the trainsets of its source need 2\. Lower the sizes"
    ):
        check_length(path, "laion", {}, needed=2)
