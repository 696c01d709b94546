"""Time and memory of joining a user's table of N rows with a pool of N samples, and of selecting N uids by a subset file.

All rows match, in a random order. Each measurement is a process of its own. It prints the seconds, the seconds of CPU and
the peak of resident memory.

    uv run python tests/benchmarks/benchmark_join.py FOLDER --rows 15000000
"""

import argparse
import multiprocessing
import resource
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))

PART = 10_000


def uids_of(pairs: np.ndarray) -> list[str]:
    return [f"{high:016x}{low:016x}" for high, low in pairs.tolist()]


def rows_of(pairs: np.ndarray) -> pa.Table:
    """Rows with a uid, a URL of about 110 characters, a score, and a caption of about 120."""
    uids = uids_of(pairs)
    return pa.table(
        {
            "uid": uids,
            "url": [
                f"https://images.example{uid[:2]}.com/photos/2019/some-path/{uid}/image_{uid[:8]}.jpg" for uid in uids
            ],
            "score": pa.array(pairs[:, 0] / 2.0**63, pa.float32()),
            "new": [f"a synthetic caption with words {uid} and {uid[::-1]} in a garden" for uid in uids],
        }
    )


def prepare(folder: Path, rows: int) -> None:
    from testbed.records.manifest import record, write_json

    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 2**63, (rows, 2), np.uint64)
    (folder / "pool").mkdir(parents=True)
    files = []
    for part, start in enumerate(range(0, rows, PART)):
        path = folder / "pool" / f"{part:06d}.parquet"
        table = rows_of(pairs[start : start + PART])
        parquet.write_table(table.select(["uid", "url"]), path, compression="zstd")
        files.append(record(path, rows=len(table)))
    write_json(folder / "pool/manifest.json", {"pool": "pool", "samples": rows, "files": files})
    with parquet.ParquetWriter(folder / "own.parquet", rows_of(pairs[:1]).schema) as writer:
        shuffled = rng.permutation(pairs)
        for start in range(0, rows, 20 * PART):
            writer.write_table(rows_of(shuffled[start : start + 20 * PART]))
    np.save(folder / "subset.npy", np.sort(pairs[::2].copy().view("u8,u8").ravel()))


def join(folder: Path, key: str, column: str, memory: str) -> int:
    from join_columns import join_columns

    given = {"path": str(folder / "own.parquet"), "key": key, "columns": {"mine": column}}
    shutil.rmtree(folder / "joined", ignore_errors=True)
    (folder / "joined").mkdir()
    return join_columns(folder / "pool", given, [folder / "own.parquet"], folder / "joined", memory, 2)["matched"]


def subset(folder: Path) -> int:
    from testbed.filtering.subsets import Subset
    from testbed.records.parts import read_parts

    named = Subset(folder / "subset.npy")
    return sum(int(named.contains(table["uid"].to_pylist()).sum()) for table in read_parts(folder / "pool", ["uid"]))


def measured(label: str, work, *arguments) -> None:
    """Run `work` in this process and print what it took."""
    start = time.monotonic()
    found = work(*arguments)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds, memory = time.monotonic() - start, used.ru_maxrss / 1e6
    print(f"{label}: {found:,} samples, {seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU, {memory:.2f} GB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=15_000_000)
    parser.add_argument("--memory", default="1GB")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    jobs = [(prepare, options.folder, options.rows)] if not (options.folder / "subset.npy").is_file() else []
    for key, column in (("uid", "score"), ("url", "score"), ("uid", "new")):
        jobs.append((measured, f"by {key}, {column}", join, options.folder, key, column, options.memory))
    jobs.append((measured, "subset", subset, options.folder))
    for work, *arguments in jobs:
        process = context.Process(target=work, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(process.exitcode)
