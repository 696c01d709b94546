"""Progress of long jobs: the fraction that is done, and the time left."""

import logging
import time

from testbed.records.log import PROGRESS, show_progress

SHOWN_SECONDS = 1.0
LOGGED_SECONDS = 30.0


def duration(seconds: float) -> str:
    """`seconds` as text in the largest units, such as `8 s`, `12 min`, `2 h 05 min` or `3 d 4 h`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


class Progress:
    """Reports how much of `total` is done: each second to the progress file, each half minute to the log."""

    def __init__(self, total: int, unit: str):
        self.total, self.unit = total, unit
        self.first: tuple[float, int] | None = None
        self.shown = self.logged = float("-inf")

    def update(self, done: int, details: str = "") -> None:
        """Report that `done` of the total is done, with `details` such as a rate."""
        now = time.monotonic()
        if self.first is None:
            # A resumed job starts with a part of its work done.
            self.first, self.logged = (now, done), now
        if now - self.shown < SHOWN_SECONDS and done < self.total:
            return
        self.shown = now
        started, before = self.first
        fraction = done / self.total
        parts = [f"{fraction:.0%} of {self.total:,} {self.unit}", details]
        if done > before and now > started:
            parts.append(f"{duration((self.total - done) * (now - started) / (done - before))} left")
        words = ", ".join(part for part in parts if part)
        show_progress(words, fraction)
        if now - self.logged >= LOGGED_SECONDS:
            self.logged = now
            logging.log(PROGRESS, "%s", words)
