"""One process of a training on several devices, which notes the samples of each step, and which can be killed at a step.

The environment has the folder of notes (TRACE), and the step at which the first process is killed (DIE_AT).
"""

import json
import os
import runpy
import signal
from collections.abc import Iterator
from pathlib import Path

from testbed.training import loading

iterate = loading.Loader.__iter__


def traced(loader: loading.Loader) -> Iterator[tuple[int, tuple]]:
    """The loader's batches, each with its step; a line of trace-<rank>.jsonl says which samples each has."""
    with open(Path(os.environ["TRACE"]) / f"trace-{loader.rank}.jsonl", "a") as file:
        for number, batch in enumerate(iterate(loader)):
            step = loader.first + number // loader.accumulated
            file.write(json.dumps([step, loader.given.tolist()]) + "\n")
            file.flush()
            yield step, batch


def steps_of(folder: Path) -> dict[int, list[int]]:
    """The samples of each step, in order, which must be the same each time that a step was taken."""
    steps: dict[int, list[int]] = {}
    for rank in sorted(folder.glob("trace-*.jsonl")):
        own: dict[int, list[list[int]]] = {}
        for line in rank.read_text().splitlines():
            step, samples = json.loads(line)
            own.setdefault(step, []).append(samples)
        for step, batches in own.items():
            assert all(batch == batches[0] for batch in batches), (rank, step)
            steps.setdefault(step, []).extend(batches[0])
    return steps


def killed(loader: loading.Loader) -> Iterator[tuple]:
    for step, batch in traced(loader):
        if loader.rank == 0 and step == int(os.environ.get("DIE_AT", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch


if __name__ == "__main__":
    loading.Loader.__iter__ = killed
    runpy.run_module("testbed.training.trainer", run_name="__main__")
