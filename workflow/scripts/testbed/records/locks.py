"""Locks on the work folders of long jobs: one job at a time in each folder."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ORPHAN_SECONDS = 5.0
"""A job whose run was killed needs up to this long to notice it and terminate."""


class FolderBusyError(RuntimeError):
    """Another process has locked the folder."""


class NoLocksError(RuntimeError):
    """The file system of the folder has no locks."""


def acquire_lock(folder: Path | str, timeout: float = 0.0) -> IO[str]:
    """Create `folder`, lock it for this process, and return the lock file. Closing the file releases the lock.

    The kernel holds the lock (flock), and releases it when the process ends in any way. Raises `FolderBusyError`, which
    names the owner, if another process still has the lock after `timeout` seconds, and `NoLocksError` if the file system has
    no locks.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Not in a `with`: the lock lasts as long as the file is open.
    file = open(folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise FolderBusyError(
                f"{folder}: another process (id {owner}) is working here. Wait for it to end, or end it, and run the "
                "same command again."
            ) from error
        except OSError as error:
            file.close()
            raise NoLocksError(
                f"{folder}: its file system has no locks ({error}), so that two runs could work in it at once. Mount it "
                "with them (Lustre: option flock, or localflock for runs on one machine), or use a folder on another file "
                "system."
            ) from error
    file.truncate(0)
    file.write(f"{os.getpid()} on {os.uname().nodename}")
    file.flush()
    return file


@contextmanager
def locked(folder: Path | str) -> Iterator[Path]:
    """Context that locks `folder` (see `acquire_lock`) and gives its path. It waits up to `ORPHAN_SECONDS` for the lock."""
    with acquire_lock(folder, timeout=ORPHAN_SECONDS):
        yield Path(folder)
