"""The seeded order: same bytes for the same pairs and seed, nested, in parts of equal length."""

import hashlib
import logging

import pyarrow as pa
import pytest
from pyarrow import parquet

import shuffle_metadata
from shuffle_metadata import ShuffleError, shuffle_pairs
from testbed.lists.pairs import uid
from testbed.records.manifest import problem


def pairs_file(path, count=1000, order=None):
    """Pairs as prepare_metadata writes them, with own columns of several kinds."""
    numbers = list(range(count)) if order is None else order
    urls = [f"http://a.test/{number}.jpg" for number in numbers]
    captions = [f"caption {number}" for number in numbers]
    table = {
        "uid": [uid(url, caption) for url, caption in zip(urls, captions, strict=True)],
        "url": urls,
        "caption": captions,
        "similarity": pa.array([number / 7 for number in numbers], pa.float32()),
        "WIDTH": pa.array(numbers, pa.int16()),
        "parents": pa.array([[str(number)] if number % 3 else None for number in numbers], pa.large_list(pa.string())),
        "license": pa.array(["?"] * count, pa.large_string()),
    }
    parquet.write_table(pa.table(table), path)
    return path


def shuffled(pairs, folder, samples=700, part_size=200, needed=1, seed=3, **options):
    return shuffle_pairs(pairs, folder, "mini", samples, part_size, needed, seed, **options)


def uids_of(folder, manifest):
    return [key for part in manifest["parts"] for key in parquet.read_table(folder / part["name"])["uid"].to_pylist()]


@pytest.fixture
def pairs(tmp_path):
    return pairs_file(tmp_path / "pairs.parquet")


def test_the_order_is_that_of_md5_of_seed_and_uid(tmp_path, pairs):
    manifest = shuffled(pairs, tmp_path / "out")
    expected = sorted(
        parquet.read_table(pairs)["uid"].to_pylist(), key=lambda key: hashlib.md5(f"3:{key}".encode()).hexdigest()
    )
    assert uids_of(tmp_path / "out", manifest) == expected[:700]


def test_parts_are_equal_but_for_the_last_and_recorded(tmp_path, pairs):
    manifest = shuffled(pairs, tmp_path / "out")
    assert [part["name"] for part in manifest["parts"]] == [f"{number:05d}.parquet" for number in range(4)]
    assert [part["rows"] for part in manifest["parts"]] == [200, 200, 200, 100]
    assert (manifest["rows"], manifest["seed"]) == (700, 3)
    for part in manifest["parts"]:
        assert problem(tmp_path / "out", part) is None
        assert parquet.read_metadata(tmp_path / "out" / part["name"]).num_rows == part["rows"]
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_rows_and_kinds_of_columns_are_kept(tmp_path, pairs):
    manifest = shuffled(pairs, tmp_path / "out", samples=1000)
    parts = [parquet.read_table(tmp_path / "out" / part["name"]) for part in manifest["parts"]]
    before = parquet.read_table(pairs)
    assert all(part.schema == before.schema for part in parts)
    assert pa.concat_tables(parts).sort_by("WIDTH").to_pylist() == before.sort_by("WIDTH").to_pylist()


def test_bytes_depend_on_neither_threads_nor_memory_nor_input_order(tmp_path):
    # Enough rows for DuckDB to share them among threads.
    count = 300_000
    forward = pairs_file(tmp_path / "forward.parquet", count=30_000)
    backward = pairs_file(tmp_path / "backward.parquet", count=30_000, order=list(range(30_000))[::-1])
    manifests = [
        shuffled(path, tmp_path / "out", samples=25_000, part_size=20_000, **options)
        for path in (forward, backward)
        for options in ({"threads": 1}, {"threads": 1}, {"threads": 4}, {"threads": 2, "memory": "200MB"})
    ]
    assert all(manifest == manifests[0] for manifest in manifests)
    large = tmp_path / "large.parquet"
    keys = [f"{number:032x}" for number in range(count)]
    parquet.write_table(pa.table({"uid": keys, "url": keys, "caption": keys}), large)
    one, four = (shuffled(large, tmp_path / "out", count, 70_000, threads=threads) for threads in (1, 4))
    assert one == four


def test_another_seed_gives_another_order(tmp_path, pairs):
    first = uids_of(tmp_path / "a", shuffled(pairs, tmp_path / "a", samples=1000))
    second = uids_of(tmp_path / "b", shuffled(pairs, tmp_path / "b", samples=1000, seed=4))
    assert first != second and sorted(first) == sorted(second)


@pytest.mark.parametrize("samples", [1, 10, 199, 200, 201, 999])
def test_fewer_samples_are_the_beginning_of_more(tmp_path, pairs, samples):
    more = uids_of(tmp_path / "more", shuffled(pairs, tmp_path / "more", samples=1000))
    fewer = shuffled(pairs, tmp_path / "fewer", samples=samples)
    assert uids_of(tmp_path / "fewer", fewer) == more[:samples]
    assert len(fewer["parts"]) == -(-samples // 200)


def test_whole_parts_are_the_same_bytes_for_more_samples(tmp_path, pairs):
    fewer = shuffled(pairs, tmp_path / "a", samples=400)
    more = shuffled(pairs, tmp_path / "b", samples=1000)
    assert more["parts"][:2] == fewer["parts"]


def test_the_length_of_parts_does_not_change_the_order(tmp_path, pairs):
    long = uids_of(tmp_path / "a", shuffled(pairs, tmp_path / "a", part_size=1000))
    short = uids_of(tmp_path / "b", shuffled(pairs, tmp_path / "b", part_size=33))
    assert long == short


def test_rows_left_out_before_sorting_are_not_among_the_first(tmp_path, pairs, monkeypatch):
    coarse = shuffled(pairs, tmp_path / "a")
    for prefix in (1, 2, 8):
        monkeypatch.setattr(shuffle_metadata, "PREFIX", prefix)
        assert shuffled(pairs, tmp_path / "b") == coarse


def test_a_short_list_leaves_the_last_parts_short_and_empty(tmp_path, caplog):
    pairs = pairs_file(tmp_path / "pairs.parquet", count=250)
    with caplog.at_level(logging.WARNING):
        manifest = shuffled(pairs, tmp_path / "out", samples=700, needed=250)
    assert [part["rows"] for part in manifest["parts"]] == [200, 50, 0, 0] and manifest["rows"] == 250
    assert "source mini: the list has 250 usable pairs, fewer than samples: 700" in caplog.text
    assert parquet.read_schema(tmp_path / "out" / "00003.parquet") == parquet.read_schema(pairs)


def test_a_list_that_cannot_fill_the_trainsets_is_an_error(tmp_path, pairs):
    with pytest.raises(
        ShuffleError,
        match=r"mini has 1000 usable pairs, but its trainsets need 1001\. Lower .* its list, tars or files",
    ):
        shuffled(pairs, tmp_path / "out", samples=5000, needed=1001)
    assert not (tmp_path / "out").exists()


def test_a_repeated_run_replaces_what_is_there(tmp_path, pairs):
    first = shuffled(pairs, tmp_path / "out")
    folder = tmp_path / "out"
    (folder / "00001.parquet").write_bytes(b"damaged")
    (folder / ".work").mkdir()
    (folder / ".work" / "00002.parquet").write_bytes(b"cut")
    (folder / "keep.txt").write_text("no part")
    assert shuffled(pairs, folder) == first
    shuffled(pairs, folder, samples=300)
    assert sorted(path.name for path in folder.iterdir()) == ["00000.parquet", "00001.parquet", "keep.txt"]


def test_paths_and_seeds_are_values_and_not_sql(tmp_path):
    folder = tmp_path / "it's; DROP TABLE x --"
    folder.mkdir()
    manifest = shuffled(pairs_file(folder / "pairs.parquet"), folder / "out", seed=2**40)
    assert manifest["rows"] == 700
