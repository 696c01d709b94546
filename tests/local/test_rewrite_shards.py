"""Tars become shards in the seeded order: the uids and the order of a list, images untouched, whole after a kill."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from example_sources import members, times
from local_runs import STORAGE, TarSource
from prepare_metadata import prepare_list
from shuffle_metadata import shuffle_pairs
from tars import draw, members_of, sample, write_hub_tars, write_odd_tars, write_tar
from testbed.lists.pairs import ListError, uid
from testbed.local.tar_samples import CAUSES
from testbed.shards.shard_files import ShardError

COUNT = 200


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> TarSource:
    folder = tmp_path_factory.mktemp("hub")
    write_hub_tars(folder / "tars", COUNT, per_tar=45)
    return TarSource(folder, folder / "tars")


def copied(source: TarSource, folder: Path) -> TarSource:
    shutil.copytree(source.folder, folder, ignore=shutil.ignore_patterns("shards", "once"))
    return source.with_(folder=folder, tars=folder / "tars")


def uids_in(folder: Path) -> list[str]:
    return [name[:-4] for path in sorted(folder.glob("*.tar")) for name in members(path) if name.endswith(".jpg")]


def write_list(path: Path, count: int) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["url", "caption"])
        writer.writeheader()
        writer.writerows({name: sample(number)[name] for name in ("url", "caption")} for number in range(count))
    return path


def test_tars_have_the_uids_and_the_order_of_their_list(tmp_path):
    write_hub_tars(tmp_path / "tars", 1000)
    mine = TarSource(tmp_path, tmp_path / "tars", verify="none")
    assert mine.rewrite(shard_size=300)["samples"] == 1000
    prepare_list(write_list(tmp_path / "list.csv", 1000), "csv", None, tmp_path / "listed" / "pairs.parquet")
    shuffle_pairs(tmp_path / "listed" / "pairs.parquet", tmp_path / "listed", "list", 1000, 70, 0, seed=0)
    assert TarSource(tmp_path, tmp_path).order() == uids_in(tmp_path / "shards")
    listed = mine.with_(folder=tmp_path / "as_list")
    shutil.copytree(tmp_path / "listed", listed.folder / "shuffled", ignore=shutil.ignore_patterns("pairs.parquet"))
    assert listed.order() == uids_in(tmp_path / "shards")


def test_images_and_captions_are_those_of_the_tars(source):
    manifest = source.rewrite()
    assert [file["samples"] for file in manifest["files"]] == [30] * 6 + [20]
    assert manifest["encoded"] == manifest["dropped"] == {}
    found: dict[str, bytes] = {}
    for path in sorted((source.folder / "shards").glob("*.tar")):
        found |= members(path)
    for number in range(COUNT):
        entry = sample(number)
        own = uid(entry["url"], entry["caption"])
        assert found[f"{own}.jpg"] == draw(number)
        assert found[f"{own}.txt"].decode() == entry["caption"]
        metadata = json.loads(found[f"{own}.json"])
        assert (metadata["file"], metadata["file_key"]) == (f"cc12m-train-{number // 45:04d}.tar", entry["key"])
        assert (metadata["width"], metadata["original_width"]) == (48, 640)


def test_the_same_tars_give_the_same_bytes_whatever_their_place_and_the_block(source, tmp_path, monkeypatch):
    whole = source.rewrite(to="once")
    moved = copied(source, tmp_path / "moved")
    shutil.rmtree(moved.folder / "indexed")
    monkeypatch.setattr("testbed.local.reading.BLOCK_BYTES", 5000)
    assert moved.rewrite(to="again")["files"] == whole["files"]


def test_a_lost_shard_is_written_again_and_no_other(source, tmp_path):
    mine = copied(source, tmp_path / "copy")
    counts = mine.shuffle()
    whole = mine.rewrite(counts=counts)
    shards = mine.folder / "shards"
    before = times(shards)
    (shards / "000002.json").unlink()
    (shards / "000004.tar").unlink()
    assert mine.rewrite(counts=counts) == whole
    after = times(shards)
    assert {name for name in before if before[name] != after[name]} == {"000002.tar", "000004.tar"}


def test_another_form_or_size_writes_all_again(source, tmp_path):
    mine = copied(source, tmp_path / "copy")
    counts = mine.shuffle()
    mine.rewrite(counts=counts)
    smaller = mine.with_(storage=STORAGE.__class__(**{**vars(STORAGE), "image_size": 24}))
    assert smaller.rewrite(counts=counts)["encoded"] == {"resized": COUNT}
    assert [file["samples"] for file in smaller.rewrite(shard_size=90, counts=counts)["files"]] == [90, 90, 20]
    assert len(list((mine.folder / "shards").glob("*.tar"))) == 3


def test_images_that_were_not_verified_are_left_out_when_they_must_be_decoded(tmp_path):
    members = [member for number in range(40) for member in members_of(number)]
    # A PNG is encoded anew, so its damage is seen.
    for number in range(0, 40, 4):
        members[3 * number] = (members[3 * number][0], draw(number, "PNG")[:80])
    write_tar(tmp_path / "tars" / "a.tar", members)
    verified = TarSource(tmp_path / "all", tmp_path / "tars")
    counts = verified.shuffle()
    assert (counts["kept"], counts["dropped"]["not_decodable"], counts["verified"]) == (30, 10, 40)
    trusted = TarSource(tmp_path / "none", tmp_path / "tars", verify="none")
    counts = trusted.shuffle()
    assert (counts["kept"], counts["verified"]) == (40, 0)
    manifest = trusted.rewrite(shard_size=12, counts=counts)
    assert [file["samples"] for file in manifest["files"]] == [12, 12, 6]
    assert (manifest["samples"], manifest["dropped"]) == (30, {"not_decodable": 10})
    assert trusted.rewrite(shard_size=12, counts=counts) == manifest
    assert uids_in(trusted.folder / "shards") == uids_in_rewritten(verified)
    with pytest.raises(ShardError, match="30 samples on disk have an image, but the largest trainset needs 31"):
        trusted.rewrite(shard_size=12, needed=31, counts=counts)


def uids_in_rewritten(source: TarSource) -> list[str]:
    source.rewrite(shard_size=12)
    return uids_in(source.folder / "shards")


def test_a_sample_of_the_images_is_verified(tmp_path):
    write_hub_tars(tmp_path / "tars", 1000)
    counts = TarSource(tmp_path, tmp_path / "tars", verify="sample").index()
    assert counts["kept"] == 1000 and 5 < counts["verified"] < 50


def test_uids_without_urls_come_from_image_and_caption_and_repetitions_go(tmp_path):
    plain = [members_of(number, url=None) for number in range(5)]
    again = [(name.replace("00000000", "again"), content) for name, content in plain[1]]
    other = [("other.jpg", plain[2][0][1]), ("other.txt", b"another caption")]
    write_tar(tmp_path / "tars/a.tar", [member for members in plain for member in members])
    write_tar(tmp_path / "tars/b.tar", [*again, *other])
    mine = TarSource(tmp_path, tmp_path / "tars")
    counts = mine.shuffle()
    assert (counts["rows"], counts["kept"], counts["dropped"]["duplicate"]) == (7, 6, 1)
    first = mine.order()
    shutil.move(tmp_path / "tars/a.tar", tmp_path / "tars/z.tar")
    mine.shuffle()
    assert mine.order() == first


def test_oddities_cost_no_sample(tmp_path):
    write_odd_tars(tmp_path / "tars", 60)
    mine = TarSource(tmp_path, tmp_path / "tars")
    manifest = mine.rewrite()
    assert (manifest["samples"], manifest["encoded"]) == (60, {"format": 3})


def test_a_tar_that_changes_between_index_and_shards_is_an_error_that_names_it(source, tmp_path):
    mine = copied(source, tmp_path / "copy")
    counts = mine.shuffle()
    tar = mine.tars / "cc12m-train-0002.tar"
    os.truncate(tar, 10_000)
    with pytest.raises(ShardError, match=r"cc12m-train-0002.tar: cannot be used \(it has 10000 bytes"):
        mine.rewrite(counts=counts)
    tar.unlink()
    with pytest.raises(ShardError, match="cc12m-train-0002.tar: cannot be used .* Bring it back"):
        mine.rewrite(counts=counts)


def test_without_the_tars_no_shard_is_lost(source, tmp_path):
    mine = copied(source, tmp_path / "copy")
    counts = mine.shuffle()
    whole = mine.rewrite(counts=counts)
    (mine.tars / "cc12m-train-0003.tar").unlink()
    with pytest.raises(ShardError, match="cc12m-train-0003.tar: cannot be used .* set shards.shard_size"):
        mine.rewrite(shard_size=50, counts=counts)
    before = times(mine.folder / "shards")
    assert mine.rewrite(counts=counts) == whole
    assert times(mine.folder / "shards") == before


@pytest.mark.parametrize("samples", [120, 100])
def test_fewer_samples_lose_no_shard_that_cannot_be_made_again(source, tmp_path, samples):
    mine = copied(source, tmp_path / "copy")
    counts = mine.shuffle()
    whole = mine.rewrite(counts=counts)
    before = times(mine.folder / "shards")
    tar = mine.tars / "cc12m-train-0003.tar"
    tar.rename(tmp_path / "away.tar")
    mine.take(samples)
    with pytest.raises(ShardError, match=rf"at most {samples} samples now.*{tar} is missing.*sources.mine.samples was"):
        mine.rewrite(counts=counts)
    assert times(mine.folder / "shards") == before
    mine.take(None)
    assert mine.rewrite(counts=counts) == whole
    assert times(mine.folder / "shards") == before
    (tmp_path / "away.tar").rename(tar)
    mine.take(samples)
    assert mine.rewrite(counts=counts)["samples"] == samples
    assert len(times(mine.folder / "shards")) == 4


def test_tars_without_a_usable_sample_are_an_error(tmp_path):
    write_tar(tmp_path / "tars/a.tar", {"a.jpg": draw(1), "b.txt": b"a cat"})
    (tmp_path / "tars/b.tar").write_bytes(b"PK\x03\x04")
    with pytest.raises(ListError, match="none of 2 samples on disk is usable.*no_image.*b.tar, which is a zip archive"):
        TarSource(tmp_path, tmp_path / "tars").index()
    with pytest.raises(ListError, match="nowhere: there is no such file"):
        TarSource(tmp_path, tmp_path / "nowhere").index()


def test_tars_with_too_few_usable_samples_are_an_error(tmp_path):
    write_tar(tmp_path / "tars/a.tar", [*members_of(0), *members_of(1), ("x.txt", b"a cat")])
    mine = TarSource(tmp_path, tmp_path / "tars")
    with pytest.raises(ListError) as error:
        mine.index(needed=3)
    assert str(error.value) == (
        "source mine: 2 samples on disk are usable, but its trainsets, mixtures and filters need 3; lower the sizes that "
        f"use it, or add samples to sources.mine.shards; samples left out: no_image 1. no_image: {CAUSES['no_image']}"
    )
    assert not (tmp_path / "pairs.parquet").exists()
    assert mine.index(needed=2)["kept"] == 2


def test_a_changed_tar_is_indexed_again_and_no_other(source, tmp_path):
    mine = copied(source, tmp_path / "copy")
    shutil.rmtree(mine.folder / "indexed")
    mine.index()
    tables = {path.name: path.stat().st_mtime_ns for path in (mine.folder / "indexed").rglob("*.parquet")}
    write_tar(mine.tars / "cc12m-train-0001.tar", members_of(5000))
    assert mine.index()["kept"] == COUNT - 45 + 1
    after = {path.name: path.stat().st_mtime_ns for path in (mine.folder / "indexed").rglob("*.parquet")}
    assert [name for name in tables if tables[name] != after[name]] == ["000001.parquet"]
