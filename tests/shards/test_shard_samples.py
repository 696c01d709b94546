"""Shards: of exact size, in the list's order, the same bytes for the same input, and rewritten where they are not whole."""

import json
import random
import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pyarrow import parquet

from disks import small_disk
from experiments import DEMO, load
from mini_parts import draw_jpeg, draw_page, make_rows, write_downloads, write_manifest, write_part
from shard_samples import Part, shard_samples, write_shard
from testbed.records.files import add_member, publish
from testbed.records.manifest import problem, read_json, record, write_json
from testbed.shards.shard_files import ShardError

URLS = [[f"http://a.test/{part}/{number}.jpg" for number in range(25)] for part in range(2)]
MISSING = {URLS[0][3], URLS[0][24], *URLS[1][10:14]}


@dataclass
class Source:
    """Two parts of a list with their downloads, and the shards that are made of them."""

    folder: Path
    parts: list[Part] = field(default_factory=list)

    def add(self, urls: list[str], missing: set[str] = frozenset()) -> None:
        name = f"{len(self.parts):05d}"
        part = Part(self.folder / "shuffled" / f"{name}.parquet", self.folder / "downloads" / name)
        write_downloads(part.downloads, write_part(part.rows, urls), missing)
        self.parts.append(part)

    def shard(self, shard_size: int = 10, needed: int = 40, to: str = "shards", keep: bool = True) -> dict:
        (self.folder / to).mkdir(exist_ok=True)
        return shard_samples("mine", self.parts, self.folder / to, shard_size, needed, keep)

    def downloads(self) -> list[str]:
        """The images that are still there, as part/chunk."""
        return sorted(f"{path.parent.name}/{path.stem}" for path in self.folder.glob("downloads/*/*.tar"))


@pytest.fixture
def source(tmp_path):
    source = Source(tmp_path)
    for urls in URLS:
        source.add(urls, MISSING)
    return source


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def urls_in(folder: Path) -> list[list[str]]:
    """The urls of each shard in a folder, in order."""
    return [
        [json.loads(content)["url"] for name, content in members(path).items() if name.endswith(".json")]
        for path in sorted(folder.glob("*.tar"))
    ]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.glob("*.tar"))}


def test_shards_hold_the_samples_in_list_order(source, tmp_path):
    manifest = source.shard()
    wanted = [url for urls in URLS for url in urls if url not in MISSING]
    assert urls_in(tmp_path / "shards") == [wanted[start : start + 10] for start in range(0, 44, 10)]
    assert [file["samples"] for file in manifest["files"]] == [10, 10, 10, 10, 4]
    assert {name: manifest[name] for name in ("source", "samples", "shard_size")} == {
        "source": "mine",
        "samples": 44,
        "shard_size": 10,
    }
    uids = [row["uid"] for row in make_rows(wanted)]
    assert [file["first_uid"] for file in manifest["files"]] == uids[::10]
    assert [file["last_uid"] for file in manifest["files"]] == [*uids[9::10], uids[-1]]
    assert [problem(tmp_path / "shards", file) for file in manifest["files"]] == [None] * 5


def test_a_sample_is_image_caption_and_metadata_under_its_uid(source, tmp_path):
    source.shard()
    row = make_rows(URLS[0])[1]
    content = members(tmp_path / "shards" / "000000.tar")
    assert list(content)[3:6] == [f"{row['uid']}.{kind}" for kind in ("jpg", "json", "txt")]
    assert content[f"{row['uid']}.jpg"] == draw_jpeg(row["url"])
    assert content[f"{row['uid']}.txt"].decode() == row["caption"]
    metadata = json.loads(content[f"{row['uid']}.json"])
    # img2dataset's width, that of the stored image, takes the place of what the list claims.
    assert metadata.pop("width") == 8
    assert len(metadata.pop("sha256")) == 64
    assert metadata == {
        **{name: row[name] for name in ("uid", "url", "caption", "likes")},
        **{"height": 8, "original_width": 64, "original_height": 64},
    }


def test_equal_downloads_give_equal_bytes(source, tmp_path):
    assert source.shard()["files"] == source.shard(to="again")["files"]
    for path in (tmp_path / "shards").glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    with tarfile.open(tmp_path / "shards" / "000000.tar") as tar:
        assert {(member.mtime, member.uid, member.uname, member.mode) for member in tar} == {(0, 0, "", 0o644)}


def test_a_pair_that_comes_twice_is_kept_once(tmp_path):
    """Pairs are in the order of a hash of their uid, so that equal ones meet; within a part, and where parts meet."""
    source = Source(tmp_path)
    first, second, third = (f"http://a.test/{number}.jpg" for number in range(3))
    source.add([first, second])
    source.add([second, third])
    assert source.shard(needed=1)["samples"] == 3
    assert urls_in(tmp_path / "shards") == [[first, second, third]]


def test_a_pair_that_failed_first_and_came_later_is_kept(source):
    source.add(sorted(MISSING))
    assert source.shard()["samples"] == 50


def test_complete_shards_are_left_alone(source, tmp_path):
    manifest = source.shard()
    before = times(tmp_path / "shards")
    assert source.shard() == manifest
    assert times(tmp_path / "shards") == before


@pytest.mark.parametrize("damage", ["no record", "torn record", "cut shard", "no shard"])
def test_a_damaged_shard_alone_is_written_again(source, tmp_path, damage):
    manifest = source.shard()
    before = times(tmp_path / "shards")
    path = tmp_path / "shards" / ("000002.json" if "record" in damage else "000002.tar")
    if damage.startswith("no"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-10])
    assert source.shard() == manifest
    after = times(tmp_path / "shards")
    assert [name for name in before if before[name] != after[name]] == ["000002.tar"]
    assert [problem(tmp_path / "shards", file) for file in manifest["files"]] == [None] * 5


def test_images_that_were_stored_otherwise_are_sharded_again(source, tmp_path):
    """Same urls and same originals, so only the manifest tells that another quality was asked for."""
    source.shard()
    tar = source.parts[1].downloads / "00001.tar"
    content = members(tar)
    with tarfile.open(tar, "w") as archive:
        for name, image in content.items():
            add_member(archive, name, draw_jpeg("other") if name.endswith(".jpg") else image)
    entry = read_json(tar.with_suffix(".json"))
    write_json(tar.with_suffix(".json"), entry | {"files": [record(tar, passing=True), entry["files"][1]]})
    write_manifest(tar.parent, quality=50)
    before = times(tmp_path / "shards")
    source.shard()
    after = times(tmp_path / "shards")
    assert [name for name in before if before[name] != after[name]] == ["000002.tar", "000003.tar", "000004.tar"]
    assert draw_jpeg("other") in members(tmp_path / "shards" / "000003.tar").values()


def test_moved_results_stay_valid(source, tmp_path):
    manifest = source.shard()
    before = times(tmp_path / "shards")
    shutil.move(tmp_path / "downloads", tmp_path / "elsewhere")
    source.parts = [Part(part.rows, tmp_path / "elsewhere" / part.downloads.name) for part in source.parts]
    assert source.shard() == manifest
    assert times(tmp_path / "shards") == before


@pytest.mark.parametrize("damage", ["cut", "zeros", "other bytes"])
def test_a_download_with_other_bytes_is_named(source, damage):
    tar = source.parts[1].downloads / "00002.tar"
    content = tar.read_bytes()
    tar.write_bytes({"cut": content[:-512], "zeros": bytes(len(content)), "other bytes": b"x" * len(content)}[damage])
    with pytest.raises(ShardError, match=rf"{tar}: cannot be used .*SHA-256.*Delete it and its part's manifest.json"):
        source.shard()


def test_an_image_that_is_no_whole_jpeg_is_named(source):
    tar = source.parts[0].downloads / "00001.tar"
    content = members(tar)
    with tarfile.open(tar, "w") as archive:
        for name, image in content.items():
            add_member(archive, name, image[:-1] if name.endswith("10003.jpg") else image)
    entry = read_json(tar.with_suffix(".json"))
    write_json(tar.with_suffix(".json"), entry | {"files": [record(tar, passing=True), entry["files"][1]]})
    write_manifest(tar.parent)
    with pytest.raises(ShardError, match=rf"{tar}: has 9 of 10 images"):
        source.shard(shard_size=25)


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

    monkeypatch.setattr("shard_samples.publish", measure)
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


def test_a_full_disk_is_an_error_and_the_next_run_goes_on(source, tmp_path):
    with small_disk(tmp_path / "shards") as resize:
        with pytest.raises(
            ShardError, match=r"shard 00000\d: cannot be written .*No space left.*Free disk space and run"
        ):
            source.shard(keep=False)
        resize("10M")
        assert source.shard(keep=False)["samples"] == 44


def test_shards_of_an_earlier_larger_run_go(source, tmp_path):
    source.shard()
    source.parts.pop()
    source.shard(needed=20)
    assert sorted(times(tmp_path / "shards")) == ["000000.tar", "000001.tar", "000002.tar"]


def test_too_few_samples_are_an_error_before_anything_is_written(source, tmp_path):
    with pytest.raises(
        ShardError, match=r"source mine: 44 samples .* needs 45. Raise sources.mine.samples .*lower the"
    ):
        source.shard(needed=45)
    assert list((tmp_path / "shards").iterdir()) == []
    assert source.shard(needed=44)["samples"] == 44


def test_a_part_without_any_image_is_skipped(source):
    urls = [f"http://gone.test/{number}.jpg" for number in range(5)]
    source.add(urls, set(urls))
    assert source.shard()["samples"] == 44


def test_real_downloads_are_sharded(fetch, tmp_path):
    pages = [draw_page(number, "missing" if number % 5 == 1 else "ok") for number in range(20)]
    part = Part(tmp_path / "00000.parquet", tmp_path / "downloads")
    write_part(part.rows, [page["url"] for page in pages])
    options = load(DEMO).config["download"] | {"chunk_size": 8, "minimum_success": 0.1}
    del options["proxy"]
    answer = fetch(part=part.rows, folder=part.downloads, pages=pages, options=options)
    write_json(part.downloads / "manifest.json", answer["manifest"])
    (tmp_path / "shards").mkdir()
    assert shard_samples("mine", [part], tmp_path / "shards", 10, 16, keep_downloads=True)["samples"] == 16
    wanted = [page["url"] for page in pages if page["behaviour"] == "ok"]
    assert urls_in(tmp_path / "shards") == [wanted[:10], wanted[10:]]
    outcomes = parquet.read_table(part.downloads / "00000.parquet").to_pylist()
    key = next(row["key"] for row in outcomes if row["url"] == wanted[0])
    stored = members(part.downloads / "00000.tar")[f"{key}.jpg"]
    assert next(iter(members(tmp_path / "shards" / "000000.tar").values())) == stored
