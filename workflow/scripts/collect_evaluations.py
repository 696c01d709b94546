"""Concatenate the metrics of all models into one table, the interface between evaluation and statistics.

In:  one table per model
Out: results/tables/evaluations.csv
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.evaluation.metrics import EVALUATION_COLUMNS
from testbed.records.files import publish
from testbed.records.log import log_to
from testbed.statistics.tables import read_evaluations

if TYPE_CHECKING:
    from snakemake.script import snakemake


def collect_evaluations(tables: list[Path], output: Path) -> None:
    """Write the rows of `tables` to `output` under one header, in order and with unchanged values.

    Raises `EvaluationsError` if a table is invalid, or if two tables have the same model and test set.
    """
    read_evaluations(tables)
    temporary = output.with_name(f".{output.name}.tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, EVALUATION_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for table in tables:
            with open(table, newline="", encoding="utf-8") as rows:
                writer.writerows(csv.DictReader(rows))
    publish(temporary, output)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    collect_evaluations([Path(table) for table in snakemake.input.metrics], Path(snakemake.output.evaluations))
