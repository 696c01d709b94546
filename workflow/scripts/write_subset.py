"""Write the uids of a pool's samples as a subset file of DataComp: sorted pairs of 64-bit numbers, in NumPy's format.

DataComp's tools and a filter with the method subset read it. The uids are DataComp's own where the list has them, and
otherwise those of the pool.

In:  the table of the pool's samples
Out: results/subsets/<pool>.npy
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testbed.filtering.subsets import PAIR, SubsetError, pairs_of, uid_column_of
from testbed.records.files import publish
from testbed.records.log import log_to
from testbed.records.manifest import read_json
from testbed.records.parts import read_parts

if TYPE_CHECKING:
    from snakemake.script import snakemake


def write_subset(samples: Path, path: Path) -> int:
    """Write the uids of the table in the folder `samples` to `path`, and return their number.

    Raises `SubsetError` if a sample has no uid of 32 hexadecimal digits.
    """
    pool, column = read_json(samples / "manifest.json")["pool"], uid_column_of(samples)
    found = []
    for table in read_parts(samples, [column]):
        if missing := table[column].null_count:
            raise SubsetError(f"{pool}: {missing} samples have no {column}. Filter them out")
        found.append(pairs_of(table[column].to_pylist()) if len(table) else np.zeros(0, PAIR))
    pairs = np.concatenate(found)
    pairs = pairs[np.lexsort((pairs["f1"], pairs["f0"]))]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        np.save(file, pairs)
    publish(temporary, path)
    logging.info("%s: %d uids of column %s", pool, len(pairs), column)
    return len(pairs)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    write_subset(Path(snakemake.input.samples).parent, Path(snakemake.output.subset))
