"""Test sets in CLIP_benchmark's local WebDataset format, and their decoded images.

A folder has classnames.txt, zeroshot_classification_templates.txt, dataset_type.txt if the task is not classification, and
test/nshards.txt with test/0.tar, test/1.tar, ... A sample has an image and a target: a label (cls), a vector of labels
(npy) or captions (txt, one per line).
"""

import csv
import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from testbed.evaluation.preprocessing import Preprocessing
from testbed.evaluation.tasks import TARGET_EXTENSIONS, TestsetError, parse_label
from testbed.records.manifest import ManifestError, problem, read_json
from testbed.records.shipped import shipped

IMAGES = ("webp", "png", "jpg", "jpeg")
NAME = re.compile(r"((?:.*/|)[^.]+)\.([^/]*)")
"""Key and extension of a file name, as WebDataset splits it."""

IMAGES_FILE, SAMPLES_FILE = "images.npy", "samples.parquet"


def expected_counts(table: Path | str, name: str) -> dict[str, int | None]:
    """The number of images and of classes of the test set `name` in resources/testsets.csv; None where it is not known."""
    with open(shipped(table), newline="", encoding="utf-8") as file:
        row = next((row for row in csv.DictReader(file) if row["retrieve"] == name), {})
    return {what: int(row[what]) if row.get(what) else None for what in ("images", "classes")}


def shards_of(folder: Path) -> list[Path]:
    """The shards of a test set in order."""
    count = int((folder / "test" / "nshards.txt").read_text())
    return [folder / "test" / f"{shard}.tar" for shard in range(count)]


def read_samples(shard: Path, task: str) -> Iterator[tuple[str, bytes, bytes]]:
    """Key, image file and target of each sample; raises `TestsetError` if one is missing or the tar is truncated."""
    try:
        with tarfile.open(shard) as archive:
            files: dict[str, dict[str, bytes]] = {}
            for member in archive:
                match = NAME.fullmatch(member.name) if member.isfile() else None
                if match is None:
                    continue
                key, extension = match[1], match[2].lower()
                # The files of a sample are consecutive.
                if files and key not in files:
                    yield _sample(shard, *files.popitem(), task)
                files.setdefault(key, {})[extension] = archive.extractfile(member).read()
            if files:
                yield _sample(shard, *files.popitem(), task)
    except (OSError, tarfile.TarError) as error:
        raise TestsetError(f"{shard}: cannot be read ({error}). Copy the test set again.") from error


def _sample(shard: Path, key: str, files: dict[str, bytes], task: str) -> tuple[str, bytes, bytes]:
    image = next((files[extension] for extension in IMAGES if extension in files), None)
    if image is None or TARGET_EXTENSIONS[task] not in files:
        raise TestsetError(
            f"{shard}: sample {key} has {', '.join(sorted(files))}, and not an image and its .{TARGET_EXTENSIONS[task]}. "
            "Copy the test set again, or correct its dataset_type.txt."
        )
    return key, image, files[TARGET_EXTENSIONS[task]]


def count_samples(shard: Path) -> int:
    """The number of images in a shard; raises `TestsetError` if it cannot be read."""
    try:
        with tarfile.open(shard) as archive:
            matches = [NAME.fullmatch(member.name) for member in archive if member.isfile()]
    except (OSError, tarfile.TarError) as error:
        raise TestsetError(f"{shard}: cannot be read ({error}). Copy the test set again.") from error
    return sum(match is not None and match[2].lower() in IMAGES for match in matches)


def parse_target(content: bytes, task: str, place: str, classes: int) -> int | list[int] | list[str]:
    """The target in the `content` of the file at `place`: a label, a list with 0 or 1 for each class, or captions.

    Raises `TestsetError` if it is none, or not of one of `classes` classes.
    """
    if task == "classification":
        return parse_label(content, place, classes)
    try:
        if task == "retrieval":
            return content.decode("utf-8").splitlines()
        labels = np.load(io.BytesIO(content)).astype(np.int64).tolist()
    except ValueError as error:
        raise TestsetError(f"{place}: cannot be read ({error}). Replace it, or remove its sample.") from error
    if len(labels) != classes:
        raise TestsetError(
            f"{place}: has {len(labels)} labels, and classnames.txt has {classes} names. Write a 0 or a 1 for each name."
        )
    return labels


@dataclass(frozen=True)
class Decoded:
    """A decoded test set: uint8 `images` (N, H, W, 3), and the `keys` and `targets` of the samples."""

    images: np.ndarray
    keys: list[str]
    targets: list
    task: str
    preprocessing: Preprocessing


def open_decoded(folder: Path) -> Decoded:
    """The decoded test set in `folder`; raises `ManifestError` if a file differs from its record."""
    import pyarrow.parquet as parquet

    manifest = read_json(folder / "manifest.json")
    for file in manifest["files"]:
        if wrong := problem(folder, file, content=False):
            raise ManifestError(f"{wrong}. Delete {folder}/manifest.json to have it decoded again.")
    samples = parquet.read_table(folder / SAMPLES_FILE).to_pydict()
    images = np.load(folder / IMAGES_FILE, mmap_mode="r")
    # Version 0.1 wrote the key "framing".
    preprocessing = manifest.get("preprocessing") or manifest["framing"]
    return Decoded(images, samples["key"], samples["answer"], manifest["task"], Preprocessing.of(preprocessing))
