"""Fit the lines of standard ImageNet models to the ImageNet testbed's published table.

The result is committed as resources/baselines.csv, so no run needs this rule. The rule documents the origin of the file.

In:  results/retrieved/imagenet_testbed.csv and resources/standard_models.csv
Out: results/tables/baselines.csv
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from testbed.records.log import log_to
from testbed.statistics.baselines import fit_standard

if TYPE_CHECKING:
    from snakemake.script import snakemake

ORIGIN = "github.com/modestyachts/imagenet-testbed@0170eec robustness_top1s.csv (MIT; Taori et al. 2020)"


def fit_baselines(results: Path | str, types: Path | str, output: Path | str) -> None:
    """Write the table of baselines to `output`, from the testbed's `results` and the `types` of its models."""
    table = fit_standard(pd.read_csv(results), pd.read_csv(types), ORIGIN)
    table.to_csv(output, index=False, float_format="%.8g", lineterminator="\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    fit_baselines(snakemake.input.results, snakemake.input.types, snakemake.output.baselines)
