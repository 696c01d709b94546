"""Work folders: one process in each, locks that go with their holder, and jobs that do not outlive their workflow."""

import errno
import os
import signal
import sys
import threading
import time

import pytest

from processes import is_alive, started, wait_for
from status import is_locked
from testbed.records.locks import FolderBusyError, NoLocksError, acquire_lock, locked
from testbed.records.processes import FORCERUN, ancestry, is_forced

HOLDER = """
import sys, time
from testbed.records.locks import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(60)
"""

FOLLOWER = """
import os, sys, time
from testbed.records.processes import terminate_with_parent
terminate_with_parent(0.05)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(60)
"""

# Snakemake's place: it starts the script through a shell that does not make way for it.
STARTER = """
import subprocess, sys
subprocess.run(["bash", "-c", '"$0" -c "$1" "$2"; true', sys.executable, sys.argv[1], sys.argv[2]])
"""


INTERRUPTED = """
import signal, subprocess, sys, time
from testbed.records.processes import end_jobs_on_interrupt, end_jobs_on_terminate
interrupted = end_jobs_on_interrupt()
end_jobs_on_terminate()
# The job ends with this process, whatever becomes of it.
script = "trap '' INT; " + sys.argv[1] + "echo ready; while kill -0 $PPID; do sleep 0.05; done 2>/dev/null"
try:
    job = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True)
    # By this process and not by its job, which may be ready before it is known here.
    print(job.stdout.readline(), end="", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", interrupted.is_set(), flush=True)
print(job.wait(), flush=True)
"""


@pytest.fixture
def holder(tmp_path, scripts_environment):
    """A process that has locked the folder `work`."""
    with started(sys.executable, "-c", HOLDER, tmp_path / "work", environment=scripts_environment) as process:
        assert process.stdout.readline() == "locked\n"
        yield process


def test_a_second_process_is_refused_and_told_who_is_there(tmp_path, holder):
    with pytest.raises(FolderBusyError) as error:
        acquire_lock(tmp_path / "work", timeout=0.2)
    assert f"{tmp_path / 'work'}: " in str(error.value)
    assert f"{holder.pid} on {os.uname().nodename}" in str(error.value)
    assert "run the same command again" in str(error.value)
    assert is_locked(tmp_path / "work")


def test_a_killed_holder_frees_the_folder(tmp_path, holder):
    holder.kill()
    holder.wait()
    with locked(tmp_path / "work") as folder:
        assert (folder / ".lock").read_text().startswith(f"{os.getpid()} on ")


def test_who_is_patient_gets_the_folder_when_it_is_free(tmp_path, holder):
    threading.Timer(0.5, holder.kill).start()
    with acquire_lock(tmp_path / "work", timeout=10):
        assert holder.wait() == -signal.SIGKILL


def test_a_folder_is_free_after_use_and_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "work"):
        _ = 1 / 0
    for _ in range(2):
        with locked(tmp_path / "work") as folder:
            assert folder == tmp_path / "work"
            with pytest.raises(FolderBusyError):
                acquire_lock(folder)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_an_error_of_its_own(tmp_path, monkeypatch, number):
    """Lustre without the mount option flock answers ENOSYS. No such file system can be made here, so a stand-in answers."""

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(
        NoLocksError, match=rf"{tmp_path}/work: its file system has no locks .*{os.strerror(number)}.*flock"
    ):
        acquire_lock(tmp_path / "work", timeout=60)
    assert not is_locked(tmp_path / "work")


def test_ancestry_goes_up_from_the_parent():
    assert ancestry(1) == [os.getppid()]
    assert ancestry(2)[0] == os.getppid()
    assert ancestry(1000)[-1] in (0, 1)


def test_an_orphan_ends(tmp_path, scripts_environment):
    pid_file = tmp_path / "pid"
    with started(sys.executable, "-c", STARTER, FOLLOWER, pid_file, environment=scripts_environment) as starter:
        wait_for(lambda: pid_file.exists() and pid_file.read_text())
        pid = int(pid_file.read_text())
        time.sleep(0.3)
        assert is_alive(pid)
        starter.kill()
    try:
        wait_for(lambda: not is_alive(pid), seconds=5)
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_rules_are_forced_by_their_whole_names(monkeypatch):
    monkeypatch.delenv(FORCERUN, raising=False)
    assert not is_forced("train_clip")
    monkeypatch.setenv(FORCERUN, "evaluate_clip train_clip")
    assert is_forced("train_clip")
    assert not is_forced("clip")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("stubborn", "ended_by"), [("", signal.SIGTERM), ("trap '' TERM;", signal.SIGKILL)])
def test_a_signal_ends_jobs_and_again_kills_them(scripts_environment, stubborn, ended_by, number):
    with started(sys.executable, "-c", INTERRUPTED, stubborn, environment=scripts_environment) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "interrupted True\n"
        if stubborn:
            process.send_signal(number)
        assert process.stdout.readline() == f"{-ended_by}\n"
