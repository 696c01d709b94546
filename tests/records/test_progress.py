"""How far jobs are: what they say, what is shown of it, and what becomes of Snakemake's messages."""

import json
import logging
import os
import pty
import threading
from pathlib import Path

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from testbed.records.display import Display, Job, Rule
from testbed.records.log import (
    PROGRESS,
    PROGRESS_FILE,
    ProgressHandler,
    failure_in,
    is_for_people,
    progress_of,
    read_progress,
    show_progress,
)
from testbed.records.messages import Messages
from testbed.records.progress import Progress, duration


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


@pytest.fixture
def shown(tmp_path, monkeypatch) -> Path:
    """Where this process shows its progress."""
    monkeypatch.setenv(PROGRESS_FILE, str(tmp_path / "job.progress"))
    return tmp_path / "job.progress"


def record(level: int = logging.INFO, message: str = "", path: str = "x.py", **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("snakemake.logging", level, path, 1, message, None, None)
    made.__dict__.update(fields)
    return made


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3569, "59 min"), (3600, "1 h 00 min"), (7500, "2 h 05 min")]
    + [(86399, "1 d 0 h"), (3 * 86400 + 4 * 3600, "3 d 4 h")],
)
def test_durations_are_short(seconds, words):
    assert duration(seconds) == words


def test_progress_says_what_is_left_by_what_this_run_has_done(clock, shown, caplog):
    progress = Progress(1000, "samples")
    progress.update(500, "loss 3")
    assert read_progress(shown) == ("50% of 1,000 samples, loss 3", 0.5)
    clock.now += 10
    progress.update(600, "loss 2")
    # 500 were there when it began: 10 in a second.
    assert read_progress(shown) == ("60% of 1,000 samples, loss 2, 40 s left", 0.6)
    clock.now += 0.5
    progress.update(610)
    assert read_progress(shown)[1] == 0.6
    with caplog.at_level(PROGRESS):
        clock.now += 20
        progress.update(700)
        clock.now += 5
        progress.update(800)
    assert caplog.messages == ["70% of 1,000 samples, 46 s left"]


def test_progress_needs_nobody_who_watches(tmp_path, monkeypatch):
    monkeypatch.delenv(PROGRESS_FILE, raising=False)
    show_progress("x")
    monkeypatch.setenv(PROGRESS_FILE, str(tmp_path / "nowhere" / "file"))
    show_progress("x")
    assert read_progress(tmp_path / "nowhere" / "file") == ("", None)


def test_a_line_of_progress_is_shown_too(shown):
    ProgressHandler().emit(record(PROGRESS, "3 of 8 parts"))
    ProgressHandler().emit(record(logging.WARNING, "no"))
    assert read_progress(shown) == ("3 of 8 parts", None)
    assert progress_of("results/logs/a/b-0.5.log") == Path("results/logs/a/b-0.5.progress")


def test_people_see_progress_and_the_workflows_own_warnings():
    assert is_for_people(record(PROGRESS)) and is_for_people(record(logging.WARNING))
    assert not is_for_people(record(logging.INFO))
    # Snakemake's process shows it, once.
    assert not is_for_people(record(logging.CRITICAL))
    library = Path(pytest.__file__)
    assert not is_for_people(record(logging.WARNING, path=str(library)))


def test_an_error_is_read_whole_and_without_its_traceback(tmp_path):
    (tmp_path / "log").write_text(
        "00:00 CRITICAL E: one\ntwo\nTraceback (most recent call last):\n  x\nE: one\ntwo\n00:00 INFO took 1 s\n"
    )
    assert failure_in(tmp_path / "log") == "E: one\ntwo"


def job_error(log: str = "", job: int = 7, aux: dict | None = None, said: str | None = None) -> logging.LogRecord:
    fields = {"event": LogEvent.JOB_ERROR, "rule_name": "train", "jobid": job, "log": [log] if log else []}
    fields["rule_msg"] = said
    return record(logging.ERROR, "Error in rule train", aux=aux or {}, **fields)


def rule_error(status: str) -> logging.LogRecord:
    text = f"RuleException:\nCalledProcessError in file x.smk, line 2:\nCommand 'python x' {status}."
    return record(logging.ERROR, text, event=LogEvent.ERROR, exception="RuleException")


@pytest.fixture
def messages() -> Messages:
    return Messages(logging.Formatter("%(message)s"), threading.Event())


def test_a_failed_job_is_one_line_now_and_at_the_end(messages, tmp_path):
    log = tmp_path / "m.log"
    log.write_text("00:00 CRITICAL TrainingError: no\nTraceback (most recent call last):\n")
    assert messages.format(rule_error("returned non-zero exit status 1")) == ""
    line = f"Error in rule train, {log}: TrainingError: no"
    assert messages.format(job_error(str(log))) == line
    assert messages.format(record(logging.ERROR, "Exiting because a job execution failed. Look above")) == ""
    end = record(logging.ERROR, "WorkflowError:\nAt least one job did not complete successfully.", event=LogEvent.ERROR)
    assert messages.format(end) == line


def test_a_job_that_is_tried_again_has_not_failed(messages):
    messages.format(job_error())
    again = record(event=LogEvent.JOB_INFO, jobid=7, reason="a: 1, 2, 3", log=[])
    messages.format(again)
    assert messages.failures == {}


def test_of_a_job_without_an_error_in_its_log_the_exit_is_told(messages):
    messages.format(rule_error("died with <Signals.SIGKILL: 9>"))
    assert messages.format(job_error()) == "Error in rule train: its process died with SIGKILL"
    assert messages.format(job_error(aux={"external_jobid": 12})) == (
        "Error in rule train: its process failed (external_jobid: 12)"
    )


REFUSED = (
    "SLURM sbatch failed. The error message was 'sbatch: error: Invalid GRES\nsbatch: error: Batch job submission failed'.\n"
    "    sbatch call:\n        sbatch --gres=gpu:8\n"
    "For further error details see the cluster/cloud log and the log files of the involved rule(s)."
)
"""As the SLURM plugin says it, without an event for the start of the job."""


def test_of_a_job_that_slurm_refuses_slurms_words_are_told_and_no_log_of_an_earlier_attempt(messages, tmp_path):
    log = tmp_path / "m.log"
    log.write_text("00:00 CRITICAL TrainingError: no\nTraceback (most recent call last):\n")
    words = "'sbatch: error: Invalid GRES sbatch: error: Batch job submission failed'"
    line = f"Error in rule train: SLURM sbatch failed. The error message was {words}."
    assert messages.format(job_error(str(log), said=REFUSED)) == line


def test_a_log_that_this_attempt_has_written_is_named(messages, tmp_path):
    log = tmp_path / "m.log"
    log.write_text("00:00 CRITICAL TrainingError: no\n")
    messages.format(record(event=LogEvent.JOB_INFO, jobid=7, reason="", log=[str(log)]))
    # Snakemake touches the logs of a job before it submits the job.
    os.utime(log)
    ended, aux = "SLURM-job '5' failed, SLURM status is: 'OUT_OF_MEMORY'.", {"external_jobid": 5}
    told = f"{ended} (external_jobid: 5)"
    said = f"{ended}For further error details see the cluster/cloud log and the log files of the involved rule(s)."
    assert messages.format(job_error(str(log), said=said, aux=aux)) == f"Error in rule train: {told}"
    log.write_text("00:01 INFO step 1\n")
    assert messages.format(job_error(str(log), said=said, aux=aux)) == f"Error in rule train, {log}: {told}"
    log.write_text("00:02 CRITICAL TrainingError: other\n")
    line = f"Error in rule train, {log}: TrainingError: other"
    assert messages.format(job_error(str(log), said=said, aux=aux)) == line
    # The next attempt ends before it writes its log.
    assert messages.format(job_error(str(log), said=said, aux=aux)) == f"Error in rule train: {told}"


def test_an_interrupted_run_shows_no_errors_of_its_jobs(messages):
    messages.interrupted.set()
    assert messages.format(rule_error("died with <Signals.SIGTERM: 15>")) == ""
    assert messages.format(job_error()) == ""
    end = record(logging.ERROR, "At least one job did not complete successfully.", event=LogEvent.ERROR)
    assert messages.format(end) == ""


def test_noise_is_left_out_and_other_errors_stay(messages):
    assert messages.format(record(message="Select jobs to execute...")) == ""
    assert messages.format(record(message="Execute 12 jobs...")) == ""
    error = record(logging.ERROR, "RuleException:\nanother", event=LogEvent.ERROR, exception="RuleException")
    assert messages.format(error) == "RuleException:\nanother"


def test_of_many_updated_files_three_are_named(messages):
    messages.default = logging.Formatter("%(reason)s")
    reason = "Input files updated by another job: a, b, c, d, e; Code has changed"
    made = record(event=LogEvent.JOB_INFO, jobid=1, reason=reason, log=[])
    assert messages.format(made) == "Input files updated by another job: a, b, c, ...; Code has changed"
    # Snakemake's own log has them all.
    assert made.reason == reason


@pytest.fixture
def display(clock, messages):
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as terminal:
        yield Display(terminal, messages)
    os.close(master)


def test_time_left_is_by_finished_jobs_or_by_how_far_running_ones_are(display, clock):
    display.rules = {"done": Rule(4, done=2, seconds=20.0), "new": Rule(1), "later": Rule(2)}
    rules = {1: "done", 2: "done", 3: "new"}
    display.running = {number: Job(rule, "a", Path("a"), clock.now) for number, rule in rules.items()}
    clock.now += 4
    running = {"done": [display.running[1], display.running[2]], "new": [display.running[3]]}
    left = display.time_left(running)
    # Ten seconds each, of which four are over for two of them. Nothing is known of the others: they take as long.
    assert left == {"done": 6.0, "new": None, "later": None, "total": (12 + 6 + 20) / 3}
    display.running[3].fraction = 0.1
    assert display.time_left(running)["new"] == pytest.approx(36.0)
    display.running[3].fraction = 0.01
    assert display.time_left(running)["new"] is None


def test_nothing_is_known_at_first(display):
    display.rules = {"new": Rule(3)}
    assert display.time_left({}) == {"new": None, "total": None}


def test_jobs_are_counted_from_their_messages(display, tmp_path, clock):
    display.emit(record(event=LogEvent.RUN_INFO, stats={"train": 2, "all": 1, "total": 3}))
    for job in (1, 2):
        log = str(tmp_path / f"m{job}.log")
        display.emit(record(event=LogEvent.JOB_INFO, jobid=job, rule_name="train", log=[log], reason=""))
    (tmp_path / "m2.progress").write_text(json.dumps({"words": "50% of 8 samples", "fraction": 0.5}))
    clock.now += 10
    display.emit(record(event=LogEvent.JOB_FINISHED, job_id=1))
    lines = [line.plain for line in display.render().renderables]
    assert [line.replace("━" * 20, "-") for line in lines] == [
        f"{'total':26} -    1/3    about 15 s left",
        f"{'train':26} -    1/2    about 5 s left",
        "  m2  50% of 8 samples",
    ]
    display.emit(job_error(job=2))
    assert len(display.render().renderables) == 1


def test_the_bars_fit_the_screen(display, monkeypatch):
    monkeypatch.setattr("os.get_terminal_size", lambda number: os.terminal_size((80, 10)))
    display.rules = {"train": Rule(100)}
    display.running = {job: Job("train", f"m{job}", Path("none"), 0.0) for job in range(50)}
    lines = [line.plain for line in display.render().renderables]
    assert len(lines) == 8 and lines[-1] == "  and 45 more lines"
