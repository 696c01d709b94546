"""Select the samples of a pool by CLIP score, by a condition in SQL, by simple rules, at random, or without near-duplicates.

In:  the table of the pool's samples and, for the method clip_score, the scores of its pairs or, for deduplicate and
     decontaminate, its near-duplicates
Out: a manifest; beside it the kept rows, with their scores, in parts like those of the pool, each with its record
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import compute

from testbed.filtering.balancing import draw
from testbed.filtering.selection import histogram_of, keep_basic, load_classifier
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import make_parts, parts_of, read_part, read_parts
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.shards.samples import with_columns

if TYPE_CHECKING:
    from snakemake.script import snakemake


class SelectionError(RuntimeError):
    """A filter keeps nothing."""


def fraction_threshold(scores: np.ndarray, fraction: float) -> float:
    """The score above which, or at which, the highest `fraction` of `scores` lies (at least one score)."""
    count = max(1, round(fraction * len(scores)))
    return float(np.partition(scores, len(scores) - count)[len(scores) - count])


def thresholds_of(scores: Path, rules: Mapping) -> dict[str | None, float]:
    """The lowest kept score: for each class of the reference where `rules` say per_class, otherwise under the key None."""
    if "threshold" in rules:
        return {None: rules["threshold"]}
    columns = ["clip_score", *(["reference_class"] if rules.get("per_class") else [])]
    table = pa.concat_tables(list(read_parts(scores, columns)))
    values = table["clip_score"].to_numpy()
    if not rules.get("per_class"):
        return {None: fraction_threshold(values, rules["fraction"])}
    classes = table["reference_class"].to_numpy()
    return {name: fraction_threshold(values[classes == name], rules["fraction"]) for name in sorted(set(classes))}


def score_selector(
    scores: Path, rules: Mapping
) -> tuple[Callable[[str, pa.Table], pa.Table], Callable[[str], object], dict]:
    """A function that selects rows of a part by CLIP score, one that returns what this depends on, and the thresholds."""
    thresholds, parts = thresholds_of(scores, rules), parts_of(scores)

    def keep(name: str, table: pa.Table) -> pa.Table:
        found = read_part(scores, parts[name])
        table = with_columns(table, {column: found[column] for column in found.column_names})
        limits = (
            [thresholds[name] for name in found["reference_class"].to_pylist()]
            if rules.get("per_class")
            else [thresholds[None]]
        )
        # Compared in float32, the precision of the scores: the threshold is one of them.
        return table.filter(pa.array(found["clip_score"].to_numpy() >= np.array(limits, np.float32)))

    numbers = {str(name): value for name, value in thresholds.items() if name is not None} or thresholds[None]
    return keep, lambda name: [parts[name]["sha256"], numbers], {"threshold": numbers}


def duplicate_selector(duplicates: Path) -> tuple[Callable[[str, pa.Table], pa.Table], Callable[[str], object], dict]:
    """As `score_selector`, a function that drops near-duplicates; the facts are their numbers."""
    manifest, parts = read_json(duplicates / "manifest.json"), parts_of(duplicates)

    def keep(name: str, table: pa.Table) -> pa.Table:
        dropped = read_part(duplicates, parts[name], ["uid"])["uid"].combine_chunks()
        return table.filter(compute.invert(compute.is_in(table["uid"], value_set=dropped)))

    facts = {key: manifest[key] for key in ("similarity", "near_duplicates", "testsets") if key in manifest}
    return keep, lambda name: [parts[name]["sha256"]], facts


def row_selector(rules: Mapping, parent: str) -> Callable[[str, pa.Table], pa.Table]:
    """A function that selects rows of a part of the pool `parent` by their own columns."""
    if rules["method"] == "random":
        # As in balance_samples: a larger fraction of a pool has all samples of a smaller one.
        key = f"random {rules['seed']} {parent}"
        return lambda name, table: table.filter(pa.array(draw(table["uid"].to_pylist(), key) < rules["fraction"]))
    if rules["method"] == "sql":
        # The environments of other methods have no DuckDB.
        from testbed.filtering.conditions import keep_rows

        return lambda name, table: table.filter(pa.array(keep_rows(table, rules["where"])))
    language = load_classifier() if "language" in rules else None
    return lambda name, table: table.filter(pa.array(keep_basic(table, rules, language)))


def select_samples(
    samples: Path, rules: Mapping, folder: Path, scores: Path | None = None, duplicates: Path | None = None
) -> dict:
    """Write the kept rows of the table in the folder `samples` into `folder`; returns the manifest.

    `rules` is the filter's section of the experiment (with the experiment's seed for the method random), `scores` the
    folder of its scores, `duplicates` that of its near-duplicates. Raises `SelectionError` if no row is kept.
    """
    parent, parts = read_json(samples / "manifest.json"), parts_of(samples)
    rules = {key: value for key, value in rules.items() if key not in ("from", "sizes", "teacher")}
    if scores:
        select, dependencies, facts = score_selector(scores, rules)
    elif duplicates:
        select, dependencies, facts = duplicate_selector(duplicates)
    else:
        select, dependencies, facts = row_selector(rules, parent["pool"]), lambda name: None, {}
    requests = {name: [file["sha256"], rules, dependencies(name)] for name, file in parts.items()}
    description = f"{folder.name}, selecting samples"
    files = make_parts(folder, requests, lambda name: select(name, read_part(samples, parts[name])), description)
    number = sum(file["rows"] for file in files)
    if not number:
        raise SelectionError(
            f"filter {folder.name}: keeps none of the {parent['samples']} samples of {parent['pool']}. Correct filters."
            f"{folder.name} ({', '.join(f'{key}: {value}' for key, value in rules.items() if key != 'method')})"
        )
    if scores:
        kept = [histogram_of(table["clip_score"].to_numpy()) for table in (read_part(folder, file) for file in files)]
        facts = facts | {"histogram": sum(kept).tolist()}
    logging.info("%s: %d of %d samples kept", folder.name, number, parent["samples"])
    return {
        "pool": folder.name,
        "from": parent["pool"],
        **rules,
        **facts,
        "samples": number,
        "of": parent["samples"],
        "files": files,
    }


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    found = {name: snakemake.input.get(name) for name in ("scores", "duplicates")}
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = select_samples(
            Path(snakemake.input.samples).parent,
            dict(snakemake.params.filter),
            folder,
            **{name: Path(manifest[0]).parent for name, manifest in found.items() if manifest},
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
