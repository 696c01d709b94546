"""Work folders of long jobs: one job at a time in each, and no job outlives the workflow that started it."""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FORCERUN = "CLIP_TESTBED_FORCERUN"
"""Environment variable with the rules that the user forces; cluster jobs inherit it (see rules/common.smk)."""


class FolderBusyError(RuntimeError):
    """Another job is working in the folder."""


@contextmanager
def locked(folder: Path | str) -> Iterator[Path]:
    """Make `folder`, and hold it alone for as long as the context lasts.

    The lock is the kernel's (flock): it goes with the process that holds it, however that ends. Raises
    `FolderBusyError`, naming the holder, where another process has it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise FolderBusyError(
                f"{folder}: process {file.read().strip() or 'of another host'} is working here. "
                "Wait for it to end, or end it, and run the same command again."
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield folder


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


def follow_parent(seconds: float = 1.0) -> None:
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


def is_forced(rule: str) -> bool:
    """Whether the user asked for `rule` with --forcerun, so that even complete work is done again."""
    return rule in os.environ.get(FORCERUN, "").split()
