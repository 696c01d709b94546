"""Fit the trend of every pool, and compute the effective robustness of every model.

In:  results/tables/evaluations.csv, joint_correct.parquet and, for baselines of standard ImageNet models,
     resources/baselines.csv
Out: trends.csv, a row per pool, architecture, shift and classes; effective_robustness.csv, a row per model, shift and
     classes. A value that cannot be computed is an empty cell
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import pandas as pd

from testbed.experiment.pools import ensembles_of, in_order
from testbed.records.log import log_to
from testbed.statistics.baselines import read_baselines
from testbed.statistics.intervals import INDEPENDENT, intervals_of
from testbed.statistics.joint_correct import JointCorrect, read_joint_correct
from testbed.statistics.robustness import ROBUSTNESS_COLUMNS, measure_robustness, pool_baseline, standard_baseline
from testbed.statistics.settings import Settings
from testbed.statistics.tables import pair_with_reference, read_evaluations
from testbed.statistics.trends import fit_pool_trends

if TYPE_CHECKING:
    from snakemake.script import snakemake


def fit_trends(
    evaluations: pd.DataFrame,
    reference: str,
    settings: Settings,
    baselines: pd.DataFrame | None = None,
    joint: JointCorrect = INDEPENDENT,
    ensembles: Collection[str] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `trends` and `effective_robustness` of `evaluations` (see `read_evaluations`).

    `baselines` is the table of `read_baselines`, which only baselines of standard models need. `joint` and `ensembles` are
    those of `intervals_of`. Raises `EvaluationsError` if
    a model has no evaluation on `reference`, and `TrendError` if the baseline's pool has no models. With the baseline
    `none` the second table has no rows.
    """
    pairs = pair_with_reference(evaluations, reference, settings.minimum_reference)
    intervals = intervals_of(pairs, settings, reference, joint, ensembles)
    trends = fit_pool_trends(pairs, settings, intervals)
    if settings.baseline == "none":
        return trends, pd.DataFrame(columns=ROBUSTNESS_COLUMNS)
    if settings.baseline_pool is None:
        baseline_of = standard_baseline(baselines, settings)
    else:
        baseline_of = pool_baseline(pairs, trends, settings)
    return trends, measure_robustness(pairs, baseline_of, settings, intervals)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    trends, robustness = fit_trends(
        read_evaluations(snakemake.input.evaluations),
        snakemake.params.reference,
        Settings(**snakemake.params.statistics),
        read_baselines(snakemake.input.baselines),
        read_joint_correct(snakemake.input.joint_correct),
        ensembles_of(in_order(snakemake.params.pools, snakemake.config)),
    )
    trends.to_csv(snakemake.output.trends, index=False)
    robustness.to_csv(snakemake.output.effective_robustness, index=False)
