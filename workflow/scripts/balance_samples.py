"""Balance the samples of a pool by MetaCLIP's rule.

Whether a sample is kept depends only on its uid, its entries and their counts: not on the order of samples, the parts, or
restarts of the job.

In:  the table of the pool's samples, the entries in their captions, and the counts of entries
Out: a manifest; beside it the kept rows, with keep_probability, in parts like those of the pool, each with its record;
     and a table of entries with their counts before and after
"""

import csv
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from testbed.filtering.balancing import draw, keep_probabilities, threshold_of
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import make_parts, parts_of, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.shards.samples import with_columns

if TYPE_CHECKING:
    from snakemake.script import snakemake

TABLE_COLUMNS = ("entry", "count", "kept", "kept_share", "part")


class Balance:
    """Selects the rows of each part of a pool."""

    def __init__(self, samples: Path, matches: Path, counts: np.ndarray, t: int, key: str):
        self.samples, self.matches, self.counts, self.t, self.key = samples, matches, counts, t, key
        self.parts, self.found = parts_of(samples), parts_of(matches)

    def entries(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Offsets and entry numbers of each row of a part."""
        column = read_part(self.matches, self.found[name])["entries"].combine_chunks()
        return column.offsets.to_numpy() - column.offsets[0].as_py(), column.flatten().to_numpy()

    def probabilities(self, name: str) -> np.ndarray:
        return keep_probabilities(*self.entries(name), self.counts, self.t)

    def is_kept(self, name: str) -> np.ndarray:
        """Whether each row of a part is kept."""
        uids = read_part(self.samples, self.parts[name], ["uid"])["uid"].to_pylist()
        return draw(uids, self.key) < self.probabilities(name)

    def kept(self, name: str) -> pa.Table:
        """The kept rows of a part."""
        table = with_columns(
            read_part(self.samples, self.parts[name]), {"keep_probability": pa.array(self.probabilities(name))}
        )
        return table.filter(pa.array(self.is_kept(name)))


def count_kept(balance: Balance) -> tuple[np.ndarray, float]:
    """The matches of each entry in kept samples, and the expected number of kept samples."""
    counts, expected = np.zeros(len(balance.counts), np.int64), 0.0
    for name in balance.parts:
        offsets, entries = balance.entries(name)
        is_kept = np.repeat(balance.is_kept(name), np.diff(offsets))
        counts += np.bincount(entries[is_kept], minlength=len(counts))
        expected += float(balance.probabilities(name).sum())
    return counts, expected


def table_rows(names: list[str], counts: np.ndarray, kept: np.ndarray, t: int) -> Iterator[tuple]:
    """A row for each entry with matches, the most frequent first; entries with t or more matches are the head."""
    order = np.lexsort((np.arange(len(counts)), -counts))
    for number in order[: np.count_nonzero(counts)].tolist():
        count, after = int(counts[number]), int(kept[number])
        yield names[number], count, after, round(after / count, 6), "head" if count >= t else "tail"


def write_table(rows: Iterator[tuple], path: Path) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TABLE_COLUMNS)
        writer.writerows(rows)
    publish(temporary, path)


def balance_samples(
    samples: Path,
    matches: Path,
    counted: Path,
    folder: Path,
    table: Path,
    seed: int,
    t: int | None = None,
    tail_fraction: float | None = None,
) -> dict:
    """Write the kept samples into `folder` and the table of entries into the file `table`; returns the manifest.

    `samples`, `matches` and `counted` are the folders of the pool's samples, of the entries in their captions and of the
    entries' counts. `t` is given, or computed from `tail_fraction` (see `threshold_of`).
    """
    facts, parent = read_json(counted / "manifest.json"), read_json(samples / "manifest.json")
    entries = read_part(counted, facts["files"][0])
    counts = entries["count"].to_numpy()
    t = threshold_of(counts, tail_fraction) if t is None else t
    # The key has the name of the pool. So a filter of a filtered pool draws independent numbers, and two filters of one
    # pool draw the same numbers: a larger t keeps all samples that a smaller t keeps.
    balance = Balance(samples, matches, counts, t, f"balance {seed} {parent['pool']}")
    requests = {
        name: [file["sha256"], balance.found[name]["sha256"], facts["files"][0]["sha256"], t, balance.key]
        for name, file in balance.parts.items()
    }
    files = make_parts(folder, requests, balance.kept, f"{folder.name}, balancing")
    kept, expected = count_kept(balance)
    write_table(table_rows(entries["entry"].to_pylist(), counts, kept, t), table)
    number = sum(file["rows"] for file in files)
    tail = counts[(counts > 0) & (counts < t)]
    logging.info("%s: %d of %d samples kept, %.1f expected", folder.name, number, parent["samples"], expected)
    return {
        "pool": folder.name,
        "from": parent["pool"],
        "method": "metaclip",
        "samples": number,
        "of": parent["samples"],
        "expected": round(expected, 3),
        "t": t,
        **{key: facts[key] for key in ("matched", "matches", "entries", "entries_matched")},
        "tail_entries": len(tail),
        "tail_share": float(tail.sum() / counts.sum()),
        "matches_kept": int(kept.sum()),
        "files": files,
    }


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    inputs, params = snakemake.input, snakemake.params
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = balance_samples(
            *(Path(path).parent for path in (inputs.samples, inputs.matches, inputs.counts)),
            folder,
            Path(snakemake.output.table),
            params.seed,
            params.filter.get("t"),
            params.filter.get("tail_fraction"),
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
