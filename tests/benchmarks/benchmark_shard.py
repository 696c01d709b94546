"""Samples per second of shard_samples, and of webdataset's writer on the same images.

uv run python tests/benchmarks/benchmark_shard.py
"""

import argparse
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet
from tables import ROOT, in_turn, print_table

sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "workflow" / "scripts")]

from mini_parts import make_rows, write_manifest  # noqa: E402
from shard_samples import Part, shard_samples  # noqa: E402
from testbed.records.files import add_member  # noqa: E402
from testbed.records.manifest import record, write_json  # noqa: E402
from testbed.web.outcomes import OUTCOMES  # noqa: E402

IMAGE_BYTES = 30_000
CHUNK = 1000


def write_part(folder: Path, samples: int) -> Part:
    """A downloaded part whose images have the size of JPEGs of 256 pixels."""
    part = Part(folder / "00000.parquet", folder / "downloads")
    part.downloads.mkdir()
    rows = make_rows([f"http://a.example/{number}.jpg" for number in range(samples)])
    parquet.write_table(pa.Table.from_pylist(rows), part.rows)
    body = os.urandom(IMAGE_BYTES)
    for chunk in range(0, samples, CHUNK):
        name, outcomes = f"{chunk // CHUNK:05d}", []
        with tarfile.open(part.downloads / f"{name}.tar", "w") as tar:
            for place, row in enumerate(rows[chunk : chunk + CHUNK]):
                key = f"{name}{place:04d}"
                image = b"\xff\xd8" + row["uid"].encode() + body + b"\xff\xd9"
                add_member(tar, f"{key}.jpg", image)
                facts = {"sha256": hashlib.sha256(row["uid"].encode()).hexdigest(), "width": 256, "height": 256}
                facts |= {"original_width": 640, "original_height": 640, "cause": "success", "tar": f"{name}.tar"}
                outcomes.append({"uid": row["uid"], "url": row["url"], "key": key} | facts)
        parquet.write_table(pa.Table.from_pylist(outcomes, OUTCOMES), part.downloads / f"{name}.parquet")
        files = [record(part.downloads / f"{name}.tar", passing=True), record(part.downloads / f"{name}.parquet")]
        write_json(part.downloads / f"{name}.json", {"successes": len(outcomes), "files": files})
    write_manifest(part.downloads)
    return part


def ours(part: Part, out: Path, samples: int) -> float:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    started = time.monotonic()
    shard_samples("mine", [part], out, 10_000, samples, keep_downloads=True)
    return samples / (time.monotonic() - started)


def webdatasets(part: Part, out: Path, samples: int) -> float:
    """Reading and writing with webdataset: no order, no check, no record, the same caption for all."""
    import webdataset

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    started = time.monotonic()
    source = webdataset.WebDataset([str(path) for path in sorted(part.downloads.glob("*.tar"))], shardshuffle=False)
    with webdataset.ShardWriter(str(out / "%06d.tar"), maxcount=10_000, maxsize=1e12, verbose=0) as sink:
        for sample in source:
            sink.write(sample | {"txt": "a caption", "json": {"uid": sample["__key__"]}})
    return samples / (time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        part = write_part(Path(name), asked.samples)
        out = Path(name) / "out"
        runs = {
            "webdataset": lambda: webdatasets(part, out, asked.samples),
            "shard_samples": lambda: ours(part, out, asked.samples),
        }
        results = in_turn(runs, asked.repeats)
        print_table(f"Sharding {asked.samples:,} images of {IMAGE_BYTES:,} bytes", "samples/s", results, "webdataset")


if __name__ == "__main__":
    main()
