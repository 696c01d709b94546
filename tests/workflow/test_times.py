"""No job asks for more time than a cluster's partitions allow."""

from runs import TINY, run_snakemake

PRINT_TIMES = """
from types import SimpleNamespace
for rule in workflow.rules:
    if "runtime" in rule.resources:
        time = rule.resources["runtime"].evaluate(SimpleNamespace(architecture="mini_rn"), attempt=3)
        print("time of", rule.name, time.value)
"""


def times_of(folder, *arguments) -> dict[str, int]:
    """The minutes that the third attempt of a job of each rule asks for."""
    output = run_snakemake(folder, "-n", "--configfile", TINY, *arguments).stdout
    lines = [line.split() for line in output.splitlines() if line.startswith("time of ")]
    return {name: int(minutes) for _, _, name, minutes in lines}


def test_times_grow_up_to_the_limit(workflow_copy):
    with open(workflow_copy / "Snakefile", "a", encoding="utf-8") as file:
        file.write(PRINT_TIMES)
    asked, limited = times_of(workflow_copy), times_of(workflow_copy, "--config", "max_runtime=100")
    assert {"train_clip", "evaluate_clip", "shuffle_metadata", "hash_images"} <= {*asked}
    assert sum(minutes > 100 for minutes in asked.values()) > 10
    assert limited == {name: min(minutes, 100) for name, minutes in asked.items()}
