"""Write the interactive scatter plot of effective robustness: every shift, scale and baseline in one offline page.

In:  results/tables/evaluations.csv and joint_correct.parquet, resources/baselines.csv, the metrics of published
     checkpoints, the table of public models and, with a teacher of similarity, similarity_accuracy.csv
Out: results/report/explore.html
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from testbed.experiment.pools import Pool, in_order, testsets_in_order
from testbed.explorer.data import Similarity, explorer_data
from testbed.explorer.page import explorer_page
from testbed.explorer.views import Tables
from testbed.records.log import log_to
from testbed.statistics.baselines import read_baselines
from testbed.statistics.intervals import INDEPENDENT
from testbed.statistics.joint_correct import JointCorrect, read_joint_correct
from testbed.statistics.settings import Settings
from testbed.statistics.tables import pair_with_reference, read_evaluations

if TYPE_CHECKING:
    from snakemake.script import snakemake


def explore_robustness(
    evaluations: pd.DataFrame,
    experiment: str,
    reference: str,
    shifts: Sequence[str],
    pools: Sequence[Pool],
    settings: Settings,
    published: pd.DataFrame | None = None,
    baselines: pd.DataFrame | None = None,
    models: pd.DataFrame | None = None,
    joint: JointCorrect = INDEPENDENT,
    similarity: Similarity | None = None,
) -> str:
    """The HTML page; the tables are those of `plot_effective_robustness`.

    Raises `EvaluationsError` and `FigureError` as `pair_with_reference` and `explorer_data` do.
    """
    published_pairs = None if published is None else pair_with_reference(published, reference)
    tables = Tables(
        pair_with_reference(evaluations, reference, settings.minimum_reference),
        published_pairs,
        models,
        baselines,
        joint,
    )
    return explorer_page(explorer_data(tables, experiment, reference, shifts, pools, settings, similarity))


if __name__ == "__main__":
    log_to(snakemake.log[0])
    published, models = snakemake.input.get("published"), snakemake.input.get("models")
    accuracy = snakemake.input.get("similarity")
    page = explore_robustness(
        read_evaluations(snakemake.input.evaluations),
        snakemake.params.experiment,
        snakemake.params.reference,
        testsets_in_order(snakemake.params.shifts, snakemake.config),
        in_order(snakemake.params.pools, snakemake.config),
        Settings(**snakemake.params.statistics),
        read_evaluations(published) if published else None,
        read_baselines(snakemake.input.baselines),
        pd.read_csv(models) if models else None,
        read_joint_correct(snakemake.input.joint_correct),
        Similarity(pd.read_csv(accuracy[0]), snakemake.params.teacher) if accuracy else None,
    )
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
