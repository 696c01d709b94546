"""One place that says how scripts log, and what of it a person who watches sees."""

import atexit
import json
import logging
import os
import resource
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

PROGRESS = logging.INFO + 5
"""Level of what a person who watches wants to see of long work."""

PROGRESS_FILE = "CLIP_TESTBED_PROGRESS"
"""Environment variable with the file that the newest progress of this job goes to; its child processes inherit it."""

LOG_END = 20_000


def is_for_people(record: logging.LogRecord) -> bool:
    """Whether a record goes to the terminal: not an error, which Snakemake's process shows, and not a library's message."""
    from_library = record.name == "py.warnings" or record.pathname.startswith(sysconfig.get_path("purelib"))
    return PROGRESS <= record.levelno < logging.CRITICAL and not from_library


class ProgressHandler(logging.Handler):
    """Shows the newest progress record."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == PROGRESS:
            show_progress(record.getMessage())


def log_to(path: str, prints: bool = False) -> None:
    """Send log records to the file `path`; progress and the workflow's own warnings go to standard error as well.

    With `prints`, all that libraries write to standard output and error goes to the file, too, and not to the terminal.
    An uncaught error goes to the file with its traceback. The last line of the file is what the process took.
    """
    # A copy of the descriptor, which stays where it is when standard error moves.
    terminal = logging.StreamHandler(open(os.dup(sys.stderr.fileno()), "w", buffering=1, encoding="utf-8"))  # noqa: SIM115
    terminal.addFilter(is_for_people)
    logging.addLevelName(PROGRESS, "PROGRESS")
    # Emptied and then added to, so that other processes may add to it as well.
    open(path, "w").close()
    file = logging.FileHandler(path, mode="a", encoding="utf-8")
    if prints:
        for descriptor in (1, 2):
            os.dup2(file.stream.fileno(), descriptor)
    handlers = [terminal, file, ProgressHandler()]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
    logging.captureWarnings(True)
    progress = progress_of(path).resolve()
    os.environ[PROGRESS_FILE] = str(progress)
    progress.unlink(missing_ok=True)
    atexit.register(progress.unlink, missing_ok=True)

    def report(kind, error, trace):
        logging.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))

    sys.excepthook = report
    atexit.register(log_usage)


def log_usage() -> None:
    """Log CPU time of this process and its children so far, and the memory of the largest of them at its peak."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    logging.info("took %.1f s of CPU time and %d MB", seconds, max(usage.ru_maxrss for usage in used) / 1024)


def failure_in(log: Path) -> str:
    """The error that a log ends with, without its traceback, or nothing."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_END))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    _, _, rest = text.rpartition(" CRITICAL ") if " CRITICAL " in text else ("", "", "")
    message, trace, _ = rest.partition("\nTraceback (most")
    # A message may have several lines.
    return message.rstrip() if trace else message.partition("\n")[0]


def progress_of(log: Path | str) -> Path:
    """The file with the newest progress of the job that writes `log`; it is there while the job works."""
    return Path(log).with_suffix(".progress")


def show_progress(words: str, fraction: float | None = None) -> None:
    """Replace what is shown of this job's progress: `words`, and which fraction of its work is done, where it is known."""
    if PROGRESS_FILE not in os.environ:
        return
    path = Path(os.environ[PROGRESS_FILE])
    temporary = path.with_name(f".{path.name}.tmp")
    # What is shown is no reason to fail.
    with suppress(OSError):
        temporary.write_text(json.dumps({"words": words, "fraction": fraction}), encoding="utf-8")
        os.replace(temporary, path)


def read_progress(path: Path) -> tuple[str, float | None]:
    """The words and the fraction in a file of `show_progress`; empty and None where there is no such file."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return entry["words"], entry["fraction"]
    except (OSError, ValueError):
        return "", None
