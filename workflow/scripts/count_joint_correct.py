"""Count, for each pair of models, the images of each test set that both classify correctly.

All models are evaluated on the same images. These counts say how much of a difference between models is due to the choice
of test images (see testbed.statistics.joint_correct).

In:  the predictions of all models, one parquet file per model
Out: results/tables/joint_correct.parquet: testset, classes, model, other, n, both
"""

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.records.files import publish
from testbed.records.log import log_to
from testbed.statistics.joint_correct import count_joint_correct

if TYPE_CHECKING:
    from snakemake.script import snakemake


if __name__ == "__main__":
    log_to(snakemake.log[0])
    output = Path(snakemake.output.joint_correct)
    temporary = output.with_name(f".{output.name}.tmp")
    count_joint_correct(snakemake.input.predictions).to_parquet(temporary, index=False, compression="zstd")
    publish(temporary, output)
