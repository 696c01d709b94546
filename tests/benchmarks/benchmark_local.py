"""Samples per second of indexing and rewriting tars, beside webdataset's reader and writer and shard_samples.

uv run python tests/benchmarks/benchmark_local.py
"""

import argparse
import io
import json
import os
import random
import shutil
import sys
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmark_shard import ours as sharded
from benchmark_shard import write_part
from PIL import Image
from tables import ROOT, WORDS, in_turn, print_table

sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "workflow" / "scripts")]

from local_runs import TarSource  # noqa: E402
from testbed.local.tar_samples import read_samples  # noqa: E402
from testbed.records.files import add_member  # noqa: E402
from testbed.records.manifest import read_json  # noqa: E402

PER_TAR = 5000
IMAGE_BYTES = 30_000


def draw_jpeg() -> bytes:
    """A JPEG of 256 pixels, filled up to the size that photographs have."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((256, 256), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    return file.getvalue() + bytes(max(0, IMAGE_BYTES - len(file.getvalue())))


def write_tars(folder: Path, samples: int, with_metadata: bool) -> None:
    """Tars as img2dataset writes them; without metadata, of images and captions alone."""
    folder.mkdir()
    chance, image = random.Random(0), draw_jpeg()
    for start in range(0, samples, PER_TAR):
        with tarfile.open(folder / f"{start // PER_TAR:05d}.tar", "w") as archive:
            for number in range(start, min(start + PER_TAR, samples)):
                caption = " ".join([*chance.choices(WORDS, k=10), str(number)])
                add_member(archive, f"{number:09d}.jpg", image)
                add_member(archive, f"{number:09d}.txt", caption.encode())
                if with_metadata:
                    sizes = {"width": 256, "height": 256, "original_width": 640, "original_height": 640}
                    entry = {
                        "url": f"http://a.example/{number}.jpg",
                        "caption": caption,
                        "key": f"{number:09d}",
                        **sizes,
                    }
                    add_member(archive, f"{number:09d}.json", json.dumps(entry).encode())


def indexed(source: TarSource, samples: int) -> float:
    """Samples a second of one core: of CPU time, so that other work on the machine does not count."""
    shutil.rmtree(source.folder, ignore_errors=True)
    started = time.process_time()
    folders = source.index_groups()
    seconds = time.process_time() - started
    assert sum(read_json(folder / "manifest.json")["rows"] for folder in folders) == samples
    return samples / seconds


def read_headers(folder: Path, samples: int) -> float:
    """Headers, captions and metadata alone: no hash of the tars or images, and no table."""
    started, found = time.process_time(), 0
    for path in folder.glob("*.tar"):
        descriptor = os.open(path, os.O_RDONLY)
        found += len(read_samples(descriptor, path.name, None, "url").samples)
        os.close(descriptor)
    assert found == samples
    return samples / (time.process_time() - started)


def read_by_webdataset(folder: Path, samples: int) -> float:
    """The same by webdataset: captions are decoded, and images are read and not decoded."""
    import webdataset

    started = time.process_time()
    tars = [str(path) for path in sorted(folder.glob("*.tar"))]
    found = webdataset.WebDataset(tars, shardshuffle=False).decode(only=["txt"])
    assert sum(1 for _ in found) == samples
    return samples / (time.process_time() - started)


def drop_from_cache(folder: Path) -> None:
    """Let the kernel forget the files of a folder, which are then read from the disk."""
    os.sync()
    for path in folder.glob("*.tar"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def rewritten(source: TarSource, counts: dict, samples: int, is_cold: bool = False) -> float:
    shutil.rmtree(source.folder / "shards", ignore_errors=True)
    if is_cold:
        drop_from_cache(source.tars)
    started = time.monotonic()
    source.rewrite(shard_size=10_000, needed=samples, counts=counts)
    return samples / (time.monotonic() - started)


def copied(folder: Path, to: Path, samples: int) -> float:
    """A plain copy of the tars from the disk to the disk."""
    shutil.rmtree(to, ignore_errors=True)
    drop_from_cache(folder)
    started = time.monotonic()
    shutil.copytree(folder, to)
    os.sync()
    return samples / (time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    samples = asked.samples
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, with_metadata in (("captions", False), ("metadata", True)):
            write_tars(folder / kind, samples, with_metadata)
        full = TarSource(folder / "full", folder / "metadata", part_size=100_000)
        plain = full.with_(folder=folder / "plain", verify="none")
        captions = replace(plain, tars=folder / "captions")
        runs = {
            "webdataset": lambda: read_by_webdataset(folder / "captions", samples),
            "headers and captions": lambda: read_headers(folder / "captions", samples),
            "headers, captions and metadata": lambda: read_headers(folder / "metadata", samples),
            "index_shards with URLs": lambda: indexed(plain, samples),
            "index_shards without URLs": lambda: indexed(captions, samples),
            "index_shards with URLs, all images verified": lambda: indexed(full, samples),
        }
        results = in_turn(runs, asked.repeats)
        title = f"Indexing {samples:,} samples with images of {IMAGE_BYTES:,} bytes"
        print_table(title, "samples/s of a core", results, "webdataset")

        counts = full.shuffle()
        (folder / "parts").mkdir()
        part = write_part(folder / "parts", samples)
        runs = {
            "shard_samples": lambda: sharded(part, folder / "out", samples),
            "rewrite_shards": lambda: rewritten(full, counts, samples),
            "rewrite_shards, from disk": lambda: rewritten(full, counts, samples, is_cold=True),
            "a copy, from disk": lambda: copied(folder / "metadata", folder / "copy", samples),
        }
        results = in_turn(runs, asked.repeats)
        print_table(f"Rewriting {samples:,} samples of {IMAGE_BYTES:,} bytes", "samples/s", results, "shard_samples")


if __name__ == "__main__":
    main()
