"""Select the samples of a pool: by CLIP score, SQL, simple rules, a list of uids, at random, or without near-duplicates.

In:  the table of the pool's samples; where the filter has them, the scores of its pairs, its near-duplicates, the columns of
     the user's table, the file of uids, and the table of the filter that keeps as many
Out: a manifest; beside it the kept rows, with their scores, in parts like those of the pool, each with its record
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import compute

from testbed.filtering.balancing import draw
from testbed.filtering.recaptioning import Recaptioning
from testbed.filtering.selection import histogram_of, keep_basic, load_classifier
from testbed.filtering.subsets import Subset, uid_column_of
from testbed.records.files import sha256
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import make_parts, parts_of, read_part, read_parts
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.shards.samples import MATCHED, with_columns

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


@dataclass(frozen=True)
class Given:
    """What a filter selects by, beside samples and scores.

    Folders of a user's columns and of near-duplicates, a file of uids, and a number of samples.
    """

    columns: Path | None = None
    subset: Path | None = None
    as_many: int | None = None
    duplicates: Path | None = None


NOTHING = Given()
Selector = tuple[Callable[[str, pa.Table], pa.Table], Callable[[str], object], dict]


def nothing(name: str) -> None:
    """What a selection by a part's own rows depends on, beside the part and the rules."""


def duplicate_selector(duplicates: Path) -> Selector:
    """As `score_selector`, a function that drops near-duplicates; the facts are their numbers."""
    manifest, parts = read_json(duplicates / "manifest.json"), parts_of(duplicates)

    def keep(name: str, table: pa.Table) -> pa.Table:
        dropped = read_part(duplicates, parts[name], ["uid"])["uid"].combine_chunks()
        return table.filter(compute.invert(compute.is_in(table["uid"], value_set=dropped)))

    facts = {key: manifest[key] for key in ("similarity", "near_duplicates", "testsets") if key in manifest}
    return keep, lambda name: [parts[name]["sha256"]], facts


def random_limit(samples: Path, key: str, rules: Mapping, as_many: int | None) -> float:
    """The number below which a sample's draw must be: the fraction, or what exactly `as_many` samples are below."""
    if as_many is None:
        return rules["fraction"]
    drawn = np.concatenate([draw(table["uid"].to_pylist(), key) for table in read_parts(samples, ["uid"])])
    if as_many > len(drawn):
        raise SelectionError(
            f"as_many_as: {rules['as_many_as']} keeps {as_many} samples, but the pool has {len(drawn)}."
        )
    return float(np.nextafter(np.partition(drawn, as_many - 1)[as_many - 1], 2))


def row_selector(rules: Mapping, samples: Path, given: Given) -> Selector:
    """A function that selects rows of a part by their own columns, one that returns what this depends on, and facts."""
    method = rules["method"]
    if method == "all":
        return lambda name, table: table, nothing, {}
    if method == "random":
        # As in balance_samples: a larger fraction of a pool has all samples of a smaller one.
        key = f"random {rules['seed']} {read_json(samples / 'manifest.json')['pool']}"
        limit = random_limit(samples, key, rules, given.as_many)
        return (
            lambda name, table: table.filter(pa.array(draw(table["uid"].to_pylist(), key) < limit)),
            # The limit may depend on all parts, and the draw on the name of the pool.
            lambda name: [key, limit],
            {},
        )
    if method in ("sql", "remove"):
        # The environments of other methods have no DuckDB.
        from testbed.filtering.conditions import keep_rows

        kept = method == "sql"
        return lambda name, table: table.filter(pa.array(keep_rows(table, rules["where"]) == kept)), nothing, {}
    if method == "subset":
        subset, digest = Subset(given.subset), sha256(given.subset)
        column = uid_column_of(samples)
        logging.info("%s names %d samples, by %s", given.subset, len(subset), column)
        return (
            lambda name, table: table.filter(pa.array(subset.contains(table[column].to_pylist()))),
            lambda name: digest,
            {"named": len(subset), "named_by": column},
        )
    language = load_classifier() if "language" in rules else None
    return lambda name, table: table.filter(pa.array(keep_basic(table, rules, language))), nothing, {}


def select_samples(
    samples: Path, rules: Mapping, folder: Path, scores: Path | None = None, given: Given = NOTHING
) -> dict:
    """Write the kept rows of the table in the folder `samples` into `folder`; returns the manifest.

    `rules` is the filter's section of the experiment (with the experiment's seed, where something is drawn), `scores` the
    folder of its scores. Raises `SelectionError` if no row is kept.
    """
    parent, parts = read_json(samples / "manifest.json"), parts_of(samples)
    rules = {key: value for key, value in rules.items() if key not in ("from", "sizes", "teacher")}
    if scores:
        select, depends_on, facts = score_selector(scores, rules)
    elif given.duplicates:
        select, depends_on, facts = duplicate_selector(given.duplicates)
    else:
        select, depends_on, facts = row_selector(rules, samples, given)
    requests = {name: [file["sha256"], rules, depends_on(name)] for name, file in parts.items()}
    joined = parts_of(given.columns) if given.columns else {}
    for name, file in joined.items():
        requests[name].append(file["sha256"])
    recaptioning = None
    if "caption" in rules:
        key = f"caption {rules.get('seed')} {parent['pool']}"
        recaptioning = Recaptioning(rules["caption"], rules.get("share", 1.0), key)
        for request in requests.values():
            request.append(key)

    def make(name: str) -> pa.Table:
        table = read_part(samples, parts[name])
        if joined:
            for column in (found := read_part(given.columns, joined[name]).drop_columns([MATCHED])).column_names:
                table = table.append_column(column, found[column])
        table = select(name, table)
        return recaptioning.apply(table) if recaptioning else table

    files = make_parts(folder, requests, make, f"{folder.name}, selecting samples")
    number = sum(file["rows"] for file in files)
    if not number:
        raise SelectionError(
            f"filter {folder.name}: keeps none of the {parent['samples']} samples of {parent['pool']}. Correct filters."
            f"{folder.name} ({', '.join(f'{key}: {value}' for key, value in rules.items() if key != 'method')})"
        )
    if scores:
        kept = [histogram_of(table["clip_score"].to_numpy()) for table in (read_part(folder, file) for file in files)]
        facts = facts | {"histogram": sum(kept).tolist()}
    if given.columns:
        facts = facts | {key: read_json(given.columns / "manifest.json")[key] for key in ("joined", "unmatched")}
    if recaptioning:
        rows = (read_part(folder, file, ["uid", recaptioning.column]) for file in files)
        facts = facts | {"captions": (counts := recaptioning.count(rows))}
        logging.info(
            "%s: %d captions of column %s, %d samples without one, %d not drawn",
            folder.name,
            counts["new"],
            recaptioning.column,
            counts["without"],
            counts["not_drawn"],
        )
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
    scores, columns, subset, other, duplicates = (
        next(iter(snakemake.input.get(name) or []), None)
        for name in ("scores", "columns", "subset", "other", "duplicates")
    )
    given = Given(
        Path(columns).parent if columns else None,
        Path(subset) if subset else None,
        read_json(other)["samples"] if other else None,
        Path(duplicates).parent if duplicates else None,
    )
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = select_samples(
            Path(snakemake.input.samples).parent,
            dict(snakemake.params.filter),
            folder,
            Path(scores).parent if scores else None,
            given,
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
