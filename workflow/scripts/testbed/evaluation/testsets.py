"""Test sets in CLIP_benchmark's local WebDataset format, and what is decoded of them.

A folder holds classnames.txt, zeroshot_classification_templates.txt, dataset_type.txt where it is no classification, and
test/nshards.txt with test/0.tar, test/1.tar, ..., whose samples are an image and an answer: a label (cls), a vector of
labels (npy) or captions (txt, a line each).
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
from testbed.evaluation.tasks import ANSWERS, TestsetError
from testbed.records.manifest import ManifestError, problem, read_json
from testbed.records.shipped import shipped

IMAGES = ("webp", "png", "jpg", "jpeg")
NAME = re.compile(r"((?:.*/|)[^.]+)\.([^/]*)")
"""Key and extension, as WebDataset cuts them."""

IMAGES_FILE, SAMPLES_FILE = "images.npy", "samples.parquet"


def expected_counts(table: Path | str, name: str) -> dict[str, int | None]:
    """Images and classes that the test set `name` should have, by resources/testsets.csv; None where nothing is known."""
    with open(shipped(table), newline="", encoding="utf-8") as file:
        row = next((row for row in csv.DictReader(file) if row["retrieve"] == name), {})
    return {what: int(row[what]) if row.get(what) else None for what in ("images", "classes")}


def read_lines(path: Path) -> list[str]:
    """The lines of a file without surrounding white space, as CLIP_benchmark reads class names and templates."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]


def shards_of(folder: Path) -> list[Path]:
    """The shards of a test set in order."""
    count = int((folder / "test" / "nshards.txt").read_text())
    return [folder / "test" / f"{shard}.tar" for shard in range(count)]


def read_samples(shard: Path, task: str) -> Iterator[tuple[str, bytes, bytes]]:
    """Key, image file and answer of each sample; raises `TestsetError` where one of them is missing or the tar is cut."""
    try:
        with tarfile.open(shard) as archive:
            parts: dict[str, dict[str, bytes]] = {}
            for member in archive:
                match = NAME.fullmatch(member.name) if member.isfile() else None
                if match is None:
                    continue
                key, extension = match[1], match[2].lower()
                # The files of a sample lie together.
                if parts and key not in parts:
                    yield complete(shard, *parts.popitem(), task)
                parts.setdefault(key, {})[extension] = archive.extractfile(member).read()
            if parts:
                yield complete(shard, *parts.popitem(), task)
    except (OSError, tarfile.TarError) as error:
        raise TestsetError(f"{shard}: cannot be read ({error}). Copy the test set again.") from error


def complete(shard: Path, key: str, parts: dict[str, bytes], task: str) -> tuple[str, bytes, bytes]:
    """A sample's key, image and answer; raises `TestsetError` where one is missing."""
    image = next((parts[extension] for extension in IMAGES if extension in parts), None)
    if image is None or ANSWERS[task] not in parts:
        raise TestsetError(
            f"{shard}: sample {key} has {', '.join(sorted(parts))}, and not an image and its .{ANSWERS[task]}. Copy the "
            "test set again, or correct its dataset_type.txt."
        )
    return key, image, parts[ANSWERS[task]]


def count_samples(shard: Path) -> int:
    """How many images a shard holds; raises `TestsetError` where it cannot be read."""
    try:
        with tarfile.open(shard) as archive:
            matches = [NAME.fullmatch(member.name) for member in archive if member.isfile()]
    except (OSError, tarfile.TarError) as error:
        raise TestsetError(f"{shard}: cannot be read ({error}). Copy the test set again.") from error
    return sum(match is not None and match[2].lower() in IMAGES for match in matches)


def answer_of(content: bytes, task: str) -> int | list[int] | list[str]:
    """A sample's answer as a value: the label, a 0 or 1 for each class, or the captions."""
    if task == "classification":
        return int(content)
    if task == "multilabel":
        return np.load(io.BytesIO(content)).astype(np.int64).tolist()
    return content.decode("utf-8").splitlines()


@dataclass(frozen=True)
class Decoded:
    """A test set whose images are decoded: `images` (N, H, W, 3) of bytes, and `keys` and `answers` of each."""

    images: np.ndarray
    keys: list[str]
    answers: list
    task: str
    preprocessing: Preprocessing


def open_decoded(folder: Path) -> Decoded:
    """The decoded test set in `folder`; raises `ManifestError` where a file is not as recorded."""
    import pyarrow.parquet as parquet

    manifest = read_json(folder / "manifest.json")
    for file in manifest["files"]:
        if wrong := problem(folder, file, content=False):
            raise ManifestError(f"{wrong}. Delete {folder}/manifest.json to have it decoded again.")
    samples = parquet.read_table(folder / SAMPLES_FILE).to_pydict()
    images = np.load(folder / IMAGES_FILE, mmap_mode="r")
    # Test sets that were decoded by version 0.1 have the key "framing".
    preprocessing = manifest.get("preprocessing") or manifest["framing"]
    return Decoded(images, samples["key"], samples["answer"], manifest["task"], Preprocessing.of(preprocessing))
