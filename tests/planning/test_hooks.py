"""Handlers of a module are called before those of its Snakefile, and the end of a run waits for event loops."""

import asyncio
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


@pytest.mark.slow
@pytest.mark.parametrize(("target", "end"), [("made.txt", "succeeds"), ("failed.txt", "fails")])
def test_both_handlers_are_called_once_wherever_they_stand(tmp_path, target, end):
    (tmp_path / "module.smk").write_text(MODULE)
    (tmp_path / "Snakefile").write_text(MAIN)
    output = run_snakemake(tmp_path, target, "--cores", "1", check=False).stdout
    said = [line for line in output.splitlines() if line.startswith(("the module ", "mine "))]
    assert said == ["the module starts", "mine starts", f"the module {end}", f"mine {end}"], output


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
