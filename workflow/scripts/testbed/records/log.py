"""One place that says how scripts log."""

import atexit
import logging
import os
import resource
import sys

PROGRESS = logging.INFO + 5
"""Level of what a person who watches wants to see of long work."""


def log_to(path: str, prints: bool = False) -> None:
    """Send log records to the file `path`; progress, warnings and an uncaught error go to standard error as well.

    With `prints`, all that libraries write to standard output and error goes to the file, too, and not to the terminal.
    The last line of the file is what the process took.
    """
    # A copy of the descriptor, which stays where it is when standard error moves.
    terminal = logging.StreamHandler(open(os.dup(sys.stderr.fileno()), "w", buffering=1, encoding="utf-8"))  # noqa: SIM115
    terminal.setLevel(PROGRESS)
    logging.addLevelName(PROGRESS, "PROGRESS")
    # Emptied and then added to, so that other processes may add to it as well.
    open(path, "w").close()
    file = logging.FileHandler(path, mode="a", encoding="utf-8")
    if prints:
        for descriptor in (1, 2):
            os.dup2(file.stream.fileno(), descriptor)
    handlers = [terminal, file]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )

    def report(kind, error, trace):
        logging.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))

    sys.excepthook = report
    atexit.register(log_usage)


def log_usage() -> None:
    """Log CPU time of this process and its children so far, and the memory of the largest of them at its peak."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    logging.info("took %.1f s of CPU time and %d MB", seconds, max(usage.ru_maxrss for usage in used) / 1024)
