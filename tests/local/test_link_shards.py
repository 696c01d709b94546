"""Tars as they are: whole, in a seeded order, with the places of usable samples only."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from link_trainset import link_trainset
from list_samples import list_samples
from local_runs import TarSource
from reshard_samples import reshard_samples
from tars import draw, members_of, sample, write_hub_tars, write_tar
from testbed.records.manifest import problem, read_json, write_json
from testbed.shards.index import index_path, load_index
from testbed.shards.samples import read_image
from testbed.shards.shard_files import ShardError


@pytest.fixture
def source(tmp_path) -> TarSource:
    """Four tars as the Hub has them, with 10, 10, 10 and 5 samples."""
    write_hub_tars(tmp_path / "hub", 35, per_tar=10)
    return TarSource(tmp_path, tmp_path / "hub")


def pairs_at(shard: Path, index: np.ndarray) -> list[tuple[bytes, str]]:
    """The images and captions at the places in an index."""
    content = shard.read_bytes()
    return [
        (content[image : image + size], content[caption : caption + length].decode())
        for image, size, caption, length in index.tolist()
    ]


def samples_in(folder: Path, file: dict) -> list[tuple[bytes, str]]:
    shard = folder / file["name"]
    return pairs_at(shard, load_index(index_path(shard), file["samples"]))


def numbers_in(folder: Path) -> list[int]:
    """The numbers of the samples of linked shards, by their captions; their images are theirs, too."""
    numbers = []
    for file in read_json(folder / "manifest.json")["files"]:
        for image, caption in samples_in(folder, file):
            numbers.append(int(caption.partition(",")[0].rpartition(" ")[2]))
            assert image == draw(numbers[-1])
    return numbers


def test_whole_tars_are_links_in_a_seeded_order(source):
    orders = set()
    for seed in range(8):
        manifest = source.link(seed=seed, to=f"linked{seed}")
        folder = source.folder / f"linked{seed}"
        assert manifest["samples"] == 35 and manifest["as_is"]
        numbers = numbers_in(folder)
        assert sorted(numbers) == list(range(35))
        tars = [(folder / file["name"]).resolve() for file in manifest["files"]]
        assert sorted(tars) == sorted(source.tars.glob("*.tar"))
        # Within a tar the order is the tar's.
        steps = [later - earlier for earlier, later in zip(numbers, numbers[1:], strict=False)]
        assert steps.count(1) >= 31
        assert [problem(folder, file) for file in manifest["files"]] == [None] * 4
        orders.add(tuple(tar.name for tar in tars))
    assert len(orders) > 2


def test_the_order_does_not_depend_on_names(source):
    before = source.link()
    for number, tar in enumerate(sorted(source.tars.glob("*.tar"))):
        tar.rename(tar.with_name(f"{9 - number}.tar"))
    assert [file["sha256"] for file in source.link(to="again")["files"]] == [file["sha256"] for file in before["files"]]


def test_uids_are_those_of_rewritten_samples(source):
    source.link()
    linked = {uid for path in (source.folder / "linked").glob("*.parquet") for uid in column(path, "uid")}
    source.rewrite()
    assert linked == set(source.order())


def column(path: Path, name: str) -> list:
    return parquet.read_table(path)[name].to_pylist()


def test_samples_that_are_left_out_are_in_no_index(tmp_path):
    members = [members_of(number) for number in range(4)]
    # One that cannot be decoded, one without an image, a repeated pair, and members that are no part of a sample.
    members[1][0] = (members[1][0][0], b"\xff\xd8 no image")
    members.append(members_of(4)[1:])
    members.append([(f"again{name}", content) for name, content in members[2]])
    members.append([("README", b"about")])
    write_tar(tmp_path / "tars/0.tar", [member for sample in members for member in sample])
    source = TarSource(tmp_path, tmp_path / "tars")
    assert source.link()["samples"] == 3
    assert numbers_in(tmp_path / "linked") == [0, 2, 3]


@pytest.mark.parametrize("most", [1, 11, 35])
def test_tars_are_linked_until_they_have_the_samples_asked_for(source, most):
    samples = [file["samples"] for file in source.link(most=most)["files"]]
    assert sum(samples[:-1]) < most <= sum(samples)


def test_too_few_samples_are_an_error(source):
    with pytest.raises(
        ShardError, match=r"source mine: its tars have 35 usable samples, .* needs 36\. Lower the sizes"
    ):
        source.link(needed=36)


def test_a_restart_writes_only_what_is_missing(source):
    source.link()
    folder = source.folder / "linked"
    before = {path.name: path.lstat().st_mtime_ns for path in folder.iterdir()}
    (folder / "000002.json").unlink()
    (folder / "000099.tar").symlink_to("nowhere")
    source.link()
    changed = {path.name for path in folder.iterdir() if path.lstat().st_mtime_ns != before[path.name]}
    assert changed == {"manifest.json", *(f"000002.{suffix}" for suffix in ("tar", "npy", "parquet", "json"))}


def refused(
    tmp_path: Path, change: Callable[[list[list[tuple[str, bytes]]]], list[tuple[str, bytes]]], **options
) -> None:
    samples = [members_of(number) for number in range(3)]
    write_tar(tmp_path / "tars/0.tar", change(samples), **options)
    TarSource(tmp_path, tmp_path / "tars").link()


def flat(samples: list) -> list:
    return [member for sample in samples for member in sample]


def test_tars_in_another_layout_are_refused(tmp_path):
    way_out = "so that it cannot be taken as it is. Remove as_is"
    png = [[("k.png", draw(0, "PNG")), ("k.txt", b"a cup")]]
    with pytest.raises(ShardError, match=f"the image of sample k is no JPEG file, {way_out}"):
        refused(tmp_path / "png", lambda _: flat(png))
    with pytest.raises(ShardError, match=f"sample 000000000 does not end with 000000000.txt, {way_out}"):
        refused(tmp_path / "kinds", lambda samples: [one[kind] for kind in range(3) for one in samples])
    with pytest.raises(ShardError, match="does not end with"):
        refused(tmp_path / "fields", lambda samples: flat([one[:2] for one in samples]))
    long = "folder/" * 20 + "photo"
    with pytest.raises(ShardError, match=f"the name of sample {long} is too long, {way_out}"):
        refused(tmp_path / "long", lambda _: members_of(0, long), format=tarfile.PAX_FORMAT)
    # Its image and its caption have short names, and its metadata would not.
    with pytest.raises(ShardError, match=f"the name of sample {'k' * 96} is too long"):
        refused(tmp_path / "longer", lambda _: members_of(0, "k" * 96), format=tarfile.GNU_FORMAT)


def test_a_cut_tar_is_refused(source):
    tar = min(source.tars.glob("*.tar"))
    tar.write_bytes(tar.read_bytes()[:20_000])
    with pytest.raises(ShardError, match=rf"{tar}: is cut at byte .*Remove as_is"):
        source.link()


def test_a_key_in_two_tars_is_refused(source):
    write_tar(source.tars / "more.tar", members_of(99, sample(3)["key"]))
    with pytest.raises(ShardError, match=r"both have a sample 000000003, so that they cannot be taken .*Remove as_is"):
        source.link()


def test_a_tar_that_changed_is_an_error(source):
    source.link()
    tar = min(source.tars.glob("*.tar"))
    tar.write_bytes(tar.read_bytes() + bytes(512))
    folder = source.folder / "linked"
    wrong = [problem(folder, file, content=False) for file in read_json(folder / "manifest.json")["files"]]
    assert sum(map(bool, wrong)) == 1


def test_a_trainset_has_the_first_samples(source):
    source.link()
    numbers = numbers_in(source.folder / "linked")
    for size in (7, 20, 33):
        folder = source.folder / f"trainset{size}"
        folder.mkdir()
        manifest = link_trainset({"mine": size}, {"mine": source.folder / "linked"}, folder)
        index = load_index(folder / "index.npy", size)
        found, start = [], 0
        for file in manifest["files"]:
            found += pairs_at(folder / file["name"], index[start : start + file["samples"]])
            start += file["samples"]
        assert [image for image, _ in found] == [draw(number) for number in numbers[:size]]
        # A cut shard is a tar that others read.
        with tarfile.open(folder / manifest["files"][-1]["name"]) as tar:
            assert sum(name.endswith(".jpg") for name in tar.getnames()) == manifest["files"][-1]["samples"]


def test_filters_see_columns_and_facts_and_copy_samples(source):
    source.link()
    pool = source.folder / "samples"
    pool.mkdir()
    schema = parquet.read_schema(source.folder / "pairs.parquet").remove_metadata()
    listed = list_samples(source.folder / "linked", schema, pool)
    write_json(pool / "manifest.json", listed)
    table = parquet.read_table([pool / file["name"] for file in listed["files"]])
    assert table["original_width"].unique().to_pylist() == [640] and table["width"].unique().to_pylist() == [48]
    assert {"status", "shard", "offset", "bytes", "sha256"} <= set(table.column_names)
    for row in table.slice(0, 12).to_pylist():
        with open(source.folder / "linked" / row["shard"], "rb") as shard:
            assert read_image(shard, row["offset"]) == draw(int(row["file_key"]))

    kept = source.folder / "kept"
    kept.mkdir()
    files = []
    for file in listed["files"]:
        part = parquet.read_table(pool / file["name"])
        part = part.filter(np.array([int(key) % 3 == 0 for key in part["file_key"].to_pylist()]))
        parquet.write_table(part, kept / file["name"])
        files.append({"name": file["name"], "rows": len(part), "bytes": (kept / file["name"]).stat().st_size})
    write_json(kept / "manifest.json", {"samples": 12, "of": 35, "from": "mine", "files": files})
    folder = source.folder / "resharded"
    folder.mkdir()
    write_json(folder / "manifest.json", reshard_samples(kept, source.folder / "linked", folder, 8, needed=12))
    numbers = numbers_in(folder)
    assert numbers == [number for number in numbers_in(source.folder / "linked") if number % 3 == 0]


def test_samples_of_linked_tars_take_other_captions(source):
    """Their members have the names and the metadata of the user's tar."""
    source.link()
    pool, kept, folder = (source.folder / name for name in ("samples", "kept", "resharded"))
    for path in (pool, kept, folder):
        path.mkdir()
    schema = parquet.read_schema(source.folder / "pairs.parquet").remove_metadata()
    listed = list_samples(source.folder / "linked", schema, pool)
    files = []
    for file in listed["files"]:
        part = parquet.read_table(pool / file["name"])
        old = part["caption"].to_pylist()
        new = [f"another {text}" if number % 2 else text for number, text in enumerate(old)]
        part = part.set_column(part.column_names.index("caption"), "caption", pa.array(new))
        parquet.write_table(part.append_column("original_caption", pa.array(old)), kept / file["name"])
        files.append({"name": file["name"], "rows": len(part), "bytes": (kept / file["name"]).stat().st_size})
    write_json(kept / "manifest.json", {"samples": 35, "of": 35, "from": "mine", "files": files})
    write_json(folder / "manifest.json", reshard_samples(kept, source.folder / "linked", folder, 8, needed=35))
    captions = [caption for path in sorted(kept.glob("*.parquet")) for caption in column(path, "caption")]
    keys = [key for path in sorted(kept.glob("*.parquet")) for key in column(path, "file_key")]
    assert sum(caption.startswith("another") for caption in captions) == 17
    found = [pair for file in read_json(folder / "manifest.json")["files"] for pair in samples_in(folder, file)]
    assert found == [(draw(int(key)), caption) for key, caption in zip(keys, captions, strict=True)]
    with tarfile.open(folder / "000000.tar") as tar:
        facts = json.load(tar.extractfile(f"{keys[1]}.json"))
    assert (facts["caption"], facts["url"]) == (captions[1], sample(int(keys[1]))["url"])


def test_suffixes_in_capitals_and_fields_named_like_places_are_taken(tmp_path):
    samples = [members_of(number, bytes=number, shard="mine", offset=3) for number in range(4)]
    named = [(name.replace(".jpg", ".JPG").replace(".txt", ".TXT"), content) for name, content in flat(samples)]
    write_tar(tmp_path / "tars/0.tar", named)
    source = TarSource(tmp_path, tmp_path / "tars")
    source.link()
    pool, folder = tmp_path / "samples", tmp_path / "trainset"
    pool.mkdir()
    folder.mkdir()
    schema = parquet.read_schema(tmp_path / "pairs.parquet").remove_metadata()
    list_samples(tmp_path / "linked", schema, pool)
    assert column(pool / "000000.parquet", "source_bytes") == [0, 1, 2, 3]
    assert column(pool / "000000.parquet", "shard") == 4 * ["000000.tar"]
    assert link_trainset({"mine": 3}, {"mine": tmp_path / "linked"}, folder)["samples"] == 3


def test_two_sources_with_the_same_keys_are_mixed(tmp_path):
    folders = {}
    for name, numbers in {"one": range(4), "two": range(10, 14)}.items():
        members = [members_of(number, f"{place:09d}") for place, number in enumerate(numbers)]
        write_tar(tmp_path / name / "tars/0.tar", flat(members))
        TarSource(tmp_path / name, tmp_path / name / "tars").link()
        folders[name] = tmp_path / name / "linked"
    folder = tmp_path / "trainset"
    folder.mkdir()
    (file,) = link_trainset({"one": 3, "two": 2}, folders, folder)["files"]
    found = pairs_at(folder / file["name"], load_index(folder / "index.npy", 5))
    assert [image for image, _ in found] == [draw(number) for number in (0, 1, 2, 10, 11)]
