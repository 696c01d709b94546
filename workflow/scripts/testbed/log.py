"""One place that says how scripts log."""

import logging
import sys


def log_to(path: str | None) -> None:
    """Send log records, and the traceback of an uncaught error, to the rule's log file and to standard error."""
    handlers = [logging.StreamHandler(sys.stderr)]
    if path:
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True)

    def report(kind, error, trace):
        logging.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))

    sys.excepthook = report
