"""A folder of images and captions, and lists of local paths, become a source like tars."""

import json
import os

import pyarrow as pa
import pytest
from pyarrow import parquet
from test_rewrite_shards import uids_in

from example_sources import members, times
from local_runs import FileSource
from tars import draw, sample, write_folder, write_hub_tars, write_path_list
from testbed.lists.pairs import ListError, uid
from testbed.local.files import check_files
from testbed.shards.shard_files import ShardError

COUNT = 60


def test_a_folder_becomes_a_source(tmp_path):
    write_folder(tmp_path / "photos", COUNT)
    mine = FileSource(tmp_path, tmp_path / "photos")
    manifest = mine.rewrite()
    assert (manifest["samples"], manifest["encoded"]) == (COUNT, {"format": COUNT // 2})
    counts = mine.index()
    assert (counts["kept"], counts["other_members"]) == (COUNT, {"other": 1})
    # A URL is known where there are metadata.
    known = {uid(sample(number)["url"], sample(number)["caption"]) for number in range(0, COUNT, 5)}
    assert len(known & set(uids_in(tmp_path / "shards"))) == len(known)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_a_list_of_paths_has_the_uids_of_tars_of_the_same_samples(tmp_path, suffix):
    write_path_list(tmp_path / "lists" / f"list.{suffix}", COUNT)
    mine = FileSource(tmp_path, tmp_path / "lists" / f"list.{suffix}")
    counts = mine.shuffle()
    assert counts["list"][0]["path"].endswith(f"list.{suffix}")
    assert mine.rewrite(counts=counts)["encoded"] == {}
    assert set(uids_in(tmp_path / "shards")) == {
        uid(sample(number)["url"], sample(number)["caption"]) for number in range(COUNT)
    }
    found = members(tmp_path / "shards" / "000000.tar")
    assert draw(1) in [*found.values(), *members(tmp_path / "shards" / "000001.tar").values()]


def test_the_order_is_that_of_tars(tmp_path):
    from local_runs import TarSource

    write_hub_tars(tmp_path / "tars", COUNT)
    write_path_list(tmp_path / "lists" / "list.csv", COUNT)
    tars, files = TarSource(tmp_path / "a", tmp_path / "tars"), FileSource(tmp_path / "b", tmp_path / "lists/list.csv")
    tars.shuffle()
    files.shuffle()
    assert tars.order() == files.order()


def test_too_few_files_are_an_error(tmp_path):
    write_folder(tmp_path / "photos", 10)
    with pytest.raises(
        ListError, match="10 samples on disk are usable, .* need 11; .* add samples to sources.mine.files;"
    ):
        FileSource(tmp_path, tmp_path / "photos").index(needed=11)


def test_what_is_left_out_has_a_cause(tmp_path):
    folder = tmp_path / "photos"
    write_folder(folder, 10)
    (folder / "alone.txt").write_text("a cat")
    (folder / "mute.jpg").write_bytes(draw(50))
    (folder / "twice.jpg").write_bytes(draw(51))
    (folder / "twice.png").write_bytes(draw(51, "PNG"))
    (folder / "twice.txt").write_text("a cat")
    (folder / "broken.jpg").write_bytes(draw(52)[:90])
    (folder / "broken.txt").write_text("a dog")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe.txt")
    counts = FileSource(tmp_path, folder).index()
    dropped = {cause: count for cause, count in counts["dropped"].items() if count}
    assert dropped == {"no_image": 1, "empty_caption": 1, "repeated_key": 2, "not_decodable": 1}
    assert (counts["kept"], counts["other_members"]) == (10, {"not_a_file": 3, "other": 1})


def test_rows_of_missing_images_are_left_out(tmp_path):
    path = tmp_path / "lists" / "list.csv"
    write_path_list(path, 10)
    (path.parent / "pictures/3.jpg").unlink()
    path.write_text(path.read_text() + 'pictures/4.jpg,,http://a.test/,5\n"",a cat,http://a.test/,6\na,b\n')
    counts = FileSource(tmp_path, path).index()
    assert {cause: count for cause, count in counts["dropped"].items() if count} == {
        "no_image": 2,
        "empty_caption": 1,
        "malformed": 1,
    }


def test_a_restarted_job_keeps_what_is_valid_and_notices_changed_images(tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.local.file_samples.BATCH", 8)
    write_folder(tmp_path / "photos", COUNT)
    mine = FileSource(tmp_path, tmp_path / "photos")
    first = mine.index()
    tables = {path: path.stat().st_mtime_ns for path in (tmp_path / "indexed").rglob("*.parquet")}
    assert len(tables) == 12
    lost = sorted(tables)[1]
    lost.unlink()
    assert mine.index() == first
    changed = next((tmp_path / "photos/2").rglob("*.jpg"))
    changed.write_bytes(draw(999))
    mine.index()
    after = {path: path.stat().st_mtime_ns for path in tables}
    assert 2 <= sum(tables[path] != after[path] for path in tables) < len(tables)


def test_an_image_that_goes_before_it_is_written_is_an_error_that_names_it(tmp_path):
    write_path_list(tmp_path / "lists/list.csv", 10)
    mine = FileSource(tmp_path, tmp_path / "lists/list.csv")
    counts = mine.shuffle()
    (tmp_path / "lists/pictures/7.jpg").unlink()
    with pytest.raises(ShardError, match=r"pictures/7.jpg: cannot be used .*--forcerun index_files"):
        mine.rewrite(counts=counts)


def test_fewer_samples_lose_no_shard_whose_images_are_gone(tmp_path):
    write_path_list(tmp_path / "lists/list.csv", COUNT)
    mine = FileSource(tmp_path, tmp_path / "lists/list.csv")
    counts = mine.shuffle()
    mine.rewrite(shard_size=20, counts=counts)
    before = times(tmp_path / "shards")
    image = tmp_path / "lists" / json.loads(list(members(tmp_path / "shards" / "000002.tar").values())[1])["file"]
    content = image.read_bytes()
    mine.take(40)
    for damage in (image.unlink, lambda: image.write_bytes(content[:-1])):
        damage()
        with pytest.raises(ShardError, match=rf"40 samples now. Shards 000002.tar to 000002.tar .*{image} is missing"):
            mine.rewrite(shard_size=20, counts=counts)
        assert times(tmp_path / "shards") == before
    image.write_bytes(content)
    mine.rewrite(shard_size=20, counts=counts)
    assert list(times(tmp_path / "shards")) == ["000000.tar", "000001.tar"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("list.txt", "ends in none of .csv, .tsv, .parquet"),
        ("gone.csv", "no such file"),
        ("list.csv", "has no column img"),
    ],
)
def test_a_wrong_path_or_column_is_an_error_before_any_work(tmp_path, name, words):
    write_path_list(tmp_path / "list.csv", 3)
    with pytest.raises(ListError, match=words):
        check_files(tmp_path / name, {"image": "img", "caption": "text"})


def write_scores(path, scores, extra=0) -> None:
    """A list of three images with an own column `score`, and others."""
    others = [f"c{number}" for number in range(extra)]
    lines = [",".join(["path", "text", "score", *others])]
    for number, score in enumerate(scores):
        (path.parent / f"{number}.jpg").write_bytes(draw(number))
        lines.append(",".join([f"{number}.jpg", f"caption {number}", score, *["x" for _ in others]]))
    path.write_text("\n".join(lines) + "\n")


def columns_in(folder, column: str) -> set:
    contents = members(folder / "000000.tar")
    return {json.loads(content)[column] for name, content in contents.items() if name.endswith(".json")}


def test_own_columns_in_shards_are_those_of_the_list_as_it_is_now(tmp_path):
    write_scores(tmp_path / "list.csv", ["old", "old", "old"])
    mine = FileSource(tmp_path, tmp_path / "list.csv")
    mine.rewrite()
    write_scores(tmp_path / "list.csv", ["new", "new", "new"])
    mine.rewrite()
    assert columns_in(tmp_path / "shards", "score") == {"new"}


@pytest.mark.parametrize("size", ["same", "longer", "shorter"])
def test_an_image_that_changed_since_it_was_indexed_goes_into_no_shard(tmp_path, size):
    write_scores(tmp_path / "list.csv", ["a", "b", "c"])
    mine = FileSource(tmp_path, tmp_path / "list.csv")
    counts = mine.shuffle()
    old = (tmp_path / "1.jpg").read_bytes()
    changed = {"same": old[:-3] + b"xyz", "longer": old + b"more", "shorter": old[:-10]}[size]
    (tmp_path / "1.jpg").write_bytes(changed)
    with pytest.raises(ShardError, match=r"1\.jpg: cannot be used .*--forcerun index_files"):
        mine.rewrite(counts=counts)


def test_a_list_with_many_columns_keeps_the_hash_of_its_images(tmp_path):
    write_scores(tmp_path / "list.csv", ["a", "b", "c"], extra=300)
    assert FileSource(tmp_path, tmp_path / "list.csv").rewrite()["samples"] == 3
    assert all(len(digest) == 64 for digest in columns_in(tmp_path / "shards", "file_sha256"))


def test_metadata_with_half_a_character_are_read(tmp_path):
    write_folder(tmp_path / "photos", 3)
    (tmp_path / "photos" / "a.jpg").write_bytes(draw(90))
    (tmp_path / "photos" / "a.txt").write_text("a cat")
    (tmp_path / "photos" / "a.json").write_text('{"author": "\\ud83d"}')
    assert FileSource(tmp_path, tmp_path / "photos").index()["kept"] == 4


def test_linked_folders_are_read_once(tmp_path):
    write_folder(tmp_path / "elsewhere", 10)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "above").symlink_to(tmp_path / "photos")
    assert FileSource(tmp_path, tmp_path / "photos").index()["kept"] == 10


def test_a_parquet_list_whose_files_differ_in_a_columns_type(tmp_path):
    (tmp_path / "lists").mkdir()
    for number, score in enumerate([2**53 + 1, 0.5]):
        (tmp_path / "lists" / f"{number}.jpg").write_bytes(draw(number))
        rows = [{"path": f"{number}.jpg", "text": f"caption {number}", "score": score}]
        parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "lists" / f"{number}.parquet")
    mine = FileSource(tmp_path, tmp_path / "lists" / "*.parquet")
    assert mine.rewrite()["samples"] == 2
    assert {float(score) for score in columns_in(tmp_path / "shards", "score")} == {float(2**53 + 1), 0.5}
