"""kill -9 of Snakemake in the middle of long work: the same command again ends in the same bytes, and repeats little.

And Ctrl-C, which ends the jobs of every stage in an orderly way.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from runs import TINY, copy_workflow, run_snakemake, snakemake_command

PATIENCE = 120.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(0.02)


def processes_in(folder: Path) -> list[int]:
    """Processes whose working directory is `folder`."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "cwd") == str(folder):
                    pids.append(int(entry.name))
            except OSError:
                continue
    return pids


TABLES = tuple(f"results/tables/{name}.csv" for name in ("evaluations", "trends", "effective_robustness"))
CHAIN = (*TABLES, "--configfile", TINY)
"""The whole chain, without what is drawn and written from its tables."""


def kill_when(folder: Path, condition: Callable[[], bool], what: str) -> None:
    """Start the tiny experiment in `folder`, kill -9 Snakemake alone when `condition` holds, and see its jobs end too."""
    with open(folder / "killed.log", "a") as log:
        process = subprocess.Popen(snakemake_command(*CHAIN), cwd=folder, stdout=log, stderr=log)
        try:
            wait_for(lambda: condition() or process.poll() is not None, what)
            assert process.poll() is None, (
                f"the run ended before {what}:\n{(folder / 'killed.log').read_text()[-3000:]}"
            )
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    wait_for(lambda: not processes_in(folder), "the jobs of a killed run to end")


def interrupt_when(folder: Path, target: str, moment: str | Callable[[], int]) -> str:
    """Start a run for `target` in a process group of its own, press Ctrl-C when it has said `moment` or when that number
    grows; returns all that it said."""
    path, before = folder / "interrupted.log", 0 if isinstance(moment, str) else moment()
    with open(path, "w") as log:
        process = subprocess.Popen(
            snakemake_command(target, "--configfile", TINY), cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(
                lambda: moment in path.read_text() if isinstance(moment, str) else moment() > before,
                f"{moment} in {path}",
            )
            assert process.poll() is None, path.read_text()[-3000:]
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(PATIENCE) == 1
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    wait_for(lambda: not processes_in(folder), "the jobs of an interrupted run to end")
    return path.read_text()


def records(folder: Path, pattern: str) -> list[Path]:
    return [path for path in folder.glob(f"results/{pattern}") if path.name != "manifest.json"]


def shard_digests(folder: Path) -> dict[str, str]:
    return {
        f"{manifest.parent.name}/{entry['name']}": entry["sha256"]
        for manifest in folder.glob("results/shards/*/manifest.json")
        for entry in json.loads(manifest.read_text())["files"]
    }


def weights_digests(folder: Path) -> dict[str, str]:
    return {
        manifest.parent.name: next(
            entry["sha256"]
            for entry in json.loads(manifest.read_text())["files"]
            if entry["name"].endswith(".safetensors")
        )
        for manifest in folder.glob("results/models/*/manifest.json")
    }


def rows_of(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_run_killed_again_and_again_equals_an_undisturbed_one(tiny_run, tmp_path):
    folder = copy_workflow(tmp_path / "clone")
    chunks, checkpoints = "downloads/*/*/[0-9]*.json", "models/*/work/checkpoints/step_[0-9]*.pt"

    kill_when(folder, lambda: bool(records(folder, chunks)), "a finished chunk")
    # The records themselves are written once more when their images are in shards.
    outcomes = [path.with_suffix(".parquet") for path in records(folder, chunks)]
    fetched = {path: path.stat().st_mtime_ns for path in outcomes}
    kill_when(folder, lambda: bool(records(folder, "shards/*/[0-9]*.json")), "a finished shard")
    assert {path: path.stat().st_mtime_ns for path in fetched} == fetched

    kill_when(folder, lambda: bool(records(folder, checkpoints)), "a training with a checkpoint")
    run_snakemake(folder, *CHAIN)

    assert {path: path.stat().st_mtime_ns for path in fetched} == fetched
    assert shard_digests(folder) == shard_digests(tiny_run)
    assert weights_digests(folder) == weights_digests(tiny_run)
    for table in TABLES:
        assert rows_of(folder / table) == rows_of(tiny_run / table)


def test_ctrl_c_ends_every_stage_without_a_traceback(tmp_path):
    folder = copy_workflow(tmp_path / "clone")
    target = "results/evaluations/mini_yfcc-mini_rn-220-0/metrics.csv"
    # Beginnings of jobs, when they import packages, and the middle of long ones.
    for moment in (
        "Drawing the list",
        lambda: len(records(folder, "downloads/*/*/[0-9]*.json")),
        "Sharding",
        "Training",
        lambda: len(records(folder, "models/*/work/checkpoints/step_[0-9]*.pt")),
        "Evaluating",
    ):
        # Else a checkpoint of the training before may be there already.
        shutil.rmtree(folder / "results/models", ignore_errors=True)
        said = interrupt_when(folder, target, moment)
        assert "Traceback" not in said, said[-6000:]
        assert said.count("Interrupted. What is done is kept, and the same command goes on from there.") == 1
    run_snakemake(folder, target, "--configfile", TINY)


def test_a_second_run_in_the_same_folder_is_refused_and_harms_nothing(tmp_path):
    folder = copy_workflow(tmp_path / "clone")
    target = "results/shards/mini_yfcc/manifest.json"
    with open(folder / "first.log", "w") as log:
        first = subprocess.Popen(
            snakemake_command(target, "--configfile", TINY), cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
        wait_for(lambda: (folder / ".snakemake/.lock").is_file() or first.poll() is not None, "the first run's lock")
        second = run_snakemake(folder, target, "--configfile", TINY, check=False)
        status = run_snakemake(folder, "status", "--configfile", TINY, check=False)
        assert first.wait() == 0, (folder / "first.log").read_text()[-3000:]
    assert second.returncode != 0
    assert "another process" in second.stdout
    assert status.returncode == 0 and "mini_yfcc" in status.stdout
    assert (folder / target).is_file()


def test_two_runs_in_two_folders_at_once_do_not_collide(tmp_path):
    target = "results/shards/mini_yfcc/manifest.json"
    folders = [copy_workflow(tmp_path / name) for name in ("one", "two")]
    processes = [
        subprocess.Popen(
            snakemake_command(target, "--configfile", TINY),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for folder in folders
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert shard_digests(folders[0]) == shard_digests(folders[1]) != {}
