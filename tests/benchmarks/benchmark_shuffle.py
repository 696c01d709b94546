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


def in_memory(lists: Path, out: Path) -> float:
    """Seconds of loading, shuffling and writing everything at once."""
    started = time.monotonic()
    out.mkdir(exist_ok=True)
    annotations = []
    for path in sorted(lists.glob("*.json")):
        with open(path) as file:
            annotations += json.load(file)["annotations"]
    random.shuffle(annotations)
    size = len(annotations) // FILES
    for number in range(FILES):
        with open(out / f"{number}.json", "w") as file:
            json.dump(annotations[number * size : (number + 1) * size], file)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lists, pairs = folder / "lists", folder / "pairs.parquet"
        write_lists(lists, asked.rows)

        def ours_read() -> float:
            started = time.monotonic()
            prepare_list(lists, "redcaps", None, pairs, threads=asked.threads)
            return time.monotonic() - started

        def ours_shuffle() -> float:
            started = time.monotonic()
            shuffle_pairs(pairs, folder / "shuffled", "redcaps", asked.rows, 100_000, 1, 0, "2GB", asked.threads)
            return time.monotonic() - started

        runs = {
            "in memory": lambda: in_memory(lists, folder / "out"),
            "prepare_metadata": ours_read,
            "shuffle_metadata": ours_shuffle,
        }
        results = in_turn(runs, asked.repeats)
        both = zip(results["prepare_metadata"], results["shuffle_metadata"], strict=True)
        results["both"] = [sum(pair) for pair in both]
        print_table(f"Shuffling {asked.rows:,} rows of RedCaps, {asked.threads} threads", "s", results, "in memory")


if __name__ == "__main__":
    main()
