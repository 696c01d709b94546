"""Shuffling a list in RedCaps' format: ours, on disk, against the way of the paper's released code, in memory.

That code loads the annotations of all files, shuffles them without a seed, and writes them back as JSON, in one thread.
Ours reads the files (prepare_metadata, which judges each row as well) and orders the rows by a keyed hash
(shuffle_metadata), in as many threads as jobs of both have by default.

    uv run python tests/benchmarks/benchmark_shuffle.py
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tables import ROOT, WORDS, in_turn, print_table

sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from prepare_metadata import prepare_list  # noqa: E402
from shuffle_metadata import shuffle_pairs  # noqa: E402

FILES = 20


def write_lists(folder: Path, rows: int) -> None:
    """RedCaps' files: annotations with all their fields."""
    folder.mkdir()
    chosen = random.Random(0)
    for number in range(FILES):
        annotations = [
            {
                "image_id": f"{number}x{row:07d}",
                "author": f"user{chosen.randrange(10**6)}",
                "url": f"https://i.redd.it/{number}{row:09d}.jpg",
                "raw_caption": (caption := " ".join(chosen.choices(WORDS, k=9))),
                "caption": caption,
                "subreddit": "itookapicture",
                "score": chosen.randrange(10**4),
                "created_utc": 1_500_000_000 + row,
                "permalink": f"/r/itookapicture/comments/{number}{row}/{caption.replace(' ', '_')}/",
                "crosspost_parents": None,
            }
            for row in range(rows // FILES)
        ]
        content = {"info": {"version": "1.0"}, "annotations": annotations}
        (folder / f"itookapicture_{2000 + number}.json").write_text(json.dumps(content))


def in_memory(folder: Path) -> None:
    """Load, shuffle and write everything at once."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    annotations = []
    for path in sorted((folder / "lists").glob("*.json")):
        with open(path) as file:
            annotations += json.load(file)["annotations"]
    random.shuffle(annotations)
    size = len(annotations) // FILES
    for number in range(FILES):
        with open(out / f"{number}.json", "w") as file:
            json.dump(annotations[number * size : (number + 1) * size], file)


def prepare(folder: Path, threads: int) -> None:
    prepare_list(folder / "lists", "redcaps", None, folder / "pairs.parquet", threads=threads)


def shuffle(folder: Path, rows: int, threads: int) -> None:
    shuffle_pairs(folder / "pairs.parquet", folder / "shuffled", "redcaps", rows, 100_000, 1, 0, "1GB", threads)


def seconds(function: Callable[..., None], *given: object) -> float:
    started = time.monotonic()
    function(*given)
    return time.monotonic() - started


def alone(function: Callable[..., None], *given: object) -> Callable[[], float]:
    """What gives the seconds that a function takes in a process of its own, as each job has, without the start of it."""

    def run() -> float:
        with ProcessPoolExecutor(1, get_context("fork")) as pool:
            return pool.submit(seconds, function, *given).result()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lists(folder / "lists", asked.rows)
        runs = {
            "in memory": alone(in_memory, folder),
            "prepare_metadata": alone(prepare, folder, asked.threads),
            "shuffle_metadata": alone(shuffle, folder, asked.rows, asked.threads),
        }
        results = in_turn(runs, asked.repeats)
        both = zip(results["prepare_metadata"], results["shuffle_metadata"], strict=True)
        results["both"] = [sum(pair) for pair in both]
        print_table(f"Shuffling {asked.rows:,} rows of RedCaps, {asked.threads} threads", "s", results, "in memory")


if __name__ == "__main__":
    main()
