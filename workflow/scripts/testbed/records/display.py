"""The display of a run in a terminal: progress bars of the run and of its rules, and the progress of each job."""

import atexit
import logging
import os
import re
import select
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text
from snakemake_interface_logger_plugins.common import LogEvent

from testbed.records.log import progress_of, read_progress
from testbed.records.progress import duration

HIDDEN_EVENTS = {
    LogEvent.WORKFLOW_STARTED,
    LogEvent.RUN_INFO,
    LogEvent.RESOURCES_INFO,
    LogEvent.JOB_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.JOB_FINISHED,
    LogEvent.PROGRESS,
    LogEvent.SHELLCMD,
}
HIDDEN_BEFORE_AND_AFTER = re.compile(
    "Assuming unrestricted shared|Config file .* is extended|Building DAG|host: |Using shell: |Group jobs: |"
    "Conda environments: |Singularity containers: |Complete log|Elapsed time|Shutting down|Terminating processes"
)
REFRESHES_PER_SECOND = 1
BEGINNING = 0.05
"""Below this fraction a job's time is not extrapolated, because it spends its first seconds on imports and files."""

RULE_WIDTH, BAR_WIDTH = 26, 20
STYLES = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}


@dataclass
class Job:
    """A job that was started, or sent to the cluster."""

    rule: str
    name: str
    progress: Path
    started: float
    words: str = ""
    fraction: float | None = None

    def seconds_left(self, whole: float) -> float:
        """The seconds left of a job that takes `whole` seconds."""
        done = time.monotonic() - self.started if self.fraction is None else self.fraction * whole
        return max(0.0, whole - done)


@dataclass
class Rule:
    """The jobs of one rule: how many, how many are done, and how many seconds these took together."""

    jobs: int
    done: int = 0
    seconds: float = 0.0


class Display(logging.Handler):
    """Shows Snakemake's log records in `terminal`, the stream of Snakemake's own handler.

    Between `start` and `stop`, output of the process and its jobs to the terminal goes through a pipe, so that it appears
    above the bars and not inside them.
    """

    def __init__(self, terminal: IO[str], formatter: logging.Formatter):
        super().__init__()
        self.setFormatter(formatter)
        self.rules: dict[str, Rule] = {}
        self.running: dict[int, Job] = {}
        # Not held while printing: printing waits for the bars to be drawn, and drawing waits for this lock.
        self.account = threading.Lock()
        self.begun = time.monotonic()
        self.file = os.fdopen(os.dup(terminal.fileno()), "w", encoding=terminal.encoding, errors="replace")
        self.console = Console(file=self.file, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.live: Live | None = None

    def start(self) -> None:
        """Redirect the output to the terminal and show the bars."""
        self.begun = time.monotonic()
        self.saved = {number: os.dup(number) for number in (1, 2) if os.isatty(number)}
        reading, writing = os.pipe()
        for number in self.saved:
            os.dup2(writing, number)
        os.close(writing)
        self.ended = threading.Event()
        self.reader = threading.Thread(target=self.pass_on, args=(reading,), daemon=True, name="terminal")
        self.reader.start()
        self.live = Live(
            get_renderable=self.render,
            console=self.console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.live.start(refresh=True)
        atexit.register(self.stop)

    def stop(self) -> None:
        """Remove the bars and restore the output to the terminal."""
        if self.live is None:
            return
        for number, saved in self.saved.items():
            os.dup2(saved, number)
            os.close(saved)
        self.ended.set()
        self.reader.join()
        self.live.stop()
        self.live = None
        jobs, done = (sum(getattr(rule, name) for rule in self.rules.values()) for name in ("jobs", "done"))
        self.print(f"{done} of {jobs} jobs done in {duration(time.monotonic() - self.begun)}")

    def pass_on(self, reading: int) -> None:
        """Print the output of jobs, line by line, without their progress messages."""
        rest = b""
        # The pipe does not close by itself: processes that outlive the run hold its other end.
        while select.select([reading], [], [], 0.1)[0] or not self.ended.is_set():
            if not select.select([reading], [], [], 0)[0]:
                continue
            lines = (rest + os.read(reading, 65536)).split(b"\n")
            rest = lines.pop()
            for line in lines:
                self.pass_line(line)
        if rest:
            self.pass_line(rest)
        os.close(reading)

    def pass_line(self, line: bytes) -> None:
        # The newest state of a progress bar that a library redraws.
        words = line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
        if " PROGRESS " not in words:
            self.print(words)

    def print(self, words: str, style: str = "") -> None:
        """Print `words` above the bars, with their own colours."""
        self.console.print(Text.from_ansi(words, style=style))

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record, and print it unless it is hidden."""
        try:
            event = getattr(record, "event", None)
            with self.account:
                done = self.count(event, record)
            if done:
                self.print(done, "dim")
            words = self.format(record)
            if words and not self.is_hidden(event, record):
                self.print(words.strip("\n"), STYLES.get(record.levelno, ""))
        except Exception:
            self.handleError(record)

    def is_hidden(self, event: LogEvent | None, record: logging.LogRecord) -> bool:
        """Whether the bars already show what a record says, or it is not about the experiment."""
        if event is not None or record.levelno > logging.INFO:
            return event in HIDDEN_EVENTS
        # While jobs run, only messages of the Snakefiles are shown.
        if self.live and not record.pathname.endswith(".smk"):
            return True
        return bool(HIDDEN_BEFORE_AND_AFTER.match(record.getMessage()))

    def count(self, event: LogEvent | None, record: logging.LogRecord) -> str:
        """Update the counts of jobs; returns a message if the last job of a rule is done."""
        if event == LogEvent.RUN_INFO:
            self.rules = {name: Rule(number) for name, number in record.stats.items() if name != "total"}
        elif event == LogEvent.JOB_INFO:
            log = next(iter(record.log), "")
            self.rules.setdefault(record.rule_name, Rule(1))
            progress = progress_of(log or "none")
            self.running[record.jobid] = Job(record.rule_name, Path(log).stem, progress, time.monotonic())
        elif event == LogEvent.JOB_ERROR:
            self.running.pop(record.jobid, None)
        elif event == LogEvent.JOB_FINISHED and (job := self.running.pop(record.job_id, None)):
            rule = self.rules[job.rule]
            rule.done += 1
            rule.seconds += time.monotonic() - job.started
            if rule.done == rule.jobs and job.name:
                jobs = f"{rule.jobs} job{'s' if rule.jobs > 1 else ''}"
                return f"{job.rule:{RULE_WIDTH}} {jobs} done, {duration(rule.seconds / rule.jobs)} each"
        return ""

    def seconds_per_job(self, name: str, running: list[Job]) -> float | None:
        """The seconds of a job of rule `name`: the mean of those that are done, or extrapolated from those that run."""
        rule = self.rules[name]
        if rule.done:
            return rule.seconds / rule.done
        known = [(time.monotonic() - job.started) / job.fraction for job in running if (job.fraction or 0) > BEGINNING]
        return sum(known) / len(known) if known else None

    def time_left(self, running: dict[str, list[Job]]) -> dict[str, float | None]:
        """The seconds left by rule, and of the run as `total`; None where nothing is known yet.

        A rule without a job so far gets the mean of the others.
        """
        each = {name: self.seconds_per_job(name, running.get(name, [])) for name in self.rules}
        known = [seconds for seconds in each.values() if seconds is not None]
        left, work = {}, 0.0
        for name, rule in self.rules.items():
            jobs, seconds = running.get(name, []), each[name]
            whole = seconds if seconds is not None else sum(known) / max(1, len(known))
            own = whole * (rule.jobs - rule.done - len(jobs)) + sum(job.seconds_left(whole) for job in jobs)
            work += own
            left[name] = None if seconds is None else own / max(1, len(jobs))
        return left | {"total": work / max(1, len(self.running)) if known else None}

    def render(self) -> Group:
        """The bars of the run and of the running rules, and a line with the progress of each job."""
        with self.account:
            running: dict[str, list[Job]] = {}
            for job in self.running.values():
                job.words, job.fraction = read_progress(job.progress)
                running.setdefault(job.rule, []).append(job)
            left = self.time_left(running)
            total = Rule(sum(rule.jobs for rule in self.rules.values()), sum(rule.done for rule in self.rules.values()))
            lines = [self.bar("total", total, left["total"], "bold")]
            for name, jobs in running.items():
                lines.append(self.bar(name, self.rules[name], left[name], "", sum(job.fraction or 0 for job in jobs)))
                lines += [Text(f"  {job.name}  {job.words}", "dim") for job in jobs if job.name]
        size = os.get_terminal_size(self.file.fileno())
        # Some terminals do not report their size.
        columns, rows = size.columns or 80, max(size.lines or 24, 4)
        self.console.size = ConsoleDimensions(columns, rows)
        if len(lines) > rows - 2:
            hidden = len(lines) - (rows - 3)
            lines = [*lines[: rows - 3], Text(f"  and {hidden} more lines", "dim")]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def bar(self, name: str, rule: Rule, left: float | None, style: str, fraction: float = 0.0) -> Text:
        """One line: name, bar, jobs and time left. `fraction` is the finished part of running jobs, in jobs."""
        filled = int(BAR_WIDTH * (rule.done + fraction) / max(1, rule.jobs))
        time_left = "" if left is None or rule.done == rule.jobs else f"about {duration(left)} left"
        return Text.assemble(
            (f"{name:{RULE_WIDTH}} ", style),
            ("━" * filled, "green"),
            ("━" * (BAR_WIDTH - filled), "bright_black"),
            (f" {rule.done:>4}/{rule.jobs:<4} {time_left}", style),
        )
