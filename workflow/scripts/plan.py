"""Say what an experiment takes, stage by stage, and how much of it is done.

In:  nothing but the experiment
Out: a table on standard output
"""

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.log import log_to

if TYPE_CHECKING:
    from snakemake.script import snakemake


def table_of(stages: list[dict]) -> str:
    """A line per stage (`name`, `work`, `products`: the files that say what is done) under a header."""
    rows = [("stage", "jobs", "done", "work")]
    for stage in stages:
        done = sum(Path(product).is_file() for product in stage["products"])
        rows.append((stage["name"], str(len(stage["products"])), str(done), stage["work"]))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in (1, 2)), row[3]])
        for row in rows
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    print(table_of(list(snakemake.params.stages)))
