"""The plan of the paper's experiment, without its lists."""

import re

from runs import run_snakemake


def test_the_plan_names_the_lists_that_are_put_in_place_by_hand(workflow_copy):
    output = run_snakemake(workflow_copy, "plan", "--configfile", "config/paper.yaml").stdout
    missing = dict(
        re.findall(
            r"^Missing for a start: sources\.(\w+)\.metadata: (\S+): there is no such file", output, re.MULTILINE
        )
    )
    assert {*missing} == {"yfcc", "laion", "shutterstock"}
    assert missing["laion"] == "data/lists/laion/*.parquet"
    assert "LAION-400M comes from: laion.ai" in output
