"""Trainsets: the exact samples of every source, as links and at most one cut shard, nested in size."""

import os
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from experiments import load, small
from link_trainset import TrainsetError, link_trainset
from mini_parts import write_shards
from processes import cpu_seconds
from testbed.records.manifest import problem, read_json, write_json
from testbed.shards.index import index_path, make_index, write_index
from testbed.shards.samples import SampleError


@pytest.fixture
def shards(tmp_path):
    """Shard folders of two sources: 25 and 30 samples in shards of 10."""
    folders = {"a": tmp_path / "shards" / "a", "b": tmp_path / "shards" / "b"}
    for source, count in {"a": 25, "b": 30}.items():
        samples = [
            {"jpg": f"image {source}{number}".encode(), "json": b"{}", "txt": f"{source}{number}".encode()}
            for number in range(count)
        ]
        write_shards(folders[source], source, samples, 10)
    return folders


@pytest.fixture
def linked(shards, tmp_path):
    """A function that links a trainset; returns its folder and manifest."""

    def link(to="trainset", **composition):
        folder = tmp_path / to
        folder.mkdir(exist_ok=True)
        return folder, link_trainset(composition, shards, folder)

    return link


def captions(folder: Path) -> list[str]:
    """The captions of a trainset, in order."""
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            names = tar.getnames()
            assert [Path(name).suffix for name in names] == [".jpg", ".json", ".txt"] * (len(names) // 3)
            found += [tar.extractfile(name).read().decode() for name in names if name.endswith(".txt")]
    return found


def cut_shards(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.glob("*.tar")) if not path.is_symlink()]


@pytest.mark.parametrize("count", [1, 9, 10, 11, 20, 23, 25])
def test_a_trainset_is_the_first_samples_of_its_source(linked, count):
    folder, manifest = linked(a=count)
    assert captions(folder) == [f"a{number}" for number in range(count)]
    assert manifest["samples"] == sum(file["samples"] for file in manifest["files"]) == count
    assert manifest["composition"] == {"a": count}
    # 25 takes the source's own short last shard, whole.
    assert len(cut_shards(folder)) == (0 if count in (10, 20, 25) else 1)


@pytest.mark.parametrize(("first", "second"), [(7, 13), (10, 20), (25, 30), (1, 1), (20, 5), (0, 4)])
def test_a_mixture_holds_exact_counts_of_each_source(linked, first, second):
    folder, manifest = linked(a=first, b=second)
    found = captions(folder)
    assert Counter(caption[0] for caption in found) == +Counter(a=first, b=second)
    for source, count in {"a": first, "b": second}.items():
        own = [caption for caption in found if caption.startswith(source)]
        assert own == [f"{source}{number}" for number in range(count)]
    assert manifest["samples"] == first + second
    assert len(cut_shards(folder)) <= 1


def test_the_remainders_of_a_mixture_share_the_last_shard(linked):
    folder, manifest = linked(a=13, b=24)
    assert sorted(path.name for path in folder.glob("*.tar")) == [f"{number:06d}.tar" for number in range(4)]
    assert cut_shards(folder) == ["000003.tar"]
    last = manifest["files"][-1]
    assert last["parts"] == [
        {"source": "a", "samples": 3, "shard": "000001.tar"},
        {"source": "b", "samples": 4, "shard": "000002.tar"},
    ]
    assert captions(folder)[-7:] == ["a10", "a11", "a12", "b20", "b21", "b22", "b23"]


def test_whole_shards_are_relative_links(linked, shards):
    folder, _ = linked(a=15, b=20)
    links = {path.name: os.readlink(path) for path in folder.glob("*.tar") if path.is_symlink()}
    assert links == {
        "000000.tar": "../shards/a/000000.tar",
        "000001.tar": "../shards/b/000000.tar",
        "000002.tar": "../shards/b/000001.tar",
    }
    assert (folder / "000002.tar").samefile(shards["b"] / "000001.tar")


def test_the_manifest_records_every_file(linked):
    folder, manifest = linked(a=13, b=24)
    assert [file["name"] for file in manifest["files"]] == sorted(path.name for path in folder.glob("*.tar"))
    assert [problem(folder, file) for file in manifest["files"]] == [None] * 4


def test_a_cut_shard_is_the_beginning_of_the_shard(linked, shards):
    folder, _ = linked(a=14)
    with tarfile.open(shards["a"] / "000001.tar") as whole, tarfile.open(folder / "000001.tar") as cut:
        names = whole.getnames()[:12]
        assert cut.getnames() == names
        assert [cut.extractfile(name).read() for name in names] == [whole.extractfile(name).read() for name in names]


def test_smaller_trainsets_are_contained_in_larger_ones(linked):
    mixture = {"m": {"shares": {"a": 0.4, "b": 0.6}}}
    experiment = load(small(mixtures=mixture, architectures__mini_rn__batch_size=1))
    before: set[str] = set()
    for size in (1, 7, 10, 19, 20, 33, 50):
        folder, _ = linked(to=f"size-{size}", **experiment.composition("m", size))
        found = captions(folder)
        assert len(found) == len(set(found)) == size
        assert before < set(found)
        before = set(found)


def test_equal_trainsets_are_equal_bytes(linked):
    assert linked(a=13, b=24)[1] == linked(to="again", a=13, b=24)[1]


def test_a_smaller_trainset_in_the_same_folder_leaves_nothing_of_the_larger(linked):
    linked(a=23, b=30)
    folder, manifest = linked(a=5)
    assert sorted(path.name for path in folder.iterdir()) == ["000000.tar", "index.npy"]
    assert [problem(folder, file) for file in manifest["files"]] == [None]


def test_a_folder_that_was_moved_with_its_shards_still_works(linked, tmp_path):
    linked(a=25)
    (tmp_path / "trainset").parent.joinpath("moved").mkdir()
    for name in ("trainset", "shards"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    assert len(captions(tmp_path / "moved" / "trainset")) == 25


def test_a_trainset_larger_than_its_source_is_an_error(linked):
    with pytest.raises(TrainsetError, match=r"a: has 25 samples, 2 fewer than .*Lower the sizes that use it"):
        linked(a=27)


def test_a_shard_that_is_not_whole_is_named(linked, shards):
    path = shards["b"] / "000001.tar"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TrainsetError, match=rf"{path}: has \d+ bytes.* Delete {shards['b']}/manifest.json and run"):
        linked(b=12)
    # Shards beyond the trainset's are none of its concern.
    assert linked(b=10)[1]["samples"] == 10


def test_a_shard_with_fewer_samples_than_recorded_is_an_error(linked, shards):
    entry = read_json(shards["a"] / "manifest.json")["files"][0]
    with tarfile.open(shards["a"] / "000000.tar") as tar:
        short = tar.getmembers()[15].offset
    content = (shards["a"] / "000000.tar").read_bytes()[:short]
    (shards["a"] / "000000.tar").write_bytes(content.ljust(entry["bytes"], b"\0"))
    with pytest.raises(SampleError, match="000000.tar: has 5 of the 10 samples"):
        linked(a=7)


def test_a_shard_that_lost_its_content_is_an_error(linked, shards):
    """Its index and its length are still right."""
    shard = shards["a"] / "000000.tar"
    write_index(index_path(shard), make_index(shard))
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(SampleError, match="000000.tar: has 0 of the 7 samples"):
        linked(a=7)


@pytest.mark.slow
def test_fifteen_million_samples_of_six_sources_are_linked_in_seconds(tmp_path):
    """Shards of the paper's number and recorded length, with one sample in each."""
    folders = {f"s{number}": tmp_path / "shards" / f"s{number}" for number in range(6)}
    for source, folder in folders.items():
        write_shards(folder, source, [{"jpg": b"i", "json": b"{}", "txt": b"t"}] * 251, 1)
        manifest = read_json(folder / "manifest.json")
        files = [file | {"samples": 10_000} for file in manifest["files"]]
        np.save(folder / "all.npy", np.repeat(make_index(folder / files[0]["name"]), 10_000))
        for file in files:
            (folder / file["name"]).with_suffix(".npy").symlink_to("all.npy")
        write_json(folder / "manifest.json", manifest | {"samples": 2_510_000, "files": files})
    folder = tmp_path / "trainset"
    folder.mkdir()
    started = cpu_seconds()
    manifest = link_trainset(dict.fromkeys(folders, 2500001), folders, folder)
    assert cpu_seconds() - started < 10
    assert manifest["samples"] == 15_000_006
    assert manifest["composition"] == dict.fromkeys(folders, 2500001)
    assert len(np.load(folder / "index.npy", mmap_mode="r")) == 15_000_006
    assert len(manifest["files"]) == 1501 and cut_shards(folder) == ["001500.tar"]
