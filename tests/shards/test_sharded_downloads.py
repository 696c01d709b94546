"""Downloads go when their images are in shards: which stay, and what becomes of a lost or longer shard without them."""

import random
import shutil

import pytest

from disks import small_disk
from example_sources import MISSING, URLS, Source, times, urls_in
from mini_parts import make_rows, write_downloads
from shard_samples import write_shard
from testbed.records.files import publish
from testbed.records.manifest import read_json
from testbed.shards.shard_files import ShardError


def test_downloads_go_when_their_images_are_in_shards(source, tmp_path):
    manifest = source.shard(to="kept")
    assert source.downloads() == [f"{part:05d}/{chunk:05d}" for part in range(2) for chunk in range(3)]
    assert source.shard(keep=False)["files"] == manifest["files"]
    # Of the last shard, which is not full, the downloads stay: a longer list would fill it. They are not to change.
    assert source.downloads() == ["00001/00002"]
    records = [read_json(path) for path in sorted(tmp_path.glob("downloads/*/0*.json"))]
    assert [entry.get("sharded") for entry in records] == [True] * 6
    before = times(tmp_path / "shards")
    assert source.shard(keep=False)["files"] == manifest["files"]
    assert times(tmp_path / "shards") == before


def test_downloads_of_the_last_shard_alone_may_still_change(source, tmp_path):
    source.shard(shard_size=30, keep=False)
    records = [read_json(path) for path in sorted(tmp_path.glob("downloads/*/0*.json"))]
    assert [entry.get("sharded", False) for entry in records] == [True] * 4 + [False] * 2


def test_a_source_takes_little_more_room_than_its_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mini_parts.draw_jpeg", lambda url: b"\xff\xd8" + random.Random(url).randbytes(30_000) + b"\xff\xd9"
    )
    source = Source(tmp_path)
    for part in range(4):
        source.add([f"http://a.test/{part}/{number}.jpg" for number in range(100)])
    peaks = []

    def measure(temporary, path):
        peaks.append(sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()))
        publish(temporary, path)

    monkeypatch.setattr("testbed.shards.shard_writer.publish", measure)
    manifest = source.shard(shard_size=40, keep=False)
    size = sum(file["bytes"] for file in manifest["files"])
    assert len(peaks) == 10
    # A tenth for the shard whose images are still there as downloads, and the tables.
    assert size < max(peaks) < 1.2 * size


def test_a_longer_list_fills_the_last_shard(source, tmp_path):
    source.shard(keep=False)
    before = times(tmp_path / "shards")
    source.add([f"http://a.test/more/{number}.jpg" for number in range(12)])
    assert source.shard(keep=False)["samples"] == 56
    after = times(tmp_path / "shards")
    assert [name for name in before if before[name] != after[name]] == ["000004.tar"]
    assert [len(urls) for urls in urls_in(tmp_path / "shards")] == [10, 10, 10, 10, 10, 6]


def test_downloads_of_a_shard_that_was_killed_stay(source, tmp_path, monkeypatch):
    """A kill before the record of the second shard: what the first does not need is gone, the rest is there."""
    written = []

    def write(path, *arguments):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        return write_shard(path, *arguments)

    monkeypatch.setattr("shard_samples.write_shard", write)
    with pytest.raises(KeyboardInterrupt):
        source.shard(keep=False)
    monkeypatch.undo()
    # The second chunk has one image in the first shard.
    assert source.downloads() == [f"{part:05d}/{chunk:05d}" for part in range(2) for chunk in range(3)][1:]
    assert source.shard(keep=False)["samples"] == 44


def test_a_lost_shard_is_made_again_of_its_images_alone(source, tmp_path):
    """Images that are fetched once more lie in a tar of other bytes; the shards beside the lost one stay."""
    manifest = source.shard(keep=False)
    before = times(tmp_path / "shards")
    (tmp_path / "shards" / "000001.tar").unlink()
    # The chunks that the message names: those with images of the shard.
    shutil.rmtree(source.parts[0].downloads)
    write_downloads(source.parts[0].downloads, make_rows(URLS[0]), MISSING)
    assert source.shard(keep=False)["files"] == manifest["files"]
    after = times(tmp_path / "shards")
    assert [name for name in before if before[name] != after[name]] == ["000001.tar"]


@pytest.mark.parametrize("change", ["shard lost", "shard size"])
def test_a_shard_whose_downloads_are_gone_is_an_error_that_helps(source, tmp_path, change):
    source.shard(keep=False)
    before = times(tmp_path / "shards")
    if change == "shard lost":
        (tmp_path / "shards" / "000001.tar").unlink()
    with pytest.raises(ShardError, match=r"shard 00000\d must be written.*set it back.*00000/manifest.json") as error:
        source.shard(keep=False, shard_size=10 if change == "shard lost" else 7)
    assert f"{source.parts[0].downloads}/00000.json" in str(error.value) or change == "shard lost"
    assert f"{source.parts[0].downloads}/00001.json" in str(error.value) or change == "shard size"
    after = times(tmp_path / "shards")
    assert {name: after[name] for name in before if name in after} == {name: before[name] for name in after}
    if change == "shard size":
        assert source.shard(keep=False)["samples"] == 44


@pytest.mark.parametrize(("rows", "first"), [(20, 2), (25, 3)])
def test_fewer_samples_lose_no_shard_whose_downloads_are_gone(tmp_path, rows, first):
    """Parts of a shorter list are fewer. The downloads of the others are as they were."""
    source = Source(tmp_path)
    for urls in URLS:
        source.add(urls[:rows])
    manifest = source.shard(keep=False)
    before = times(tmp_path / "shards")
    last = source.parts.pop()
    with pytest.raises(ShardError, match=rf"at most {rows} samples now. Shards 00000{first}.tar to .*mine.samples was"):
        source.shard(needed=20, keep=False)
    assert times(tmp_path / "shards") == before
    source.parts.append(last)
    assert source.shard(keep=False)["files"] == manifest["files"]
    assert times(tmp_path / "shards") == before


def test_shards_of_images_that_the_web_no_longer_has_may_go(source, tmp_path):
    """The whole source was fetched again, and fewer of the same URLs gave an image."""
    source.shard(keep=False)
    for part, urls in zip(source.parts, URLS, strict=True):
        shutil.rmtree(part.downloads)
        write_downloads(part.downloads, make_rows(urls), {*MISSING, *URLS[1]})
    assert source.shard(needed=20, keep=False)["samples"] == 23
    assert list(times(tmp_path / "shards")) == ["000000.tar", "000001.tar", "000002.tar"]


def test_a_last_shard_of_fewer_samples_whose_downloads_are_gone_names_samples(source):
    source.add([f"http://a.test/more/{number}.jpg" for number in range(6)])
    source.shard(keep=False)
    source.parts.pop()
    with pytest.raises(ShardError, match=r"shard 000004 .*samples of the source was lowered.*set it back.*delete"):
        source.shard(keep=False)


def test_a_full_disk_is_an_error_and_the_next_run_goes_on(source, tmp_path):
    with small_disk(tmp_path / "shards") as resize:
        with pytest.raises(
            ShardError, match=r"shard 00000\d: cannot be written .*No space left.*Free disk space and run"
        ):
            source.shard(keep=False)
        resize("10M")
        assert source.shard(keep=False)["samples"] == 44
