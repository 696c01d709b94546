"""Megabytes per second in which the shards of a filter are written, and how fast the same bytes are copied otherwise.

uv run python tests/benchmarks/benchmark_reshard.py

Every third sample is left out, so that nothing is whole. Beside reshard_samples, which hashes what it writes and reads it
again, stand webdataset's reader and writer with a set of the kept uids, and a plain copy of as many bytes.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from tables import ROOT, in_turn, print_table

sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "workflow" / "scripts")]

from list_samples import list_samples  # noqa: E402
from reshard_samples import reshard_samples  # noqa: E402
from select_samples import select_samples  # noqa: E402
from testbed.records.files import add_member  # noqa: E402
from testbed.records.manifest import record, write_json  # noqa: E402
from testbed.records.parts import read_parts  # noqa: E402

IMAGE_BYTES, SHARD = 30_000, 1000


def write_pool(folder: Path, samples: int) -> Path:
    """Shards of samples of the size of 256 pixels, and the table of them."""
    shards, listed = folder / "shards", folder / "samples"
    shards.mkdir()
    listed.mkdir()
    body, files = os.urandom(IMAGE_BYTES), []
    for start in range(0, samples, SHARD):
        path = shards / f"{start // SHARD:06d}.tar"
        uids = [hashlib.md5(str(number).encode()).hexdigest() for number in range(start, start + SHARD)]
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for number, uid in enumerate(uids, start):
                row = {"uid": uid, "url": uid, "caption": "a caption", "number": number}
                add_member(archive, f"{uid}.jpg", body)
                add_member(archive, f"{uid}.json", json.dumps(row).encode())
                add_member(archive, f"{uid}.txt", b"a caption")
        files.append(record(path, samples=SHARD, first_uid=uids[0], last_uid=uids[-1]))
    write_json(shards / "manifest.json", {"source": "mine", "samples": samples, "shard_size": SHARD, "files": files})
    columns = pa.schema({**dict.fromkeys(("uid", "url", "caption"), pa.string()), "number": pa.int64()})
    started = time.monotonic()
    write_json(listed / "manifest.json", list_samples(shards, columns, listed))
    print(f"list_samples: {samples / (time.monotonic() - started):,.0f} samples/s", file=sys.stderr)
    return listed


def ours(kept: Path, shards: Path, out: Path) -> None:
    reshard_samples(kept, shards, out, SHARD, 1)


def webdatasets(kept: Path, shards: Path, out: Path) -> None:
    import webdataset

    uids = {uid for part in read_parts(kept, ["uid"]) for uid in part["uid"].to_pylist()}
    reader = webdataset.WebDataset([str(path) for path in sorted(shards.glob("*.tar"))], shardshuffle=False)
    with webdataset.ShardWriter(str(out / "%06d.tar"), maxcount=SHARD, verbose=0) as writer:
        for sample in reader:
            if sample["__key__"] in uids:
                writer.write(sample)


def copy(kept: Path, shards: Path, out: Path) -> None:
    left = sum(sum(part["bytes"].to_pylist()) for part in read_parts(kept, ["bytes"]))
    for path in sorted(shards.glob("*.tar")):
        if left > 0:
            shutil.copyfile(path, out / path.name)
            left -= path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed, kept, out = write_pool(folder, asked.samples), folder / "kept", folder / "out"
        kept.mkdir()
        write_json(kept / "manifest.json", select_samples(listed, {"method": "sql", "where": "number % 3 > 0"}, kept))

        def rate(method) -> float:
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            started = time.monotonic()
            method(kept, folder / "shards", out)
            return sum(path.stat().st_size for path in out.glob("*.tar")) / 1e6 / (time.monotonic() - started)

        methods = {"reshard_samples": ours, "webdataset": webdatasets, "copy of as many bytes": copy}
        runs = {label: lambda method=method: rate(method) for label, method in methods.items()}
        title = f"Two of three of {asked.samples:,} samples of {IMAGE_BYTES:,} bytes"
        print_table(title, "MB/s", in_turn(runs, asked.repeats), "webdataset")


if __name__ == "__main__":
    main()
