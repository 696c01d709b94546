"""Time and peak memory of prepare_metadata and shuffle_metadata on ever longer lists.

uv run python tests/benchmarks/benchmark_scale.py
"""

import argparse
import random
import sys
import tempfile
from datetime import date
from pathlib import Path

from tables import ROOT, WORDS, timed

SCRIPTS = ROOT / "workflow" / "scripts"
THREADS = 2


def write_list(path: Path, rows: int) -> None:
    """A list in CC12M's format."""
    chosen = random.Random(0)
    captions = [" ".join(chosen.choices(WORDS, k=chosen.randrange(4, 30))) for _ in range(10_000)]
    with open(path, "w") as file:
        for row in range(rows):
            file.write(f"https://host{row % 9973}.example.com/images/{row:09d}.jpg\t{captions[row % 9999]}\n")


def prepare(path: str, output: str) -> None:
    from prepare_metadata import prepare_list

    prepare_list(path, "cc12m", None, Path(output), memory="1GB", threads=THREADS)


def shuffle(pairs: str, folder: str) -> None:
    from pyarrow import parquet

    from shuffle_metadata import shuffle_pairs

    rows = parquet.read_metadata(pairs).num_rows
    shuffle_pairs(Path(pairs), Path(folder), "cc12m", rows, 100_000, 1, 0, "1GB", THREADS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--stage", nargs=3)
    asked = parser.parse_args()
    sys.path.insert(0, str(SCRIPTS))
    if asked.stage:
        {"prepare": prepare, "shuffle": shuffle}[asked.stage[0]](*asked.stage[1:])
        return
    print(f"\n### Longer lists\n\n{date.today()}, {THREADS} threads, DuckDB within 1 GB.\n")
    print("| rows | prepare_metadata, s | rows/s | peak MB | shuffle_metadata, s | rows/s | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for rows in sorted(asked.rows):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_list(folder / "list.tsv", rows)
            stage = [sys.executable, __file__, "--stage"]
            prepared, first = timed([*stage, "prepare", folder / "list.tsv", folder / "pairs.parquet"])
            shuffled, second = timed([*stage, "shuffle", folder / "pairs.parquet", folder / "shuffled"])
            print(
                f"| {rows:,} | {prepared:.0f} | {rows / prepared:,.0f} | {first:,.0f} "
                f"| {shuffled:.0f} | {rows / shuffled:,.0f} | {second:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
