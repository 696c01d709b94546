"""Processes of jobs: terminating with the workflow and on signals, and working in threads and processes of their own."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

FORCERUN = "CLIP_TESTBED_FORCERUN"
"""Environment variable with the rules that the user forces; cluster jobs inherit it (see rules/hooks.smk)."""

JOB_SECONDS = 20.0
"""What jobs have to end after SIGTERM: a training on several devices ends its processes first (see training.launch)."""

T, R = TypeVar("T"), TypeVar("R")


def ancestry(depth: int = 2) -> list[int]:
    """Process ids of the parent, its parent, and so on, `depth` steps up (fewer where the chain ends)."""
    pids: list[int] = []
    pid = os.getpid()
    while len(pids) < depth and pid > 1:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            break
        # The command name, in parentheses, may itself hold blanks and parentheses.
        pid = int(stat.rpartition(")")[2].split()[1])
        pids.append(pid)
    return pids


def terminate_with_parent(seconds: float = 1.0) -> None:
    """Terminate this process when the workflow that started it has ended; checked every `seconds`.

    Snakemake starts a script through a shell. Both outlive a killed Snakemake, and would continue to write while the next
    run starts. So a thread watches the parent and its parent, and kills the process when they change.
    """
    born_under = ancestry()

    def watch() -> None:
        while ancestry() == born_under:
            time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="terminate-with-parent").start()


class Interruption(threading.Event):
    """Set by Ctrl-C. While it is `held`, no KeyboardInterrupt is raised: who holds it looks whether it is set."""

    held = False


def end_jobs_on_interrupt() -> Interruption:
    """Make Ctrl-C terminate the jobs that this process started, and then this process; returns the event that is then set.

    Jobs get SIGTERM, and SIGKILL after a second Ctrl-C or after `JOB_SECONDS`. Jobs must ignore the Ctrl-C that a terminal
    sends them as well: Python would raise it anywhere, even during imports, and print a traceback for each job.
    `end_jobs_on_terminate` gives SIGTERM the same effect.
    """
    import psutil

    interrupted = Interruption()
    sent: set[tuple[int, int]] = set()

    def send(number: int) -> None:
        for job in psutil.Process().children():
            # The warm worker leads a session of its own. Jobs need it to end in order, and it ends with this process.
            with suppress(psutil.Error, ProcessLookupError):
                if os.getsid(job.pid) == os.getsid(0) and (job.pid, number) not in sent:
                    sent.add((job.pid, number))
                    job.send_signal(number)

    def end_late_jobs() -> None:
        # A job that was about to start when the signal came, and one that does not end.
        deadline = time.monotonic() + JOB_SECONDS
        while True:
            time.sleep(0.2)
            send(signal.SIGTERM)
            if time.monotonic() > deadline:
                send(signal.SIGKILL)

    def end_jobs(*_: object) -> None:
        if interrupted.is_set():
            send(signal.SIGKILL)
            return
        interrupted.set()
        send(signal.SIGTERM)
        threading.Thread(target=end_late_jobs, daemon=True, name="end-late-jobs").start()
        if not interrupted.held:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, end_jobs)
    return interrupted


def end_jobs_on_terminate() -> None:
    """Give SIGTERM the effect of Ctrl-C, in place of Snakemake's own handler.

    Snakemake's handler acquires a lock. If the main thread holds the lock when the signal arrives, to select jobs or to
    finish one, Snakemake waits forever. The handler would also wait for the end of running jobs, on a cluster for days.
    """
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))


def is_forced(rule: str) -> bool:
    """Whether the user named `rule` behind --forcerun, so that complete work is repeated."""
    return rule in os.environ.get(FORCERUN, "").split()


def in_order(pool: Executor | None, function: Callable[[T], R], items: Iterable[T], ahead: int = 6) -> Iterator[R]:
    """The results of `function` for all items, in order. The workers of `pool` are at most `ahead` items ahead."""
    if pool is None:
        yield from map(function, items)
        return
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def in_own_process(function: Callable[..., R], *arguments: object) -> R:
    """The result of `function`, called in a new process, so that the memory of its imports is freed afterwards."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
