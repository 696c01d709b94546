"""Released lists as pairs: the round trip of every source, every cause of dropping, order, duplicates, determinism."""

import gzip
import logging
from collections import Counter

import pytest
from pyarrow import parquet

import prepare_metadata
from example_lists import URL, listed, pairs_of, prepare
from make_miniweb import draw_source, make_source
from prepare_metadata import Counts, prepare_list, warn_if_short
from testbed.lists import released_batches
from testbed.lists.pairs import CAUSES, ListError, uid
from testbed.miniweb.lists import FORMATS as MINIWEB_FORMATS
from testbed.miniweb.rows import INVALID_ROWS
from testbed.records.manifest import read_json


@pytest.mark.parametrize("kind", MINIWEB_FORMATS)
def test_every_released_format_gives_back_what_was_expected(tmp_path, kind):
    make_source(kind, 400, 9, tmp_path / "source" / "manifest.json")
    rows, dropped = prepare(tmp_path / "source" / "list", MINIWEB_FORMATS[kind])
    assert pairs_of(rows) == [(row.url, row.expected) for row in draw_source(kind, 400, 9).rows if not row.cause]
    assert dropped == read_json(tmp_path / "source" / "manifest.json")["traps"]


def test_the_miniweb_sets_every_trap():
    assert {cause for shares in INVALID_ROWS.values() for cause in shares} == set(CAUSES)


def test_rows_have_their_uid(tmp_path):
    rows, _ = prepare(listed(tmp_path, f"{URL}\t a  cat \n"), "cc12m")
    assert rows == [{"uid": uid(URL, "a cat"), "url": URL, "caption": "a cat"}]


def test_raw_blanks_in_urls_are_encoded(tmp_path):
    rows, dropped = prepare(listed(tmp_path, "http://a.test/my cat.jpg\ta cat\n"), "cc12m")
    url = "http://a.test/my%20cat.jpg"
    assert rows == [{"uid": uid(url, "a cat"), "url": url, "caption": "a cat"}] and not dropped


def test_na_and_null_are_captions(tmp_path):
    captions = ["NA", "null", "NaN", "None", "N/A", "nan", "-", "0"]
    rows, dropped = prepare(listed(tmp_path, "".join(f"{URL}\t{caption}\n" for caption in captions)), "cc12m")
    assert [row["caption"] for row in rows] == captions and not dropped


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (URL.encode(), "malformed"),
        (f"{URL}\ta cat\tmore".encode(), "malformed"),
        (f"{URL}\tcaf".encode() + b"\xe9", "malformed"),
        (f"{URL}\t".encode() + b"x" * (1 << 20), "malformed"),
        (f"{URL}\t".encode() + b"x" * (3 << 20), "malformed"),
        (f"{URL}\t".encode(), "empty_caption"),
        (f"{URL}\t \u00a0 \\t".encode(), "empty_caption"),
        (f"{URL}\t\u200b\u200d \ufeff".encode(), "empty_caption"),
        (f"{URL}\t{'x' * 2001}".encode(), "long_caption"),
        (b"a.test/1.jpg\ta cat", "bad_url"),
        (b"ftp://a.test/1.jpg\ta cat", "scheme"),
        (b"http://me:secret@a.test/1.jpg\ta cat", "credentials"),
        (b"http://192.168.0.1/1.jpg\ta cat", "private_address"),
        (f"{URL}\tgood".encode(), "duplicate"),
        (f"{URL}\t  good \\t ".encode(), "duplicate"),
    ],
)
def test_causes_of_dropping(tmp_path, line, cause):
    content = f"{URL}\tgood\n".encode() + line + b"\nhttp://a.test/9.jpg\tlast\n"
    rows, dropped = prepare(listed(tmp_path, content), "yfcc")
    assert pairs_of(rows) == [(URL, "good"), ("http://a.test/9.jpg", "last")]
    assert dropped == {cause: 1}


def test_addresses_of_private_networks_that_are_allowed_stay(tmp_path):
    path = listed(tmp_path, "".join(f"http://192.168.{number}.1/1.jpg\ta cat\n" for number in range(3)))
    rows, dropped = prepare(path, "yfcc", private_networks=["192.168.0.0/24", "192.168.2.1/32"])
    assert [row["url"] for row in rows] == ["http://192.168.0.1/1.jpg", "http://192.168.2.1/1.jpg"]
    assert dropped == {"private_address": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            f"http://10.0.0.1/1\ta cat\nhttp://10.0.0.2/2\ta dog\n{URL}\t\n",
            "none of 3 rows is usable as format yfcc; rows dropped: private_address 2, empty_caption 1. private_address: "
            "addresses are not public; add their networks to download.private_networks",
        ),
        (
            "a cat\thttp://a.test/1\n",
            "none of 1 rows is usable as format yfcc; rows dropped: bad_url 1. bad_url: rows have no URL where the format "
            "has it; correct metadata.format or metadata.columns",
        ),
        ("\n", "has no row; download it again"),
    ],
)
def test_a_list_without_a_usable_row_says_why(tmp_path, content, message):
    path = listed(tmp_path, content)
    with pytest.raises(ListError) as error:
        prepare(path, "yfcc")
    assert str(error.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("samples", "needed", "words"),
    [
        (70, 50, None),
        (100, 50, "source mine: the list has 70 usable pairs, fewer than samples: 100; all are fetched. rows"),
        (100, 90, "70 usable pairs, fewer than samples: 100; its trainsets need 90: lower the sizes"),
    ],
)
def test_a_list_that_is_too_short_is_told(samples, needed, words, caplog):
    with caplog.at_level(logging.WARNING):
        warn_if_short("mine", Counts(100, Counter(duplicate=30)), samples, needed)
    assert bool(caplog.text) == bool(words)
    assert not words or words in caplog.text and "rows dropped: duplicate 30" in caplog.text


def test_the_longest_captions_have_2000_characters(tmp_path):
    rows, dropped = prepare(listed(tmp_path, f"{URL}\t{'x' * 2000}\n{URL}\t{'x' * 2001}\n"), "yfcc")
    assert [len(row["caption"]) for row in rows] == [2000] and dropped == {"long_caption": 1}


def test_the_limit_of_captions_can_be_set(tmp_path):
    path = listed(tmp_path, f"{URL}\t12345\n{URL}\t123456\n")
    rows, dropped = prepare(path, "yfcc", longest=5)
    assert [row["caption"] for row in rows] == ["12345"] and dropped == {"long_caption": 1}


def test_windows_line_ends_byte_order_mark_and_blank_lines(tmp_path):
    content = b"\xef\xbb\xbf" + f"{URL}\ta cat\r\n\r\n\nhttp://a.test/2.jpg\ta dog\t \t\r\n".encode()
    rows, dropped = prepare(listed(tmp_path, content), "yfcc")
    assert pairs_of(rows) == [(URL, "a cat"), ("http://a.test/2.jpg", "a dog")] and not dropped


def test_a_list_without_a_last_line_end(tmp_path):
    rows, _ = prepare(listed(tmp_path, f"{URL}\ta cat\nhttp://a.test/2.jpg\tlast"), "yfcc")
    assert [row["caption"] for row in rows] == ["a cat", "last"]


def test_files_of_a_list_may_order_their_columns_differently(tmp_path):
    listed(tmp_path, f"url\tcaption\tid\n{URL}\ta cat\t1\n", "1.tsv")
    listed(tmp_path, "id\tcaption\turl\n2\ta dog\thttp://a.test/2\n", "2.tsv")
    rows, _ = prepare(tmp_path / "list", "tsv")
    assert [(row["url"], row["caption"], row["id"]) for row in rows] == [
        (URL, "a cat", "1"),
        ("http://a.test/2", "a dog", "2"),
    ]


def test_a_path_is_a_file_a_glob_or_a_folder_and_order_is_that_of_names(tmp_path):
    for number in (10, 2, 1):
        listed(tmp_path, f"http://a.test/{number}\tcaption {number}\n", f"{number:02d}.tsv")
    listed(tmp_path, "http://a.test/0\thidden\n", ".00.tsv")
    listed(tmp_path, "http://a.test/0\tother ending\n", "00.md")
    (tmp_path / "list" / "03.tsv").mkdir()
    folder = tmp_path / "list"
    for path in (folder, folder / "*.tsv", folder / "[0-1]?.tsv"):
        output = tmp_path / "pairs.parquet"
        prepare_list(path, "cc12m", None, output)
        captions = parquet.read_table(output)["caption"].to_pylist()
        assert captions == ["caption 1", "caption 2", "caption 10"]


def test_files_in_folders_in_a_folder_are_read(tmp_path):
    for number, folder in enumerate(
        ["", "year=2021", "year=2020/month=2", "year=2020/month=1", ".hidden", "_temporary/0"]
    ):
        path = tmp_path / "list" / folder / f"part-0.tsv{'.gz' * (number == 1)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = f"http://a.test/{number}\tcaption {number}\n".encode()
        path.write_bytes(gzip.compress(content) if number == 1 else content)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "part-0.tsv").write_text("http://a.test/9\tlinked\n")
    (tmp_path / "list" / "year=2022").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "list" / "year=2020" / "again").symlink_to(tmp_path / "list")
    rows, _ = prepare(tmp_path / "list", "cc12m")
    assert [row["caption"] for row in rows] == ["caption 0", "caption 3", "caption 2", "caption 1", "linked"]


def test_a_file_that_a_glob_finds_twice_is_read_once(tmp_path):
    (tmp_path / "list" / "a" / "b").mkdir(parents=True)
    (tmp_path / "list" / "a" / "b" / "x.tsv").write_text("http://a.test/1\ta cat\n")
    counts = prepare_list(tmp_path / "list" / "**" / "**" / "*.tsv", "yfcc", None, tmp_path / "pairs.parquet")
    assert (counts.rows, counts.kept, len(counts.files)) == (1, 1, 1)


def test_the_first_of_equal_rows_stays_across_files_and_batches(tmp_path, monkeypatch):
    for module in (prepare_metadata, released_batches):
        monkeypatch.setattr(module, "BATCH", 3)
    lines = [f"http://a.test/{number % 7}\tcaption {number % 7}\t{number}" for number in range(40)]
    listed(tmp_path, "\n".join(["url\tcaption\tid", *lines[:20]]), "a.tsv")
    listed(tmp_path, "\n".join(["url\tcaption\tid", *lines[20:]]), "b.tsv")
    rows, dropped = prepare(tmp_path / "list", "tsv", threads=2)
    assert [row["id"] for row in rows] == [str(number) for number in range(7)]
    assert dropped == {"duplicate": 33}


def test_equal_lists_give_equal_bytes(tmp_path):
    make_source("laion", 200, 1, tmp_path / "manifest.json")
    contents = []
    for threads in (1, 2):
        prepare_list(tmp_path / "list", "laion", {}, tmp_path / "pairs.parquet", threads=threads)
        contents.append((tmp_path / "pairs.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_a_killed_run_leaves_nothing_in_the_way(tmp_path):
    work = tmp_path / "list_out" / ".pairs.parquet.work"
    work.mkdir(parents=True)
    (work / "staged.parquet").write_bytes(b"cut")
    rows, _ = prepare(listed(tmp_path, f"{URL}\ta cat\n"), "yfcc")
    assert len(rows) == 1
