"""One place that says how scripts log."""

import logging
import sys


def log_to(path: str) -> None:
    """Send log records to the file `path`, warnings and the traceback of an uncaught error to standard error as well."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    handlers = [terminal, logging.FileHandler(path, mode="w", encoding="utf-8")]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )

    def report(kind, error, trace):
        logging.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))

    sys.excepthook = report
