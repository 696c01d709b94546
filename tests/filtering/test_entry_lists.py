"""Lists of entries: what each kind makes of a file, sorted and without doubles, and what is refused."""

import gzip
import hashlib
import json

import pytest
from pyarrow import parquet

from build_entries import build_entries
from testbed.filtering.entry_lists import EntryError, build_list, find_lists, read_entries
from testbed.miniweb.world import CLASSES

NOUNS = """\
  1 This software and database is being provided to you
00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is perceived
02084071 05 n 03 Dog 0 domestic_dog 0 Canis_familiaris 0 001 @ 02083346 n 0000 | a member of the genus Canis
02958343 06 n 02 motor_car 0 car 0 000 | a motor vehicle
"""
ADJECTIVES = """\
00001740 00 a 01 able(p) 0 005 = 05200169 n 0000 | (usually followed by `to')
00002098 00 s 01 all_in(a) 0 000 | x
"""


def written(path, content: str):
    path.write_text(content, encoding="utf-8")
    return str(path)


def set_of(kind: str, path: str | None = None, minimum: float | None = None) -> set[str]:
    return set(read_entries(kind, path, minimum))


def test_wordnets_synsets_are_their_first_words_in_small_letters(tmp_path):
    written(tmp_path / "data.noun", NOUNS)
    written(tmp_path / "data.adj", ADJECTIVES)
    wanted = {"entity", "dog", "motor car", "able", "all in"}
    assert set_of("wordnet", str(tmp_path / "data.*")) == wanted


def test_counted_lists_keep_what_reaches_their_minimum(tmp_path):
    words = written(tmp_path / "words.txt", "the 5000\nrare 99\nenough 100\nNew\t200\n\n")
    assert set_of("unigrams", words) == {"the", "enough", "New"}
    assert set_of("unigrams", words, minimum=99) == {"the", "rare", "enough", "New"}
    pairs = written(tmp_path / "pairs.txt", "Red Sox 31.5\nof the 2.1\nHong Kong 30\n")
    assert set_of("bigrams", pairs) == {"Red Sox", "Hong Kong"}


def test_views_of_a_title_are_added_up_over_lines_and_files(tmp_path):
    written(tmp_path / "1.txt", "Golden_Gate 40\nTalk:Golden_Gate 900\nOnce 69\n")
    with gzip.open(tmp_path / "2.txt.gz", "wt", encoding="utf-8") as file:
        file.write("Golden_Gate 30\nÅngström 70\n")
    assert set_of("titles", str(tmp_path)) == {"Golden Gate", "Ångström"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.json", json.dumps(["b", "a", "a"])),
        ("own.json", json.dumps({"a": 5, "b": 7})),
        ("own.txt", "b\na\n\na\r\n"),
    ],
)
def test_own_lists_are_json_or_lines(tmp_path, name, content):
    (tmp_path / name).write_bytes(content.encode())
    assert set_of("list", str(tmp_path / name)) - {""} == {"a", "b"}


def test_all_lists_together_are_sorted_and_counted(tmp_path):
    first, second = written(tmp_path / "1.txt", "b\n.\n \nZ\n"), written(tmp_path / "2.txt", "b\na b\nä\n")
    entries, origins = build_list(
        [{"kind": "list", "path": first}, {"kind": "list", "path": second}, {"kind": "numbers"}]
    )
    assert entries == sorted({"b", "Z", "a b", "ä", *map(str, range(100))})
    assert [(one["entries"], one["new"]) for one in origins] == [(2, 2), (3, 2), (100, 100)]


def test_equal_lists_give_equal_bytes_whatever_their_order(tmp_path):
    files = {}
    for name, order in {"one": "b\na\nc\n", "other": "c\nb\na\nb\n"}.items():
        (tmp_path / name).mkdir()
        build_entries([{"kind": "list", "path": written(tmp_path / f"{name}.txt", order)}], tmp_path / name)
        files[name] = (tmp_path / name / "entries.parquet").read_bytes()
    assert files["one"] == files["other"]
    assert parquet.read_table(tmp_path / "one/entries.parquet")["entry"].to_pylist() == ["a", "b", "c"]


def test_a_file_has_to_have_its_sha256(tmp_path):
    path = written(tmp_path / "list.txt", "a\n")
    right = hashlib.sha256(b"a\n").hexdigest()
    one = {"kind": "list", "path": path}
    assert build_list([one | {"sha256": right}])[0] == ["a"]
    with pytest.raises(EntryError, match=f"list.txt: has the SHA-256 {right} and not {'0' * 64}. Get the right file"):
        build_list([one | {"sha256": "0" * 64}])
    written(tmp_path / "list.more.txt", "b\n")
    with pytest.raises(EntryError, match="matches 2 files, and sha256 is that of one"):
        build_list([{"kind": "list", "path": f"{tmp_path}/list*.txt", "sha256": right}])


@pytest.mark.parametrize(
    ("kind", "name", "content", "words"),
    [
        ("unigrams", "x.txt", b"word\n", "x.txt:1: 'word' is not a number"),
        ("titles", "x.txt", b"a 3\nTitle many\n", "x.txt:2: 'many' is not a number"),
        ("list", "x.txt", b"caf\xe9\n", "x.txt: cannot be read as UTF-8"),
        ("list", "x.json", b"[1, 2]", "x.json: is not a list of strings"),
        ("list", "x.json", b"{", "x.json: is not JSON"),
        ("list", "x.txt.gz", b"plain", "x.txt.gz: cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, kind, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EntryError, match=words):
        set_of(kind, str(tmp_path / name))


@pytest.mark.parametrize("path", ["none.txt", "none/*.txt"])
def test_a_missing_list_is_named(tmp_path, path):
    with pytest.raises(EntryError, match="there is no such file. Put the list there"):
        find_lists(str(tmp_path / path))


def test_a_list_without_entries_and_one_that_nothing_can_match_are_errors(tmp_path):
    path = written(tmp_path / "list.txt", "word 3\n")
    with pytest.raises(EntryError, match="list.txt: has no entry. Give another list, or a lower minimum"):
        build_list([{"kind": "unigrams", "path": path}])
    with pytest.raises(EntryError, match="none of its 2 entries can be in a caption"):
        build_entries([{"kind": "list", "path": written(tmp_path / "marks.txt", "U.S.\nSt. Louis\n")}], tmp_path)


def test_the_mini_webs_words_are_those_of_its_captions():
    words = set_of("miniweb")
    assert {entry.name for entry in CLASSES} | {entry.formal for entry in CLASSES} <= words
    assert {"Paris", "garden", "isolated", "on", "photo", "São Paulo"} <= words
    assert not any("{" in word for word in words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", "[" * 100_000, "x.json: is not JSON"),
        ("x.json", "[" + "9" * 5000 + "]", "x.json: is not JSON"),
        ("x.json", '["\\ud83d"]', "x.json: is not a list of strings"),
        ("counts.txt", "dog 100\ndog -50\n", "counts.txt: 'dog' has a count below 0"),
        ("counts.txt", "dog nan\n", "counts.txt:1: 'nan' is not a number"),
    ],
)
def test_odd_lists_are_errors_that_name_the_file(tmp_path, name, content, words):
    kind = "list" if name.endswith("json") else "unigrams"
    with pytest.raises(EntryError, match=words):
        set_of(kind, written(tmp_path / name, content))


def test_a_list_without_a_file_has_no_sha256_to_check():
    assert len(build_list([{"kind": "numbers", "sha256": "0" * 64}])[0]) == 100
