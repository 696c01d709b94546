"""Processes that tests start: they end with the test, whatever becomes of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@contextmanager
def started(*command: object, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A process that ends at the latest with the context, so that a test that fails does not wait for it."""
    with subprocess.Popen([*map(str, command)], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def helper(script: str, environment: dict[str, str]) -> Iterator[Callable[[object], dict]]:
    """A process that runs a script of this folder, as a function from request to answer (one line of JSON each)."""
    with subprocess.Popen(
        # In the root, because architectures name their tokenizer's files from there.
        [sys.executable, HERE / script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
        text=True,
    ) as process:

        def ask(request: object) -> dict:
            process.stdin.write(json.dumps(request, default=str) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            return json.loads(line) if line else {"ended": process.wait()}

        yield ask
        process.stdin.close()


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.02)


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended, to which other work on the machine adds nothing."""
    return sum(os.times()[:4])


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits for its parent to take note does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
