"""What the benchmarks share: repeated runs in turn, and a table of their medians and spread."""

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORDS = ["a", "quick", "brown", "fox", "jumps", "over", "my", "lazy", "dog", "near", "the", "garden", "in", "spring"]


def in_turn(runs: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Results of each of `runs`, called one after the other `repeats` times, so that a slow minute hits all alike.

    What one leaves to be written to disk is written before the next one starts, which would wait for it otherwise.
    """
    results: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats):
        for name, run in runs.items():
            os.sync()
            results[name].append(run())
            print(f"{repeat + 1}/{repeats} {name}: {results[name][-1]:.1f}", file=sys.stderr)
    return results


def metered(run: Callable[[], float], spent: list[float]) -> float:
    """What `run` returns; the CPU seconds of the processes that it starts are put into `spent`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return result


def print_table(title: str, unit: str, results: dict[str, list[float]], against: str) -> None:
    """A Markdown table: median and range of each, and the ratio of the medians to that of `against`."""
    print(f"\n### {title}\n")
    print(f"{date.today()}, {platform.machine()}, {len(next(iter(results.values())))} runs of each in turn.\n")
    print(f"| | {unit}, median | range | ratio |\n|---|---|---|---|")
    reference = statistics.median(results[against])
    for name, values in results.items():
        median = statistics.median(values)
        print(f"| {name} | {median:,.1f} | {min(values):,.1f} to {max(values):,.1f} | {median / reference:.2f} |")


def timed(command: list) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a command; raises CalledProcessError where it fails."""
    started = time.monotonic()
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, command)
    return time.monotonic() - started, usage.ru_maxrss / 1024
