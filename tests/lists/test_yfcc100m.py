"""OpenAI's subset of YFCC100M, joined with the metadata in SQLite or tab-separated files by photo id."""

import bz2
import hashlib
import logging
import sqlite3
from urllib.parse import quote_plus

import pytest

from example_lists import listed, pairs_of, prepare
from prepare_metadata import prepare_list
from testbed.lists.pairs import ListError, uid
from testbed.lists.released import check_list, count_rows, find_list
from testbed.lists.yfcc100m import FIELDS, OWN, caption_of

PHOTOS = {
    11: ("A cat", "on a <b>mat</b> &amp; more, 100%"),
    13: ("not in the subset", ""),
    17: ("Café", "Café"),
    19: ("", "a dog\nin the snow"),
    23: ("long", "x" * 2000),
    29: ("", "<i> </i>"),
    31: ("no number", "ü"),
}
SUBSET = [11, 17, 19, 23, 29, 31]


def row_of(photo, encode=quote_plus):
    title, description = PHOTOS[photo]
    values = {name: f"{name} {photo}" for name in FIELDS} | {
        "photoid": photo,
        "title": encode(title),
        "description": encode(description),
        "usertags": encode("a tag,é"),
        "longitude": -1.5 if photo == 11 else None,
        "downloadurl": f"http://farm4.staticflickr.com/1/{photo}_a.jpg",
        "marker": 0,
    }
    return list(values.values())


def subset(tmp_path, photos=tuple(SUBSET)):
    lines = "".join(f"{line}\t{photo}\t{hashlib.md5(b'%d' % photo).hexdigest()}\n" for line, photo in enumerate(photos))
    return listed(tmp_path, bz2.compress(lines.encode()), "yfcc100m_subset_data.tsv.bz2")


def database(tmp_path):
    path = tmp_path / "yfcc100m_dataset.sql"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE yfcc100m_dataset ({', '.join(FIELDS)})")
        marks = ", ".join("?" * len(FIELDS))
        connection.executemany(f"INSERT INTO yfcc100m_dataset VALUES ({marks})", map(row_of, PHOTOS))
    connection.close()
    return path


def text_files(tmp_path, columns):
    """The metadata in two packed files, with 23 columns, or with 25, which has line number and hash too."""
    folder = tmp_path / "metadata"
    folder.mkdir()
    for number, photos in enumerate((list(PHOTOS)[:4], list(PHOTOS)[4:])):
        rows = [["" if cell is None else str(cell) for cell in row_of(photo)] for photo in photos]
        rows = [[str(line), row[0], "hash", *row[1:]] if columns == 25 else row for line, row in enumerate(rows)]
        text = "\n".join("\t".join(row) for row in [*rows, ["a", "stray", "line"]])
        (folder / f"yfcc100m_dataset-{number}.bz2").write_bytes(bz2.compress(text.encode()))
    return folder / "yfcc100m_dataset-*.bz2"


def join_of(tmp_path, kind):
    return str(database(tmp_path) if kind == "sqlite" else text_files(tmp_path, kind))


@pytest.mark.parametrize("kind", ["sqlite", 23, 25])
def test_photos_of_the_subset_are_joined_by_their_id(tmp_path, kind):
    path, join = subset(tmp_path), join_of(tmp_path, kind)
    rows, dropped = prepare(path, "yfcc100m", join=join)
    assert pairs_of(rows) == [
        ("http://farm4.staticflickr.com/1/11_a.jpg", "A cat on a mat & more, 100%"),
        ("http://farm4.staticflickr.com/1/17_a.jpg", "Café"),
        ("http://farm4.staticflickr.com/1/19_a.jpg", "a dog in the snow"),
        ("http://farm4.staticflickr.com/1/23_a.jpg", "long"),
        ("http://farm4.staticflickr.com/1/31_a.jpg", "no number ü"),
    ]
    assert dropped == {"empty_caption": 1}
    assert [row["uid"] for row in rows] == [uid(*pair) for pair in pairs_of(rows)]
    assert set(rows[0]) == {"uid", "url", "caption", "source_uid", *OWN}
    assert (rows[0]["photoid"], rows[0]["source_uid"], rows[0]["usertags"]) == ("11", "uid 11", "a tag,é")
    assert (rows[0]["longitude"], rows[1]["longitude"] or "") == ("-1.5", "")
    check_list(path, "yfcc100m", {}, join)
    assert count_rows(path, "yfcc100m", {}, join) == 6


def test_all_files_are_recorded(tmp_path):
    path, join = subset(tmp_path), text_files(tmp_path, 23)
    counts = prepare_list(path, "yfcc100m", {}, tmp_path / "out" / "pairs.parquet", join=str(join))
    files = [path, *sorted(join.parent.iterdir())]
    assert [(entry["path"], entry["sha256"]) for entry in counts.files] == [
        (str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files
    ]
    database(tmp_path)
    counts = prepare_list(
        path, "yfcc100m", {}, tmp_path / "out" / "pairs.parquet", join=str(tmp_path / "yfcc100m_dataset.sql")
    )
    assert counts.files[1]["sha256"] == hashlib.sha256((tmp_path / "yfcc100m_dataset.sql").read_bytes()).hexdigest()


def test_photos_without_metadata_are_told(tmp_path, caplog):
    join = str(database(tmp_path))
    with caplog.at_level(logging.WARNING):
        prepare(subset(tmp_path, [11, 97, 98]), "yfcc100m", join=join)
    assert "has 1 of the 3 photos of" in caplog.text
    other = listed(tmp_path, "1\t97\tx\n", "other.tsv")
    with pytest.raises(ListError, match=r"yfcc100m_dataset.sql: has none of the 1 photos of .*other.tsv; correct join"):
        prepare(other, "yfcc100m", join=join)


def test_the_files_must_be_what_they_should_be(tmp_path):
    path, join = subset(tmp_path), str(database(tmp_path))
    with pytest.raises(
        ListError, match="join: the format yfcc100m has photo ids only; name the file with the metadata"
    ):
        check_list(path, "yfcc100m")
    with pytest.raises(ListError, match="join: the format yfcc joins no second file"):
        find_list(path, "yfcc", {}, join)
    with pytest.raises(ListError, match="nowhere.sql: there is no such file"):
        check_list(path, "yfcc100m", {}, str(tmp_path / "nowhere.sql"))
    wrong = listed(tmp_path, "http://a.test/1\ta cat\n", "yfcc.tsv")
    with pytest.raises(ListError, match=r"yfcc.tsv: line 1 has no photo id in its second column"):
        check_list(wrong, "yfcc100m", {}, join)
    with pytest.raises(ListError, match=r"yfcc.tsv: its first line has not 23 columns, nor 25"):
        check_list(path, "yfcc100m", {}, str(wrong))
    empty = tmp_path / "empty.sql"
    with sqlite3.connect(empty) as connection:
        connection.execute("CREATE TABLE other (photoid)")
    connection.close()
    with pytest.raises(ListError, match=r"empty.sql: cannot be read as the metadata .*no such table: yfcc100m_dataset"):
        check_list(path, "yfcc100m", {}, str(empty))


@pytest.mark.parametrize(
    ("title", "description", "caption"),
    [
        ("A+cat", "", "A cat"),
        ("", "", ""),
        ("I %3C3 NY", "5 > 3 < 7", "I <3 NY 5 > 3 < 7"),
        ("same", " same ", "same"),
        ("", "x" * 2001, "x" * 2001),
        ("a", '<a href="http://b.test">b</a>', "a b"),
    ],
)
def test_captions_are_title_and_description(title, description, caption):
    assert caption_of(title, description) == caption
