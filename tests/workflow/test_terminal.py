"""What a person sees of a run in a terminal, what a log gets, and how a run ends that is told to end."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from processes import wait_for
from runs import TINY, copy_workflow, run_snakemake, snakemake_command
from screens import COLUMNS, Terminal
from testbed.records.locks import acquire_lock

MODEL = "mini_yfcc-mini_rn-100-0"
EVALUATION = f"results/evaluations/{MODEL}/metrics.csv"
NOISE = ("Select jobs", "Execute 1 jobs", "No pretrained weights", "no CLIP weights", "Traceback", "CalledProcessError")
INTERRUPTED = "Interrupted. What is done is kept, and the same command goes on from there."
ENDING_SECONDS = 10.0
"""Four seconds on an idle machine. Snakemake's own handler may wait for ever."""


def long_training(folder: Path) -> Path:
    """The tiny experiment with a training that lasts until a test ends it, as a file in `folder`."""
    config = yaml.safe_load(TINY.read_text())
    config["architectures"]["mini_rn"]["epochs"] = 20_000
    (folder / "long.yaml").write_text(yaml.safe_dump(config))
    return folder / "long.yaml"


def processes_in(folder: Path) -> list[str]:
    """The command lines of the processes that work in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(folder):
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> tuple[Path, str]:
    """A folder with one model that is trained and evaluated, and what was said of it without a terminal."""
    folder = copy_workflow(tmp_path_factory.mktemp("terminal") / "clone")
    return folder, run_snakemake(folder, EVALUATION, "--configfile", TINY).stdout


@pytest.fixture
def folder(plain, tmp_path) -> Path:
    """A folder in which all is there but the model."""
    copy = copy_workflow(tmp_path / "clone")
    subprocess.run(["cp", "-a", plain[0] / "results", plain[0] / ".snakemake", copy], check=True)
    for kind in ("models", "evaluations"):
        shutil.rmtree(copy / "results" / kind)
    return copy


@pytest.fixture
def training(folder) -> Callable[[], bool]:
    """Whether the training has a checkpoint."""
    return lambda: any((folder / f"results/models/{MODEL}/work").glob("checkpoints/step_*.pt"))


def test_without_a_terminal_there_are_plain_lines(plain):
    said = plain[1]
    assert not [words for words in NOISE if words in said], said
    assert "\x1b" not in said and "━" not in said
    assert "Training mini_rn on 100 samples of mini_yfcc, seed 0" in said
    # What libraries say is in the rules' logs.
    log = plain[0] / f"results/logs/evaluate_clip/{MODEL}.log"
    assert "No pretrained weights" in log.read_text() + (plain[0] / f"results/logs/train_clip/{MODEL}.log").read_text()


def test_a_terminal_shows_bars_and_figures_and_leaves_nothing_of_them(folder):
    command = snakemake_command(EVALUATION, "--configfile", long_training(folder))
    figures = re.compile(rf"\n  {MODEL}  \d+% of [\d,]+ samples, [\d,]+/s, loss [\d.]+")
    with Terminal(command, folder) as terminal:
        terminal.wait_for(figures.search, "samples per second and loss of the training")
        shown = terminal.screen.text()
        bars = [line for line in shown.splitlines() if "━" in line]
        assert re.match(r"total +━+ +\d+/\d+", bars[0]) and re.match(r"train_clip +━+ +0/1", bars[-1])
        assert max(map(len, shown.splitlines())) <= COLUMNS

        terminal.press(b"\x03")
        assert terminal.wait() == 1
    left = [line for line in terminal.screen.text().splitlines() if line]
    assert not terminal.screen.unknown
    assert not [line for line in left if "━" in line or line.startswith(f"  {MODEL}")], left
    assert re.match(r"\d+ of \d+ jobs done in ", left[-2]) and left[-1] == INTERRUPTED, left
    assert not [words for words in NOISE if words in terminal.raw]


def test_a_terminal_says_what_is_done(folder):
    with Terminal(snakemake_command(EVALUATION, "--configfile", TINY), folder) as terminal:
        assert terminal.wait() == 0
    left = [line for line in terminal.screen.text().splitlines() if line]
    rules = [re.fullmatch(r"(\w+) +1 job done, \d+ s each", line) for line in left[-3:-1]]
    assert [rule and rule[1] for rule in rules] == ["train_clip", "evaluate_clip"], left
    assert re.fullmatch(r"(\d+) of \1 jobs done in \d+ (s|min)", left[-1])
    assert not [words for words in NOISE if words in terminal.raw]
    assert not list(folder.glob("results/**/*.progress"))


def test_a_dry_run_in_a_terminal_is_as_it_was(folder):
    with Terminal(snakemake_command(EVALUATION, "--configfile", TINY, "-n"), folder) as terminal:
        assert terminal.wait() == 0
    said = terminal.screen.text()
    assert "Job stats:" in said and "This was a dry-run" in said and "━" not in said


@pytest.mark.parametrize("terminal", [False, True])
def test_a_failed_job_ends_with_its_error(folder, terminal):
    """The last line is the error of the job; its traceback is in the rule's log, and nowhere else."""
    trainset = folder / "results/trainsets/mini_yfcc/100/manifest.json"
    trainset.write_text(json.dumps(json.loads(trainset.read_text()) | {"samples": 5}))
    command = snakemake_command(EVALUATION, "--configfile", TINY)
    if terminal:
        with Terminal(command, folder) as program:
            assert program.wait() == 1
        # Long lines are broken at the screen's edge.
        said = program.screen.text().replace("\n", "")
        last = said[said.rindex("Error in rule") :]
    else:
        program = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert program.returncode == 1
        said, last = program.stdout, program.stdout.splitlines()[-1]
    log = f"results/logs/train_clip/{MODEL}.log"
    assert last.startswith(f"Error in rule train_clip, {log}: TrainingError: ") and last.endswith("or raise the size.")
    assert not [words for words in NOISE if words in said], said
    assert "Traceback" in (folder / log).read_text()


@pytest.mark.parametrize("send", [os.killpg, os.kill], ids=["group", "snakemake"])
def test_sigterm_ends_a_run_in_seconds_and_it_goes_on(folder, training, send):
    config = long_training(folder)
    with open(folder / "said.log", "w") as log:
        process = subprocess.Popen(
            snakemake_command(EVALUATION, "--configfile", config),
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_for(lambda: training() or process.poll() is not None, seconds=180)
            send(process.pid, signal.SIGTERM)
            assert process.wait(ENDING_SECONDS) == 1
            wait_for(lambda: not processes_in(folder), ENDING_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    said = (folder / "said.log").read_text()
    assert said.count(INTERRUPTED) == 1, said
    assert "Traceback" not in said and "Error in rule" not in said
    for locked in (folder / ".snakemake", folder / f"results/models/{MODEL}"):
        acquire_lock(locked).close()
    assert '"cause": "SIGTERM"' in (folder / f"results/models/{MODEL}/interrupted.json").read_text()
    run_snakemake(folder, EVALUATION, "--configfile", TINY)


def test_sigterm_in_the_middle_of_the_schedulers_work_does_not_stop_snakemake_for_ever(folder):
    """Snakemake's own handler waits for a lock that the interrupted thread has itself while it chooses or finishes jobs."""
    with open(folder / "Snakefile", "a") as file:
        file.write(
            "\n\nimport os, signal\n"
            "from snakemake.scheduling.job_scheduler import JobScheduler\n\n"
            "def progress(self):\n"
            "    assert self._lock.locked()\n"
            "    os.kill(os.getpid(), signal.SIGTERM)\n\n"
            "JobScheduler.progress = progress\n"
        )
    process = subprocess.Popen(
        snakemake_command(f"results/models/{MODEL}/manifest.json", "--configfile", TINY),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1 and INTERRUPTED in said, said
