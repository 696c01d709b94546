"""Locks on the work folders of long jobs: one job at a time in each."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ORPHAN_SECONDS = 5.0


class FolderBusyError(RuntimeError):
    """Another job is working in the folder."""


def hold(folder: Path | str, patience: float = 0.0) -> IO[str]:
    """Make `folder` and lock it for this process; keep the returned file open for as long as the lock is to last.

    The lock is the kernel's (flock): it goes with the process that holds it, however that ends. Raises
    `FolderBusyError`, naming the holder, where another process still has it after `patience` seconds.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Not in a `with`: the lock lasts as long as the file is open.
    file = open(folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise FolderBusyError(
                f"{folder}: another process (id {holder}) is working here. Wait for it to end, or end it, and run the "
                "same command again."
            ) from error
    file.truncate(0)
    file.write(f"{os.getpid()} on {os.uname().nodename}")
    file.flush()
    return file


@contextmanager
def locked(folder: Path | str) -> Iterator[Path]:
    """Hold `folder` alone (see `hold`) while the context lasts.

    Waits a few seconds for the folder, which is what a job of a killed run needs to notice that it is alone and end.
    """
    with hold(folder, patience=ORPHAN_SECONDS):
        yield Path(folder)
