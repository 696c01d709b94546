"""Handlers of a module are called, and those of the Snakefile that it is a module of after them."""

import pytest

from runs import ROOT, run_snakemake

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


@pytest.mark.parametrize(("target", "end"), [("made.txt", "succeeds"), ("failed.txt", "fails")])
def test_both_handlers_are_called_once_wherever_they_stand(tmp_path, target, end):
    (tmp_path / "module.smk").write_text(MODULE)
    (tmp_path / "Snakefile").write_text(MAIN)
    output = run_snakemake(tmp_path, target, "--cores", "1", check=False).stdout
    said = [line for line in output.splitlines() if line.startswith(("the module ", "mine "))]
    assert said == ["the module starts", "mine starts", f"the module {end}", f"mine {end}"], output
