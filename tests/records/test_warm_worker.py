"""The warm worker: a script in a copy of its process behaves as it does by itself, and nothing outlives the run."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from processes import is_alive, wait_for
from testbed.evaluation.preprocessing import EVALUATION
from testbed.records.warm_worker import WORKER, start_worker

HEAD = """
import os, signal, sys, time
from pathlib import Path
from testbed.records.warm_worker import run_warm
from testbed.records.processes import terminate_with_parent
run_warm("counted")
import counted
terminate_with_parent(0.05)
"""

# Writes a line each time it is imported.
COUNTED = """
import os
with open(os.path.join(os.path.dirname(__file__), "imported"), "a") as file:
    print(os.environ.get("OMP_NUM_THREADS"), file=file)
owner = os.getpid()
"""

PARENT = (
    HEAD
    + """
import subprocess
child = subprocess.Popen(["sleep", "60"])
print(os.getpid(), child.pid, flush=True)
child.wait()
"""
)

SLEEPER = HEAD + "print(os.getpid(), os.getppid(), flush=True)\ntime.sleep(60)\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "counted.py").write_text(COUNTED)
    return tmp_path


@pytest.fixture
def worker(folder):
    """A worker that listens in `folder`, as Snakemake starts it. It heeds Ctrl-C, which tests in the background ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with start_worker(str(folder / "worker")) as process:
        signal.signal(signal.SIGINT, before)
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def run(folder, scripts_environment):
    """A function that runs a script as Snakemake does, with the worker in `folder`."""

    @contextmanager
    def run(script, *arguments, python=sys.executable, worker=folder / "worker", **environment):
        (folder / "script.py").write_text(script)
        with subprocess.Popen(
            [python, folder / "script.py", *arguments],
            # Who runs tests in the background ignores Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env=scripts_environment | {WORKER: str(worker)} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    return run


def children(number: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{number}/task/{number}/children").read_text().split()]


def imports(folder: Path) -> list[str]:
    return (folder / "imported").read_text().split()


def test_a_script_finds_its_own_arguments_folder_environment_and_streams(worker, run, folder):
    script = HEAD + (
        "print(sys.argv[1:], os.getcwd(), os.environ['MINE'], __name__, sys.stdin.read(), counted.owner != os.getpid())\n"
        f"print('told', os.environ.get({WORKER!r}), file=sys.stderr)\nsys.exit(3)"
    )
    with run(script, "one", "two", MINE="yes") as process:
        out, err = process.communicate("asked")
    assert out == f"['one', 'two'] {folder} yes __main__ asked True\n"
    assert (err, process.returncode) == ("told None\n", 3)


def test_an_error_ends_as_without_a_worker(worker, run, folder):
    script = HEAD + "import atexit\natexit.register(print, 'at exit')\nprint('before', end=' ')\n1 / 0\n"
    found = []
    for address in (folder / "worker", "none"):
        with run(script, worker=address) as process:
            out, err = process.communicate()
        found.append((out, err.splitlines()[-1], process.returncode))
        assert f'File "{folder}/script.py", line ' in err
    assert found[0] == found[1] == ("before at exit\n", "ZeroDivisionError: division by zero", 1)


@pytest.mark.parametrize(
    "end, status, said",
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(259)", 3, ""),
        ("sys.exit('a sentence')", 1, "a sentence\n"),
        ("import threading\nthreading.Timer(0.3, lambda: print('a thread', file=sys.stderr)).start()", 0, "a thread\n"),
    ],
)
def test_a_script_ends_as_without_a_worker(worker, run, folder, end, status, said):
    for address in (folder / "worker", "none"):
        with run(HEAD + end, worker=address) as process:
            assert process.communicate() == ("", said)
        assert process.returncode == status


def test_modules_are_imported_once_for_each_environment(worker, run, folder):
    for threads in ("1", "2", "1", "2", "1"):
        with run(HEAD, OMP_NUM_THREADS=threads) as process:
            assert process.wait() == 0
    assert imports(folder) == ["1", "2"]


def test_the_first_module_of_several_lists_is_imported_once(worker, run, folder):
    script = HEAD.replace('run_warm("counted")', "run_warm(*sys.argv[1:])")
    script += "print(*(name for name in ('colorsys', 'wave') if name in sys.modules), counted.owner != os.getpid())\n"
    for names in (["colorsys"], ["wave"], [], ["wave"], ["colorsys", "wave"]):
        with run(script, "counted", *names) as process:
            assert process.communicate() == (" ".join([*names, "True"]) + "\n", "")
    assert imports(folder) == ["1"]


def test_copies_draw_random_numbers_of_their_own(worker, run):
    drawn = set()
    for _ in range(3):
        with run(HEAD + "import random; print(random.random())") as process:
            drawn.add(process.communicate()[0])
    assert len(drawn) == 3


def test_a_script_can_start_processes(worker, run):
    """Whose functions are in the script, which they know as their main module."""
    script = HEAD + (
        "from concurrent.futures import ProcessPoolExecutor\nfrom multiprocessing import get_context\n"
        "def double(number):\n    return 2 * number\n"
        "if __name__ == '__main__':\n    for kind in ('fork', 'spawn'):\n"
        "        with ProcessPoolExecutor(2, get_context(kind)) as pool:\n"
        "            print(list(pool.map(double, range(3))))\n"
    )
    with run(script) as process:
        assert process.communicate() == ("[0, 2, 4]\n" * 2, "")


def wait_for_forwarding(process: subprocess.Popen) -> None:
    """Wait until a process forwards signals to its script, which may begin a moment before."""

    def handles_sigterm() -> bool:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (signal.SIGTERM - 1) & 1)

    wait_for(handles_sigterm)


def test_a_signal_reaches_the_script(worker, run):
    script = HEAD + (
        "def end(number, frame):\n    print('asked to end', flush=True)\n    sys.exit(5)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('here', flush=True)\ntime.sleep(60)\n"
    )
    with run(script) as process:
        assert process.stdout.readline() == "here\n"
        wait_for_forwarding(process)
        process.terminate()
        assert (process.communicate()[0], process.returncode) == ("asked to end\n", 5)


def test_an_interrupted_script_ends_with_its_processes(worker, run):
    script = (
        HEAD
        + "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\nprint(child.pid, flush=True)\nchild.wait()\n"
    )
    with run(script) as process:
        pid = int(process.stdout.readline())
        wait_for_forwarding(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert process.returncode == 128 + signal.SIGINT
    wait_for(lambda: not is_alive(pid))


def test_a_killed_script_fails(worker, run):
    with run(SLEEPER) as process:
        os.kill(int(process.stdout.readline().split()[0]), signal.SIGKILL)
        assert process.wait() == 128 + signal.SIGKILL


def test_a_script_ends_with_who_waits_for_it(worker, run):
    with run(PARENT) as process:
        pids = list(map(int, process.stdout.readline().split()))
        process.kill()
        wait_for(lambda: not any(map(is_alive, pids)))


@pytest.mark.parametrize("victim", ["the worker", "who watches"])
def test_a_script_ends_where_the_worker_is_killed(worker, run, victim):
    with run(SLEEPER) as process:
        job, watcher = map(int, process.stdout.readline().split())
        os.kill(worker.pid if victim == "the worker" else watcher, signal.SIGKILL)
        assert process.wait() not in (0, None)
        wait_for(lambda: not is_alive(job))


def test_the_worker_ends_with_who_started_it(worker, run):
    with run(HEAD.replace('"counted"', '"counted", "html"')) as process:
        assert process.wait() == 0
    (first,) = children(worker.pid)
    found = [first, *children(first)]
    assert len(found) == 2
    worker.stdin.close()
    assert worker.wait(10) == 0
    wait_for(lambda: not any(map(is_alive, found)))


@pytest.mark.parametrize("modules", [["slow"], ["counted", "slow"]])
def test_a_job_whose_modules_are_still_imported_does_not_outlive_the_worker(worker, run, folder, modules):
    """The process that imports is killed, and the script goes on by itself."""
    code = "import os, time; owner = os.getpid(); open(__file__ + '.begun', 'w'); time.sleep(1)"
    (folder / "slow.py").write_text(code)
    script = HEAD.replace('run_warm("counted")', f"run_warm(*{modules})\nimport slow")
    with run(script + "print(slow.owner == os.getpid())") as process:
        wait_for((folder / "slow.py.begun").exists)
        worker.stdin.close()
        assert process.communicate() == ("True\n", "")


def test_without_a_worker_a_script_runs_by_itself(worker, run, folder):
    script = HEAD + "print(counted.owner == os.getpid())"
    (folder / "python").symlink_to(os.path.realpath(sys.executable))
    for different in ({"worker": "none"}, {"worker": folder / "nobody"}, {"python": folder / "python"}):
        with run(script, **different) as process:
            assert process.communicate() == ("True\n", ""), different
    worker.kill()
    worker.wait()
    with run(script) as process:
        assert process.communicate() == ("True\n", "")


def test_a_module_that_cannot_be_imported_is_the_scripts_own_error(worker, run, folder):
    (folder / "counted.py").write_text("1 / 0")
    for _ in range(2):
        with run(HEAD) as process:
            _, err = process.communicate()
        assert process.returncode == 1
        assert err.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_nobody_else_may_connect(worker, folder):
    assert (folder / "worker").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_the_modules_of_all_scripts_can_be_copied(worker, run):
    """They leave no thread behind and the GPU alone, so that loading processes and CUDA work in a copy."""
    calls = "".join(path.read_text() for path in Path("workflow/scripts").glob("*.py"))
    given = {name for call in re.findall(r"run_warm\((.*?)\)", calls, re.S) for name in re.findall(r'"(.*?)"', call)}
    modules = sorted({*given, *EVALUATION})
    assert {"open_clip", "open_clip_train.main", "img2dataset.downloader"} <= set(modules)
    script = (
        "import os\nos.environ['NO_ALBUMENTATIONS_UPDATE'] = '1'\n"
        f"from testbed.records.warm_worker import run_warm\nrun_warm(*{modules})\n"
        "import threading, torch\n"
        "print(threading.active_count(), torch.cuda._is_in_bad_fork(), torch.get_num_threads())\n"
        "loader = torch.utils.data.DataLoader(list(range(8)), batch_size=4, num_workers=2)\n"
        "print([batch.tolist() for batch in loader])\n"
    )
    with run(script) as process:
        out, err = process.communicate()
    assert out.splitlines() == ["1 False 1", "[[0, 1, 2, 3], [4, 5, 6, 7]]"], err
