"""The index of a shard says where each sample's image and caption are, so that samples are read in any order.

It lies beside the shard, as NNNNNN.npy. It is written with the shard, and made from the shard's headers where it is missing.
"""

import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from testbed.records.files import publish
from testbed.shards.samples import SampleError

ENTRY = np.dtype([("image", "<i8"), ("image_bytes", "<i4"), ("caption", "<i8"), ("caption_bytes", "<i4")])
"""Offset in the shard, and number of bytes, of a sample's image and caption."""

INDEX = "index.npy"
"""File in a trainset's folder: the index of all its samples, in the order of its shards."""

IMAGE_SUFFIXES, CAPTION_SUFFIX = (".jpg", ".jpeg", ".png", ".webp"), ".txt"


def index_path(shard: Path) -> Path:
    """Return where the index of the tar file `shard` is."""
    return shard.with_suffix(".npy")


def make_index(shard: Path) -> np.ndarray:
    """Return the index of the tar file `shard`: an ENTRY for each sample, in the order of the images.

    Raises `SampleError` if the file cannot be read, or if a sample lacks its image or its caption.
    """
    images, captions, found = {}, {}, Counter()
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                name, dot, extension = member.name.rpartition(".")
                suffix = dot + extension.lower()
                kind = "image" if suffix in IMAGE_SUFFIXES else suffix
                # Tars that are linked as they are may share names, and a mixture's last shard has samples of several.
                key = name, found[kind, name]
                found[kind, name] += 1
                if kind == "image":
                    images[key] = (member.offset_data, member.size)
                elif kind == CAPTION_SUFFIX:
                    captions[key] = (member.offset_data, member.size)
    except (OSError, tarfile.TarError) as error:
        raise SampleError(f"{shard}: cannot be read ({error}). {again(shard)}") from error
    if alone := sorted(images.keys() ^ captions.keys()):
        missing = "caption" if alone[0] in images else "image"
        raise SampleError(f"{shard}: sample {alone[0][0]} has no {missing}. {again(shard)}")
    return np.array([images[key] + captions[key] for key in images], ENTRY)


def again(path: Path) -> str:
    return f"Delete {path} and the manifest.json beside it, and run the same command again."


def write_index(path: Path, index: np.ndarray) -> None:
    """Write `index` at `path` atomically."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        np.save(file, index)
    publish(temporary, path)


def publish_shard(temporary: Path, shard: Path) -> None:
    """Rename the finished tar file `temporary` to `shard`, and write its index beside it."""
    # The old index goes first, so that none ever describes another shard.
    index_path(shard).unlink(missing_ok=True)
    publish(temporary, shard)
    write_index(index_path(shard), make_index(shard))


def read_index(shard: Path, samples: int) -> np.ndarray:
    """Return the index of the tar file `shard` with `samples` samples: the one beside it, or one that is made here.

    Raises `SampleError` if the shard has another number of samples.
    """
    try:
        index = load_index(index_path(shard), samples)
        if (index["image"] + index["image_bytes"]).max(initial=0) <= shard.stat().st_size:
            return index
    except (OSError, SampleError):
        pass
    index = make_index(shard)
    if len(index) != samples:
        raise SampleError(f"{shard}: has {len(index)} of the {samples} samples that its record says. {again(shard)}")
    return index


def index_trainset(folder: Path, files: Sequence[Mapping], path: Path) -> None:
    """Write the index of the trainset in `folder`, whose manifest has `files`, at `path`.

    Raises `SampleError` if a shard has not the samples that its record says.
    """
    indices = [read_index(linked(folder / file["name"]), file["samples"]) for file in files]
    write_index(path, np.concatenate(indices))


def linked(path: Path) -> Path:
    """Return the shard that `path` is or links to. Its index is beside it, also if the shard is itself a link to a tar."""
    return path.parent / path.readlink() if path.is_symlink() else path


def trainset_index(folder: Path, files: Sequence[Mapping], spare: Path) -> Path:
    """Return the path of the index of the trainset in `folder`: the one in it, or one that is made at `spare`.

    Trainsets that were linked before there were indices have none.
    """
    try:
        load_index(folder / INDEX, sum(file["samples"] for file in files), mapped=True)
        return folder / INDEX
    except SampleError:
        index_trainset(folder, files, spare)
        return spare


def load_index(path: Path, samples: int, mapped: bool = False) -> np.ndarray:
    """Return the index in the file `path`, which must be of `samples` samples; `mapped` leaves it on disk.

    Raises `SampleError` if it is no such index.
    """
    try:
        index = np.load(path, mmap_mode="r" if mapped else None)
    except (OSError, ValueError, EOFError) as error:
        raise SampleError(f"{path}: is no index of samples ({error}). {again(path)}") from error
    if index.dtype != ENTRY or index.shape != (samples,):
        raise SampleError(
            f"{path}: is an index of {len(index)} samples, but its trainset or shard has {samples}. {again(path)}"
        )
    return index
