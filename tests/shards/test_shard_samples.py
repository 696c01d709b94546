"""Shards: of exact size, in the list's order, the same bytes for the same input, and rewritten where they are not whole."""

import json
import shutil
import tarfile

import pytest
from pyarrow import parquet

from example_sources import MISSING, URLS, Source, members, times, urls_in
from experiments import DEMO, load
from mini_parts import draw_jpeg, draw_page, make_rows, write_manifest, write_part
from shard_samples import Part, shard_samples
from testbed.records.files import add_member
from testbed.records.manifest import problem, read_json, record, write_json
from testbed.shards.shard_files import ShardError


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
