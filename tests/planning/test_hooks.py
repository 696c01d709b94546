"""Handlers of a module are called before those of its Snakefile, and the end of a run waits for event loops."""

import asyncio
import re
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from runs import ROOT, run_snakemake
from testbed.planning.hooks import wait_for_event_loops

MODULE = f"""
import sys

sys.path.insert(0, "{ROOT / "workflow" / "scripts"}")
from testbed.planning.hooks import add_handlers


onstart:
    print("the module starts")


onsuccess:
    print("the module succeeds")


onerror:
    print("the module fails")


add_handlers(workflow, onstart=onstart, onsuccess=onsuccess, onerror=onerror)


rule make:
    output:
        "made.txt",
    shell:
        "touch {{output}}"


rule fail:
    output:
        "failed.txt",
    shell:
        "false"
"""
MAIN = """
onstart:
    print("mine starts")


module testbed:
    snakefile:
        "module.smk"


use rule * from testbed


use rule make from testbed with:
    message:
        "again"


onsuccess:
    print("mine succeeds")


onerror:
    print("mine fails")
"""


MANY = f"""
import sys
from types import SimpleNamespace

sys.path.insert(0, "{ROOT / "workflow" / "scripts"}")
from testbed.planning.hooks import schedule_on_events

looks = []


def count_looks():
    select = workflow.scheduler.job_selector

    def selected(jobs):
        looks.append(len(jobs))
        return select(jobs)

    workflow.scheduler.job_selector = selected


onstart:
    count_looks()
    if LOCAL is not None:
        schedule_on_events(SimpleNamespace(scheduler=workflow.scheduler, local_exec=LOCAL))


onsuccess:
    print(f"looked {{len(looks)}} times in {{time.monotonic() - begun:.1f}} s")


rule all:
    input:
        expand("{{number}}.txt", number=range(20)),


rule make:
    output:
        "{{number}}.txt",
    shell:
        "sleep 0.3; touch {{output}}"
"""


WARM = f"""
import os, sys

sys.path.insert(0, "{ROOT / "workflow" / "scripts"}")
from testbed.planning.hooks import start_warm
from testbed.records.warm_worker import WORKER, start_worker


localrules:
    mine,
    own,


onstart:
    workflow.worker = start_worker("worker")
    os.environ[WORKER] = "worker"
    start_warm(workflow)


rule all:
    input:
        "mine.txt",
        "own.txt",


rule mine:
    output:
        "mine.txt",
    script:
        "mine.py"


rule own:
    output:
        "own.txt",
    script:
        "plot_pools.py"
"""


@pytest.mark.slow
def test_only_scripts_of_this_project_are_forked(tmp_path):
    """By the modules that a script finds imported; one of the two has the name of a script of this project."""
    (tmp_path / "Snakefile").write_text(WARM)
    for name in ("mine.py", "plot_pools.py"):
        (tmp_path / name).write_text("import sys\nopen(snakemake.output[0], 'w').write(str('pandas' in sys.modules))\n")
    run_snakemake(tmp_path, "--cores", 1)
    assert {name: (tmp_path / f"{name}.txt").read_text() for name in ("mine", "own")} == {
        "mine": "False",
        "own": "True",
    }


@pytest.mark.slow
def test_the_scheduler_looks_for_jobs_when_one_has_ended(tmp_path):
    looked = {}
    for name, local in {"snakemake": "None", "here": "True", "cluster": "False"}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "Snakefile").write_text(f"import time\n\nLOCAL, begun = {local}, time.monotonic()\n{MANY}")
        said = run_snakemake(folder, "--cores", 1).stdout
        looked[name] = [float(number) for number in re.search(r"looked (\d+) times in ([0-9.]+) s", said).groups()]
    # Once for each job but the last, which is `all`; and what began with it.
    assert looked["here"][0] <= 22
    # With one timer, at most once more in each second.
    assert looked["cluster"][0] <= 22 + looked["cluster"][1]
    assert looked["snakemake"][0] > looked["cluster"][0] + 5


@pytest.mark.slow
@pytest.mark.parametrize(("target", "end"), [("made.txt", "succeeds"), ("failed.txt", "fails")])
def test_both_handlers_are_called_once_wherever_they_stand(tmp_path, target, end):
    (tmp_path / "module.smk").write_text(MODULE)
    (tmp_path / "Snakefile").write_text(MAIN)
    output = run_snakemake(tmp_path, target, "--cores", "1", check=False).stdout
    said = [line for line in output.splitlines() if line.startswith(("the module ", "mine "))]
    assert said == ["the module starts", "mine starts", f"the module {end}", f"mine {end}"], output


LOOP = """
import os, signal, sys, threading, time
from testbed.planning.hooks import interrupt_while_waiting
from testbed.records.processes import end_jobs_on_interrupt

class Scheduler:
    _open_jobs = threading.Semaphore(1)

    def schedule(self):
        try:
            while True:
                self._open_jobs.acquire()
                print("step", flush=True)
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
                print("whole", flush=True)
                if sys.argv[1] == "more":
                    self._open_jobs.release()
        except KeyboardInterrupt:
            print("interrupted", flush=True)

scheduler, interrupted = Scheduler(), end_jobs_on_interrupt()
interrupt_while_waiting(scheduler, interrupted)
scheduler.schedule()
print(interrupted.held)
"""


@pytest.mark.parametrize("jobs", ["more", "none"])
def test_ctrl_c_interrupts_the_scheduler_between_two_steps(jobs, scripts_environment):
    """A step that is interrupted may leave a lock held. It does not matter whether the scheduler would wait for jobs."""
    result = subprocess.run(
        [sys.executable, "-c", LOOP, jobs], env=scripts_environment, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.split() == ["step", "whole", "interrupted", "False"], result.stderr
    # What the loop waits at, and who calls it.
    scheduler = Path(find_spec("snakemake.scheduling.job_scheduler").origin).read_text(encoding="utf-8")
    assert "                self._open_jobs.acquire()\n" in scheduler
    workflow = Path(find_spec("snakemake.workflow").origin).read_text(encoding="utf-8")
    assert "success = self.scheduler.schedule()" in workflow


def test_the_end_waits_for_event_loops_of_threads():
    """As of Snakemake's threads: closing a loop that runs is an error, closing it after it has ended is none."""
    started, workflow = threading.Event(), SimpleNamespace(_async_runners={})

    async def work() -> None:
        started.set()
        await asyncio.sleep(0.3)

    def thread() -> None:
        workflow._async_runners[threading.get_ident()] = runner = asyncio.Runner()
        runner.run(work())

    running = threading.Thread(target=thread)
    running.start()
    started.wait()
    (runner,) = workflow._async_runners.values()
    assert runner.get_loop().is_running()
    wait_for_event_loops(workflow, 0.05)
    assert runner.get_loop().is_running()
    wait_for_event_loops(workflow)
    running.join()
    runner.close()
    # Where Snakemake keeps them.
    source = Path(find_spec("snakemake.workflow").origin).read_text(encoding="utf-8")
    assert "for runner in self._async_runners.values():" in source
