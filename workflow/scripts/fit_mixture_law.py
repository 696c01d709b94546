"""Fit a law of mixtures: how the dilution fraction grows with the share of the better of two members.

In:  results/tables/dilution.csv
Out: results/tables/mixture_law.csv, a row per mixture of two pools, architecture, shift and classes
"""

from typing import TYPE_CHECKING

import pandas as pd

from testbed.experiment.pools import in_order
from testbed.records.log import log_to
from testbed.statistics.mixture_law import fit_mixture_law

if TYPE_CHECKING:
    from snakemake.script import snakemake

if __name__ == "__main__":
    log_to(snakemake.log[0])
    pools = in_order(snakemake.params.pools, snakemake.config)
    fit_mixture_law(pd.read_csv(snakemake.input.dilution), pools).to_csv(snakemake.output.law, index=False)
