"""Snakemake's messages without noise, and with one line for each failed job."""

import copy
import logging
import os
import re
import threading
from pathlib import Path

from snakemake_interface_logger_plugins.common import LogEvent

from testbed.records.log import failure_in

NOISE = re.compile(r"Select jobs to execute\.\.\.|Execute \d+ jobs\.\.\.")
"""Messages that are not about the experiment."""

UPDATED_FILES = re.compile("(Input files updated by another job: [^,;]+(?:, [^,;]+){2})(?:, [^,;]+)+")
EXIT_STATUS = re.compile(r"(died with <Signals\.\w+|returned non-zero exit status \d+)")
RUN_FAILED = "At least one job did not complete successfully."
MORE_THAN_SAID = re.compile(r"\n    sbatch call:.*|For further error details see the cluster/cloud log.*", re.DOTALL)
"""The end of a message of the SLURM plugin: the command that SLURM refused, of half a screen, and a hint at logs."""
VERSION_BYTES = 1000
"""Bytes at the end of a log that are compared. Their lines have times in milliseconds."""
LOOK_ABOVE = "Exiting because a job execution failed."


class Messages(logging.Formatter):
    """Formats Snakemake's log records with `default`, except noise, which becomes empty, and errors of jobs.

    The error of a job is one line, shown when the job fails and again as the last line of the run. The traceback is in the
    rule's log. A log that this attempt of the job has not written says nothing of its error, and is not named. If a run is
    `interrupted`, the errors of the jobs that it terminated are not shown.
    """

    def __init__(self, default: logging.Formatter, interrupted: threading.Event):
        super().__init__()
        self.default, self.interrupted = default, interrupted
        self.failures: dict[int, str] = {}
        self.exits: dict[int | None, str] = {}
        self.versions: dict[int, dict[str, tuple[int, bytes] | None]] = {}

    def format(self, record: logging.LogRecord) -> str:
        event, text = getattr(record, "event", None), record.getMessage()
        if event == LogEvent.JOB_ERROR:
            return "" if self.interrupted.is_set() else self.failure(record)
        is_rule_error = event == LogEvent.ERROR and getattr(record, "exception", "") == "RuleException"
        if is_rule_error and (found := EXIT_STATUS.search(text)):
            # Snakemake logs the error of the job next, in the same thread.
            self.exits[record.thread] = found[1].replace("<Signals.", "")
            return ""
        if event == LogEvent.ERROR and RUN_FAILED in text and (self.failures or self.interrupted.is_set()):
            return "\n".join(self.failures.values())
        if event == LogEvent.JOB_INFO:
            # Some reasons list so many files that they fill a screen. Three are shown.
            record = copy.copy(record)
            record.reason = UPDATED_FILES.sub(r"\1, ...", record.reason or "")
            self.failures.pop(record.jobid, None)
            self.versions[record.jobid] = {log: version_of(log) for log in record.log}
        if NOISE.match(text) or (text.startswith(LOOK_ABOVE) and self.failures):
            return ""
        return self.default.format(record)

    def failure(self, record: logging.LogRecord) -> str:
        """The line for a failed job: the last error in its log, or else what SLURM says, or its process's exit status."""
        exit_status = self.exits.pop(record.thread, "")
        before = self.versions.get(record.jobid, {})
        versions = {log: version_of(log) for log in record.log}
        # The SLURM plugin logs no start of a job, so that its next attempt is compared with this one.
        self.versions[record.jobid] = versions
        more = "; ".join(f"{name}: {value}" for name, value in record.aux.items())
        said = " ".join(MORE_THAN_SAID.sub("", record.rule_msg or "").split())
        is_refused = said and "external_jobid" not in record.aux
        written = [log for log, version in versions.items() if version not in (None, before.get(log))]
        log = "" if is_refused else next(iter(written), "")
        ended = said or f"its process {exit_status or 'failed'}"
        words = (log and failure_in(Path(log))) or f"{ended}{f' ({more})' if more else ''}"
        self.failures[record.jobid] = f"Error in rule {record.rule_name}{f', {log}' if log else ''}: {words}"
        return self.failures[record.jobid]


def version_of(log: str) -> tuple[int, bytes] | None:
    """Size and last bytes of the file `log`, which differ in each attempt of a job; None if it is missing or empty.

    The time of the file is no sign of the job: Snakemake touches the logs of a job before it submits the job.
    """
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - VERSION_BYTES))
            return (size, file.read()) if size else None
    except OSError:
        return None
