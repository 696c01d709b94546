"""Fit a power law of the error as a function of the number of training samples, per pool and test set.

In:  results/tables/evaluations.csv
Out: results/tables/scaling.csv, a row per pool, architecture, test set and classes
"""

from typing import TYPE_CHECKING

import pandas as pd

from testbed.experiment.pools import ensembles_of, in_order
from testbed.records.log import log_to
from testbed.statistics.scaling import fit_scaling
from testbed.statistics.settings import Settings
from testbed.statistics.tables import read_evaluations

if TYPE_CHECKING:
    from snakemake.script import snakemake

if __name__ == "__main__":
    log_to(snakemake.log[0])
    evaluations: pd.DataFrame = read_evaluations(snakemake.input.evaluations)
    ensembles = ensembles_of(in_order(snakemake.params.pools, snakemake.config))
    table = fit_scaling(evaluations, Settings(**snakemake.params.statistics), ensembles)
    table.to_csv(snakemake.output.scaling, index=False)
