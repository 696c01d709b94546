"""Put the near-duplicates of all sources into one table.

In:  what was counted in each source
Out: results/tables/overlap.csv, a row for each source and test set, and one without a test set for repeats within the source
"""

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cards.overlap import COLUMNS, overlap_rows
from testbed.records.log import log_to
from testbed.records.manifest import read_json
from testbed.records.tables import write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

if __name__ == "__main__":
    log_to(snakemake.log[0])
    counted = [read_json(manifest) for manifest in snakemake.input.overlaps]
    write_table(Path(snakemake.output.table), COLUMNS, overlap_rows(counted))
