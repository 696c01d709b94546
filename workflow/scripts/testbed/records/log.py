"""Logging of scripts: what goes to the log of a rule, what to the terminal, and how far the job is."""

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
"""Level of messages about the progress of long jobs."""

PROGRESS_FILE = "CLIP_TESTBED_PROGRESS"
"""Environment variable with the path of this job's progress file. Child processes inherit it."""

LOG_END = 20_000


def is_for_people(record: logging.LogRecord) -> bool:
    """Whether `record` goes to the terminal. Errors do not (Snakemake shows them), nor do libraries' messages."""
    from_library = record.name == "py.warnings" or record.pathname.startswith(sysconfig.get_path("purelib"))
    return PROGRESS <= record.levelno < logging.CRITICAL and not from_library


class ProgressHandler(logging.Handler):
    """Writes the newest progress record to the progress file."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == PROGRESS:
            show_progress(record.getMessage())


def log_to(path: str, prints: bool = False) -> None:
    """Write log records to the file `path`, and progress and the workflow's own warnings to standard error as well.

    With `prints`, the output of libraries also goes to the file and not to the terminal. An uncaught error goes to the file
    with its traceback. The last line of the file has the CPU time and memory of the process.
    """
    # A copy, because `prints` redirects the descriptor of standard error.
    terminal = logging.StreamHandler(open(os.dup(sys.stderr.fileno()), "w", buffering=1, encoding="utf-8"))  # noqa: SIM115
    terminal.addFilter(is_for_people)
    logging.addLevelName(PROGRESS, "PROGRESS")
    # Truncated and then opened for appending, so that other processes can append to it as well.
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
    """Log the CPU time of this process and its children, and the largest peak memory of one of them."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    logging.info("took %.1f s of CPU time and %d MB", seconds, max(usage.ru_maxrss for usage in used) / 1024)


def failure_in(log: Path) -> str:
    """The last error in a log, without its traceback; empty if there is none."""
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
    """The progress file of the job that writes `log`. It exists only while the job runs."""
    return Path(log).with_suffix(".progress")


def show_progress(words: str, fraction: float | None = None) -> None:
    """Write the progress of this job to its progress file: `words`, and the fraction of its work that is done, if known."""
    if PROGRESS_FILE not in os.environ:
        return
    path = Path(os.environ[PROGRESS_FILE])
    temporary = path.with_name(f".{path.name}.tmp")
    # A job must not fail because its progress cannot be written.
    with suppress(OSError):
        temporary.write_text(json.dumps({"words": words, "fraction": fraction}), encoding="utf-8")
        os.replace(temporary, path)


def read_progress(path: Path) -> tuple[str, float | None]:
    """The words and the fraction in the progress file `path`; empty and None if there is no such file."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return entry["words"], entry["fraction"]
    except (OSError, ValueError):
        return "", None
