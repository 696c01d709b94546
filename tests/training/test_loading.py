"""Batches as loading processes give them: the same samples and the same bytes, whatever their number; clear errors."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image

from link_trainset import link_trainset
from mini_parts import write_shards
from testbed.records.manifest import read_json, write_json
from testbed.shards.index import INDEX
from testbed.shards.samples import SampleError
from testbed.training.images import Crop
from testbed.training.loading import Batches, Loader, Reader
from testbed.training.order import Order

TRANSFORM = image_transform(16, is_train=True)
SIZES = {"a": 61, "b": 101, "c": 29}
BATCH = 12


def slow(*cases: object) -> list:
    """Cases of a parametrized test that are left to all tests."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases]


def tokenize(caption: str) -> torch.Tensor:
    return torch.tensor([[int(caption.split()[-1])]])


def samples_of(source: str, count: int) -> list[dict[str, bytes]]:
    """Small images of random bytes, with the number of the sample as caption."""
    samples, rng = [], np.random.default_rng(count)
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(file, "JPEG")
        samples.append({"jpg": file.getvalue(), "json": b"{}", "txt": f"{source} ü {number}".encode()})
    return samples


def write_trainset(folder: Path, sizes: dict[str, int], shard_size: int) -> Path:
    for source, size in sizes.items():
        # More than is taken, so that a shard is cut.
        write_shards(folder / source, source, samples_of(source, size + 7), shard_size)
    (folder / "trainset").mkdir()
    manifest = link_trainset(sizes, {source: folder / source for source in sizes}, folder / "trainset")
    write_json(folder / "trainset" / "manifest.json", manifest)
    return folder / "trainset"


@pytest.fixture(
    scope="module", params=[("three sources", SIZES, 20), ("one shard", {"a": 131}, 500), ("fifty", {"a": 151}, 3)]
)
def trainset(request, tmp_path_factory) -> Path:
    name, *how = request.param
    return write_trainset(tmp_path_factory.mktemp(name.replace(" ", "_")), *how)


def loader_of(trainset: Path, epochs: int = 3, *, workers: int = 0, rank: int = 0, crop=True, **changes) -> Loader:
    """The loader of one device of a training with three epochs of batches of 12."""
    order = Order(read_json(trainset / "manifest.json")["files"], 5)
    crop = Crop.of(TRANSFORM) if crop else None
    cache = changes.pop("cache_bytes", 0)
    batches = Batches(Reader(trainset, trainset / INDEX), 5, tokenize, crop, TRANSFORM, cache)
    shape = {"accumulated": 1, "devices": 1} | changes
    return Loader(batches, order, epochs * order.samples // BATCH, BATCH, rank=rank, workers=workers, **shape)


def given(loader: Loader) -> list[tuple[list[int], torch.Tensor, torch.Tensor]]:
    return [(loader.given.tolist(), images, tokens) for images, tokens in loader]


@pytest.fixture(scope="module")
def expected(trainset) -> list:
    return given(loader_of(trainset))


def is_same(batches: list, expected: list) -> bool:
    return len(batches) == len(expected) and all(
        own[0] == other[0] and torch.equal(own[1], other[1]) and torch.equal(own[2], other[2])
        for own, other in zip(batches, expected, strict=True)
    )


def test_each_sample_is_given_once_an_epoch(trainset, expected):
    samples = [sample for own, _, _ in expected for sample in own]
    size = read_json(trainset / "manifest.json")["samples"]
    assert len(samples) == 3 * size // BATCH * BATCH
    for epoch in range(2):
        assert sorted(samples[epoch * size : (epoch + 1) * size]) == list(range(size))
    loader = loader_of(trainset)
    list(loader)
    assert loader.seen.sum() == len(samples)
    assert (int(loader.seen.min()), int(loader.seen.max())) == (2 if len(samples) < 3 * size else 3, 3)


def test_images_and_captions_belong_to_their_samples(trainset, expected):
    """Read from the tars by their names."""
    captions, means = [], []
    for file in read_json(trainset / "manifest.json")["files"]:
        with tarfile.open(trainset / file["name"]) as archive:
            for member in archive:
                content = archive.extractfile(member).read()
                if member.name.endswith(".txt"):
                    captions.append(int(content.decode().split()[-1]))
                elif member.name.endswith(".jpg"):
                    means.append(np.asarray(Image.open(io.BytesIO(content))).mean())
    for samples, images, tokens in expected:
        assert tokens[:, 0].tolist() == [captions[sample] for sample in samples]
        # A crop of at least 90 % of an image has nearly its mean.
        assert images.float().mean(dim=(1, 2, 3)).tolist() == pytest.approx(
            [means[sample] for sample in samples], abs=6
        )


@pytest.mark.parametrize("workers", [1, 2, *slow(3, 5)])
def test_batches_do_not_depend_on_loading_processes(trainset, expected, workers):
    assert is_same(given(loader_of(trainset, workers=workers)), expected)


@pytest.mark.parametrize(("devices", "accumulated"), [(2, 1), (1, 3), *slow((4, 1), (2, 3))])
def test_devices_and_accumulated_batches_share_a_step(trainset, expected, devices, accumulated):
    ranks = [
        given(loader_of(trainset, rank=rank, devices=devices, accumulated=accumulated, workers=rank % 2))
        for rank in range(devices)
    ]
    for step, (samples, images, _) in enumerate(expected):
        parts = [rank[step * accumulated + part] for part in range(accumulated) for rank in ranks]
        assert [sample for part in parts for sample in part[0]] == samples
        assert torch.equal(torch.cat([part[1] for part in parts]), images)


@pytest.mark.parametrize("first", [1, *slow(7, 20)])
def test_a_loader_goes_on_at_any_step(trainset, expected, first):
    loader = loader_of(trainset, workers=2)
    loader.first = first
    steps = []
    loader.at_step = steps.append
    assert is_same(given(loader), expected[first:])
    assert steps == list(range(first, loader.steps))
    assert loader.num_batches == len(expected) - first


@pytest.mark.parametrize("kept", [30 * 20 * 24 * 3, 10**9])
def test_kept_images_change_nothing(trainset, expected, kept):
    loader = loader_of(trainset, cache_bytes=kept)
    assert is_same(given(loader), expected)
    assert 0 < loader.batches.cached <= kept
    assert len(loader.batches.cache) == min(30, loader.order.samples) if kept < 10**9 else loader.order.samples


def test_open_clips_own_transform_gives_numbers_that_depend_on_the_sample(trainset):
    plain, others = given(loader_of(trainset, crop=False)), given(loader_of(trainset, crop=False, workers=3))
    assert plain[0][1].dtype == torch.float32 and plain[0][1].shape == (BATCH, 3, 16, 16)
    assert is_same(plain, others)
    loader = loader_of(trainset, crop=False)
    loader.first = 5
    assert is_same(given(loader), plain[5:])


@pytest.fixture
def damaged(tmp_path) -> Path:
    return write_trainset(tmp_path, {"a": 40}, 20)


def error_of(trainset: Path, workers: int) -> str:
    with pytest.raises(SampleError) as error:
        list(loader_of(trainset, workers=workers))
    assert "\n" not in str(error.value)
    return str(error.value)


def replace(shard: Path, member: str, content: bytes, same_size: bool = False) -> None:
    """Write a shard anew, with other content for the first member with the extension `member`."""
    members = {}
    with tarfile.open(shard) as archive:
        for entry in archive:
            members[entry.name] = archive.extractfile(entry).read()
    name = next(name for name in members if name.endswith(member))
    members[name] = content.ljust(len(members[name]), b" ") if same_size else content
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cut_shard_is_named(damaged, workers):
    shard = damaged / "000001.tar"
    size = shard.stat().st_size
    shard.resolve().write_bytes(shard.read_bytes()[:-10240])
    assert f"{shard}: has {size - 10240} bytes, but its record says {size}" in error_of(damaged, workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_with_other_samples_than_its_index_is_named(damaged, workers):
    """Of the same size: a member is longer by a byte, within its last block."""
    shard = damaged / "000000.tar"
    replace(shard, ".txt", b"a caption of another length 7")
    message = error_of(damaged, workers)
    assert f"{shard}: no file of " in message and "where the index has one. Run `snakemake verify`" in message


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_does_not_decode_is_named(damaged, workers):
    replace(damaged / "000000.tar", ".jpg", b"no image", same_size=True)
    assert f"{damaged / '000000.tar'}: the image " in (message := error_of(damaged, workers))
    assert ".jpg cannot be decoded" in message


@pytest.mark.parametrize("workers", [0, 2])
def test_a_caption_that_is_no_utf8_is_named(damaged, workers):
    replace(damaged / "000001.tar", ".txt", "süß".encode("latin-1"), same_size=True)
    message = error_of(damaged, workers)
    assert f"{damaged / '000001.tar'}: the caption of sample " in message and "is no UTF-8" in message


def test_a_missing_shard_is_named(damaged):
    (damaged / "000001.tar").unlink()
    assert f"{damaged / '000001.tar'}: cannot be read" in error_of(damaged, 0)


def test_an_index_of_another_trainset_is_named(damaged):
    np.save(damaged / INDEX, np.zeros(39, np.int64))
    assert f"{damaged / INDEX}: is an index of 39 samples" in error_of(damaged, 0)
