"""Put all pools side by side: a page that leads to their cards, and tables of their numbers.

In:  the description and the contact sheet of each pool, and the near-duplicates in sources, if they are counted
Out: results/report/pools.html; results/tables/pools.csv, a row for each pool and what its filter dropped;
     results/tables/pool_classes.csv, how many captions name each class of the reference
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow import parquet

from testbed.cards.compared import CLASS_COLUMNS, COLUMNS, Described, class_rows, pool_rows, pools_page
from testbed.records.log import log_to
from testbed.records.manifest import read_json
from testbed.records.tables import write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake


def read_described(
    pools: Mapping[str, Mapping], folders: Sequence[Path], order: Sequence[str], overlaps: Sequence[Path] = ()
) -> list[Described]:
    """Return the pools that are described in `folders`, in the `order` of their names.

    The manifests `overlaps` say what was counted of near-duplicates in sources.
    """
    counted = {path.parent.name: read_json(path) for path in overlaps}
    found = {
        folder.name: Described(
            pools[folder.name],
            read_json(folder / "description.json"),
            parquet.read_table(folder / "sheet.parquet").to_pylist(),
            counted.get(folder.name),
        )
        for folder in folders
    }
    return [found[name] for name in order if name in found]


if __name__ == "__main__":
    log_to(snakemake.log[0])
    config, params = snakemake.config, snakemake.params
    described = read_described(
        params.pools,
        [Path(file).parent for file in snakemake.input.descriptions],
        [*config["sources"], *config["filters"]],
        [Path(file) for file in snakemake.input.overlaps],
    )
    mixtures = [params.mixtures[name] for name in config["mixtures"] if name in params.mixtures]
    page = pools_page(described, mixtures, params.experiment, params.blur, params.testsets)
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
    write_table(snakemake.output.pools, COLUMNS, pool_rows(described))
    write_table(snakemake.output.classes, CLASS_COLUMNS, class_rows(described))
