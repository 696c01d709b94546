"""Processes of jobs: they end with the workflow that started them, and work in threads and processes of their own."""

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
    """End this process when the workflow that started it is gone.

    Snakemake starts a script through a shell. A killed Snakemake leaves both behind, and they would go on writing while
    the next run starts; so a thread watches the two generations above and ends the process when they change.
    """
    born_under = ancestry()

    def watch() -> None:
        while ancestry() == born_under:
            time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="follow-parent").start()


def end_jobs_on_interrupt() -> threading.Event:
    """Let Ctrl-C end the jobs that this process started, and then the process itself; returns an event that it sets.

    Jobs end by SIGTERM, silently, and by SIGKILL when Ctrl-C comes again or when they have not ended in time. A terminal
    sends Ctrl-C to the jobs, too, which have to ignore it: Python would raise it wherever they are, imports included, and
    print a traceback for each. `end_jobs_on_terminate` gives SIGTERM the same effect.
    """
    import psutil

    interrupted = threading.Event()
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
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, end_jobs)
    return interrupted


def end_jobs_on_terminate() -> None:
    """Let SIGTERM do what Ctrl-C does, in place of Snakemake's own handler.

    That handler takes a lock. Where the signal comes while the main thread itself has it, to choose jobs or to finish one,
    Snakemake waits for ever. And it would let jobs go on to their end, cluster jobs for days.
    """
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))


def is_forced(rule: str) -> bool:
    """Whether the user asked for `rule` with --forcerun, so that even complete work is done again."""
    return rule in os.environ.get(FORCERUN, "").split()


def in_order(pool: Executor | None, function: Callable[[T], R], items: Iterable[T], ahead: int = 6) -> Iterator[R]:
    """The results of `function` for all items, in their order; the threads of `pool` are so many items ahead."""
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
    """What `function` returns or raises, called in a new process, which gives back the memory of all that it imports."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
