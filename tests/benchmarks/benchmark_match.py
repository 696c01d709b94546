"""Captions per second and core of the matcher, and of a pyahocorasick automaton that does the same.

uv run --with pyahocorasick python tests/benchmarks/benchmark_match.py

500,000 entries of the composition that MetaCLIP's paper gives (single words, pairs of words, titles) and captions of
words as frequent as in English, by Zipf's law, with marks, names of files and double blanks among them. Each method is
a process of its own and gets captions in memory, in pieces of 20,000. What both find is compared, entry by entry.

With --table, the rule's own function on a table of so many samples, in parts of 100,000, in place of that.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from tables import ROOT, in_turn, print_table

sys.path[:0] = [str(ROOT / "workflow" / "scripts")]

from testbed.filtering.matching import Matcher, add_spaces  # noqa: E402

PIECE = 20_000
WORDS, PAIRS, TITLES = 338_119, 100_646, 61_235
"""Of MetaCLIP's entries: WordNet's and Wikipedia's single words, Wikipedia's pairs of words, and its titles."""

LETTERS = np.array(list("etaoinshrdlcumwfgypbvkxjqz"))


def draw_words(count: int, rng: np.random.Generator) -> list[str]:
    """Different made-up words, short ones first, as frequent words are; every fifth with a capital letter."""
    words: dict[str, None] = {}
    while len(words) < count:
        length = 2 + int(rng.poisson(1 + np.log10(1 + len(words))))
        word = "".join(LETTERS[np.minimum(rng.geometric(0.1, length) - 1, 25)])
        words[word.capitalize() if len(words) % 5 == 4 else word] = None
    return list(words)


def draw_entries(words: list[str], rng: np.random.Generator) -> list[str]:
    """500,000 entries; two of three words of the captions are among them."""
    entries = dict.fromkeys(words[:WORDS])
    while len(entries) < WORDS + PAIRS:
        entries[" ".join(words[place] for place in zipf(2, len(words), rng))] = None
    while len(entries) < WORDS + PAIRS + TITLES:
        title = [words[place] for place in zipf(int(rng.integers(2, 6)), len(words), rng)]
        entries[" ".join(title).capitalize() if rng.random() < 0.5 else ", ".join(title)] = None
    return sorted(entries)


def zipf(count: int, ranks: int, rng: np.random.Generator) -> np.ndarray:
    """Ranks of words: the chance of rank r is about 1 / r."""
    return (np.exp(rng.random(count) * np.log(ranks)) - 1).astype(int)


def draw_captions(count: int, words: list[str], rng: np.random.Generator) -> list[str]:
    """Captions of about ten words."""
    captions = []
    for length in rng.poisson(9, count):
        tokens = [words[place] for place in zipf(1 + length, len(words), rng)]
        kind = rng.random(4)
        if kind[0] < 0.4:
            tokens[-1] += "."
        if kind[1] < 0.3:
            tokens[len(tokens) // 2] += ","
        if kind[2] < 0.1:
            tokens.append(f"IMG_{rng.integers(10_000)}.jpg")
        captions.append(("  " if kind[3] < 0.05 else " ").join(tokens))
    return captions


def automaton_of(entries: list[str]):
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for number, entry in enumerate(entries):
        automaton.add_word(f" {entry} ", number)
    automaton.make_automaton()
    return automaton


def search(automaton, captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
    found = [sorted({number for _, number in automaton.iter(add_spaces(caption))}) for caption in captions]
    offsets = np.concatenate([[0], np.cumsum([len(numbers) for numbers in found])])
    return offsets, np.array([number for numbers in found for number in numbers], np.int32)


def measure(method: str, captions: int) -> dict:
    """Captions per second of processor time, peak memory with and without what was there before, and what was found."""
    rng = np.random.default_rng(0)
    words = draw_words(WORDS * 3 // 2, rng)
    entries, texts = draw_entries(words, rng), draw_captions(captions, words, rng)
    before, started = memory(), time.process_time()
    if method == "pyahocorasick":
        automaton = automaton_of(entries)
        match, pieces = (lambda piece: search(automaton, piece)), slices(texts)
    else:
        match, pieces = Matcher(entries).match, [pa.array(piece) for piece in slices(texts)]
    built = time.process_time() - started
    found, total, seconds = hashlib.sha256(), 0, 0.0
    for piece in pieces:
        started = time.process_time()
        offsets, numbers = match(piece)
        seconds += time.process_time() - started
        total += len(numbers)
        found.update(np.asarray(offsets, np.int64).tobytes() + numbers.tobytes())
    return {
        "rate": captions / seconds,
        "built": built,
        "megabytes": memory() - before,
        "entries": len(entries),
        "matches": total / captions,
        "found": found.hexdigest(),
    }


def stream(count: int, part: int = 100_000) -> None:
    """Time and peak memory of match_entries and count_entries on a table of `count` captions, by this process."""
    from pyarrow import parquet

    from count_entries import count_entries
    from match_entries import match_entries
    from testbed.records.manifest import record, write_json

    rng = np.random.default_rng(0)
    words = draw_words(WORDS * 3 // 2, rng)
    entries, texts = draw_entries(words, rng), draw_captions(2 * part, words, rng)
    with tempfile.TemporaryDirectory() as name:
        listed, samples, matches, counts = (Path(name) / kind for kind in ("entries", "samples", "matches", "counts"))
        for folder in (listed, samples, matches, counts):
            folder.mkdir()
        parquet.write_table(pa.table({"entry": entries}), listed / "entries.parquet")
        file = record(listed / "entries.parquet", rows=len(entries))
        write_json(listed / "manifest.json", {"files": [file]})
        files = []
        for number in range(count // part):
            path = samples / f"{number:06d}.parquet"
            # Every part has others, so that none of the work is the same.
            captions = pa.array(texts).take(pa.array(rng.integers(0, len(texts), part)))
            parquet.write_table(pa.table({"caption": captions}), path, compression="zstd")
            files.append(record(path, rows=part))
        write_json(samples / "manifest.json", {"files": files})
        del texts, words, entries
        before = memory()
        for rule, make in (("match_entries", match_entries), ("count_entries", count_entries)):
            folder = matches if make is match_entries else counts
            started, used = time.monotonic(), time.process_time()
            write_json(folder / "manifest.json", make(listed, samples if make is match_entries else matches, folder))
            seconds, used = time.monotonic() - started, time.process_time() - used
            size = sum(path.stat().st_size for path in folder.glob("*.parquet")) / 1e6
            print(
                f"{rule}: {count:,} captions in {seconds:.0f} s ({count / used:,.0f}/s of processor time), peak "
                f"{memory():,.0f} MB ({before:,.0f} of it before), {size:,.0f} MB written"
            )


def slices(texts: list[str]) -> list[list[str]]:
    return [texts[start : start + PIECE] for start in range(0, len(texts), PIECE)]


def memory() -> float:
    """Peak memory of this process so far, in MB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--table", type=int, help="match a table of so many samples")
    parser.add_argument("--only", help="run one method in this process")
    asked = parser.parse_args()
    if asked.only:
        print(json.dumps(measure(asked.only, asked.captions)))
        return
    if asked.table:
        stream(asked.table)
        return
    answers: dict[str, dict] = {}

    def run(method: str) -> float:
        command = [sys.executable, __file__, "--only", method, "--captions", str(asked.captions)]
        answers[method] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return answers[method]["rate"]

    methods = ("pyahocorasick", "ours")
    results = in_turn({method: lambda method=method: run(method) for method in methods}, asked.repeats)
    if len({answer["found"] for answer in answers.values()}) > 1:
        sys.exit("The two methods do not find the same")
    first = answers["ours"]
    title = f"Matching {asked.captions:,} captions with {first['entries']:,} entries, {first['matches']:.1f} each"
    print_table(title, "captions/s of one core", results, "pyahocorasick")
    for method, answer in answers.items():
        print(f"{method}: built in {answer['built']:.1f} s, {answer['megabytes']:.0f} MB above entries and captions")


if __name__ == "__main__":
    main()
