"""The warm worker in whole runs: the same files as without it, and no process that is left behind."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from test_kill import processes_in, wait_for

from runs import TINY, copy_workflow, run_snakemake, snakemake_command
from testbed.records.warm_worker import WORKER

MODEL = "mini_yfcc-mini_rn-100-0"
EVALUATION = f"results/evaluations/{MODEL}"
AGAIN = (f"{EVALUATION}/metrics.csv", "--configfile", TINY, "--forcerun", "train_clip", "evaluate_clip")
FIGURE = "results/plots/mixtures/mini_blend"
DRAWN = (f"{FIGURE}.pdf", "--configfile", TINY, "--forcerun", "plot_mixture")


@pytest.fixture
def own_copy(tiny_run, tmp_path) -> Path:
    """The lists, trainsets and decoded images of the tiny run, with one model to train and evaluate."""
    folder = copy_workflow(tmp_path / "clone")
    subprocess.run(["cp", "-a", tiny_run / "results", tiny_run / ".snakemake", folder], check=True)
    return folder


def products(folder: Path) -> dict[str, bytes]:
    files = [f"results/models/{MODEL}/open_clip_model.safetensors"]
    files += [f"{EVALUATION}/{name}" for name in ("metrics.csv", "predictions.parquet")]
    return {name: (folder / name).read_bytes() for name in files}


def cpu_seconds(folder: Path, rule: str, name: str = MODEL) -> float:
    """What a job took, by the last line of its log."""
    last = (folder / f"results/logs/{rule}/{name}.log").read_text().splitlines()[-1]
    return float(re.search(r"took ([0-9.]+) s of CPU time and [0-9]+ MB$", last)[1])


def test_models_and_evaluations_are_the_same_with_and_without_a_worker(tiny_run, own_copy, monkeypatch):
    monkeypatch.setenv(WORKER, "none")
    run_snakemake(own_copy, *AGAIN)
    assert products(own_copy) == products(tiny_run)
    for rule in ("train_clip", "evaluate_clip"):
        assert cpu_seconds(tiny_run, rule) < cpu_seconds(own_copy, rule) - 2


def test_the_scripts_of_local_rules_are_forked_and_draw_the_same(tiny_run, own_copy, monkeypatch):
    monkeypatch.setenv(WORKER, "none")
    run_snakemake(own_copy, *DRAWN)
    for kind in ("pdf", "png"):
        assert (own_copy / f"{FIGURE}.{kind}").read_bytes() == (tiny_run / f"{FIGURE}.{kind}").read_bytes()
    assert (
        cpu_seconds(tiny_run, "plot_mixture", "mini_blend") < cpu_seconds(own_copy, "plot_mixture", "mini_blend") - 0.5
    )


def test_an_interrupted_run_leaves_no_process_behind(own_copy):
    manifest = own_copy / f"results/models/{MODEL}/manifest.json"
    process = subprocess.Popen(
        snakemake_command(*AGAIN),
        cwd=own_copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A group of its own, which is what a terminal interrupts.
        start_new_session=True,
    )
    try:
        wait_for(lambda: (manifest.parent / "work").is_dir() or process.poll() is not None, "a training")
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0 and not manifest.is_file(), said
    assert "Traceback" not in said, said
    wait_for(lambda: not processes_in(own_copy), "the processes of an interrupted run to end")


def test_a_finished_run_leaves_no_process_behind(tiny_run):
    wait_for(lambda: not processes_in(tiny_run), "the processes of a finished run to end")
