"""The index of a shard: where images and captions are, written with the shard, checked, and made where it is missing."""

import io
import os
import tarfile

import numpy as np
import pytest

from link_trainset import link_trainset
from mini_parts import write_shards
from testbed.shards.index import (
    ENTRY,
    INDEX,
    index_path,
    load_index,
    make_index,
    publish_shard,
    read_index,
    trainset_index,
    write_index,
)
from testbed.shards.samples import SampleError


def write_tar(path, *members: tuple[str, bytes]):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def contents(path, index: np.ndarray) -> list[tuple[bytes, bytes]]:
    content = path.read_bytes()
    return [
        (content[image : image + image_bytes], content[caption : caption + caption_bytes])
        for image, image_bytes, caption, caption_bytes in index.tolist()
    ]


def test_members_come_in_any_order_and_form(tmp_path):
    """Names with dots and folders, other members, images of other formats, captions before their images."""
    shard = write_tar(
        tmp_path / "000000.tar",
        *[("a.b/x.1.txt", b"one"), ("a.b/x.1.jpg", b"1" * 700), ("a.b/x.1.json", b"{}"), ("readme", b"no sample")],
        *[("y.png", b"2"), ("y.cls", b"0"), ("y.txt", b""), ("z.webp", b"3" * 512), ("z.txt", "drei ü".encode())],
    )
    assert contents(shard, make_index(shard)) == [
        (b"1" * 700, b"one"),
        (b"2", b""),
        (b"3" * 512, "drei ü".encode()),
    ]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("a.jpg", b"1")], "sample a has no caption"),
        ([("a.jpg", b"1"), ("a.txt", b"x"), ("b.txt", b"y")], "sample b has no image"),
    ],
)
def test_half_a_sample_is_named(tmp_path, members, words):
    shard = write_tar(tmp_path / "000000.tar", *members)
    with pytest.raises(SampleError, match=f"{shard}: {words}"):
        make_index(shard)


def test_a_file_that_is_no_tar_is_named(tmp_path):
    (tmp_path / "000000.tar").write_bytes(b"x" * 5000)
    with pytest.raises(
        SampleError, match=r"000000.tar: cannot be read \(.*Delete .*000000.tar and the manifest.json beside it"
    ):
        make_index(tmp_path / "000000.tar")


def shard_of_two(folder):
    return write_tar(folder / "000000.tar", ("a.jpg", b"1" * 9), ("a.txt", b"x"), ("b.jpg", b"2" * 9), ("b.txt", b"y"))


def test_a_published_shard_has_its_own_index(tmp_path):
    """The index of an earlier shard is gone before the new shard is there."""
    np.save(tmp_path / "000000.npy", np.zeros(2, ENTRY))
    new = shard_of_two(tmp_path).rename(tmp_path / "new")
    publish_shard(new, tmp_path / "000000.tar")
    assert (np.load(tmp_path / "000000.npy") == make_index(tmp_path / "000000.tar")).all()
    assert sorted(os.listdir(tmp_path)) == ["000000.npy", "000000.tar"]


@pytest.mark.parametrize("stale", [None, b"no index", np.zeros(3, ENTRY), np.zeros(2), np.full(2, 10**9, ENTRY)])
def test_an_index_that_is_missing_or_wrong_is_made_from_the_shard(tmp_path, stale):
    shard = shard_of_two(tmp_path)
    if isinstance(stale, bytes):
        index_path(shard).write_bytes(stale)
    elif stale is not None:
        np.save(index_path(shard), stale)
    assert contents(shard, read_index(shard, 2)) == [(b"1" * 9, b"x"), (b"2" * 9, b"y")]


def test_an_index_beside_the_shard_is_believed(tmp_path):
    """It is not made again, which takes long for a large shard; reading checks each entry."""
    shard, index = shard_of_two(tmp_path), np.ones(2, ENTRY)
    write_index(index_path(shard), index)
    assert (read_index(shard, 2) == index).all()


def test_a_shard_with_fewer_samples_than_recorded_is_named(tmp_path):
    with pytest.raises(SampleError, match="000000.tar: has 2 of the 3 samples that its record says"):
        read_index(shard_of_two(tmp_path), 3)


def test_a_trainset_has_the_index_of_all_its_shards(tmp_path):
    for source, size in (("a", 25), ("b", 12)):
        samples = [
            {"jpg": f"{source}{n}".encode(), "json": b"{}", "txt": f"{n} {source}".encode()} for n in range(size)
        ]
        write_shards(tmp_path / source, source, samples, 10)
    # One shard of a has an index beside it, the others do not.
    write_index(tmp_path / "a" / "000000.npy", make_index(tmp_path / "a" / "000000.tar"))
    folder = tmp_path / "trainset"
    folder.mkdir()
    files = link_trainset({"a": 23, "b": 11}, {name: tmp_path / name for name in "ab"}, folder)["files"]
    index = load_index(folder / INDEX, 34, mapped=True)
    first, found = 0, []
    for file in files:
        found += contents(folder / file["name"], index[first : first + file["samples"]])
        first += file["samples"]
    expected = [(source, n) for source, size in (("a", 20), ("b", 10), ("a", 3), ("b", 1)) for n in range(size)]
    expected = [*expected[:30], ("a", 20), ("a", 21), ("a", 22), ("b", 10)]
    assert found == [(f"{source}{n}".encode(), f"{n} {source}".encode()) for source, n in expected]
    assert trainset_index(folder, files, tmp_path / "spare.npy") == folder / INDEX
    (folder / INDEX).unlink()
    assert trainset_index(folder, files, tmp_path / "spare.npy") == tmp_path / "spare.npy"
    assert (load_index(tmp_path / "spare.npy", 34) == index).all()
