"""Processes of a training, and signals that end them."""

import os
import signal
import sys
import time

import pytest

from processes import ROOT
from testbed.training.launch import Interrupted, interruptible, launch_command, processes_of, run_processes, threads_of
from testbed.training.slurm import job_end_time, jobs_in

PLAIN = {"gpus": 1, "nodes": 1, "workers": 3, "cpus_per_gpu": 0}


@pytest.mark.parametrize(
    ("changes", "processes", "threads"),
    [({}, 1, 4), ({"gpus": 0}, 1, 4), ({"gpus": 8, "cpus_per_gpu": 6}, 8, 6), ({"gpus": 4, "nodes": 2}, 8, 4)],
)
def test_processes_and_their_cores(changes, processes, threads):
    assert processes_of(PLAIN | changes) == processes
    assert threads_of(PLAIN | changes) == threads


def test_one_node_is_torchruns_and_several_are_slurms():
    module = ["-m", "testbed.training.trainer", "run.json"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4"]
    assert launch_command(PLAIN | {"gpus": 4}, "testbed.training.trainer", "run.json") == [*torchrun, *module]
    srun = launch_command(PLAIN | {"gpus": 4, "nodes": 2}, "testbed.training.trainer", "run.json")
    wanted = {
        "--nodes=2",
        "--ntasks=8",
        "--ntasks-per-node=4",
        "--cpus-per-task=4",
        "--gres=gpu:4",
        "--kill-on-bad-exit=1",
    }
    assert srun[0] == "srun"
    assert set(srun[1:7]) == wanted
    assert srun[7:] == [sys.executable, *module]


def test_a_signal_ends_the_processes_first(tmp_path):
    """The process that runs them gets the signal; what it started is gone when the signal is raised."""
    script = f"import os, signal, time; open('{tmp_path}/pid', 'w').write(str(os.getpid())); "
    script += f"os.kill({os.getpid()}, signal.SIGUSR1); time.sleep(60)"
    started = time.monotonic()
    with pytest.raises(Interrupted) as raised, interruptible():
        run_processes([sys.executable, "-c", script], tmp_path / "log")
    assert time.monotonic() - started < 20
    assert (raised.value.name, raised.value.code) == ("SIGUSR1", 128 + signal.SIGUSR1)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_signals_are_what_they_were_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_processes_say_is_added_to_the_log(tmp_path):
    (tmp_path / "log").write_text("before\n")
    assert run_processes([sys.executable, "-c", "import sys; print('said'); sys.exit(3)"], tmp_path / "log") == 3
    assert (tmp_path / "log").read_text() == "before\nsaid\n"


def test_outside_of_slurm_there_is_no_end_and_no_queue(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert job_end_time() is None
    assert jobs_in(ROOT) == []
