"""Measure the accuracy of each class over how often captions of the trainset name it, and fit the log-linear relation.

The captions of a trainset are the first ones of its pool in a random order. So the number that name a class is that of
the pool times the share of the pool's samples that the trainset has.

In:  the descriptions of pools, the predictions of the models of their largest trainsets, and the class names of test sets
Out: results/tables/concepts.csv, a row for each pool, architecture and test set; results/tables/concept_classes.csv, a row
     for each class of these
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.evaluation.tasks import read_lines
from testbed.records.log import log_to
from testbed.records.manifest import read_json
from testbed.statistics.concepts import LogLinear, class_accuracies, fit_log_linear, labels_in_reference

if TYPE_CHECKING:
    from snakemake.script import snakemake

KEY = ["pool", "architecture", "size", "testset"]
CLASS_COLUMNS = [*KEY, "class", "label", "named", "n", "correct", "accuracy"]


def measure_classes(
    models: Mapping[str, Sequence[str]],
    descriptions: Mapping[str, Mapping],
    names: Mapping[str, Sequence[str]],
    reference: str,
) -> pd.DataFrame:
    """The table of classes (`CLASS_COLUMNS`).

    `models` has, by "pool-architecture-size", the predictions of the models of all seeds; `names` the class names of each
    test set. Classes of a shift that the `reference` does not have are left out.
    """
    labels = {testset: labels_in_reference(own, names[reference]) for testset, own in names.items()}
    parts = []
    for key, files in models.items():
        pool, architecture, size = key.split("/")
        counts = class_accuracies(pd.concat([pd.read_parquet(file) for file in files]))
        counts = counts[counts["testset"].isin(list(names))]
        described = descriptions[pool]["groups"][0]
        place = [labels[testset][label] for testset, label in zip(counts["testset"], counts["label"], strict=True)]
        counts = counts.assign(label=pd.array(place, "Int64")).dropna(subset="label")
        share = int(size) / max(1, described["samples"])
        label = counts["label"].to_numpy(np.int64)
        counts = counts.assign(
            pool=pool,
            architecture=architecture,
            size=int(size),
            named=np.round(np.array(described["named"])[label] * share, 3),
            accuracy=counts["correct"] / counts["n"],
        )
        counts["class"] = [names[reference][one] for one in label]
        parts.append(counts[CLASS_COLUMNS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CLASS_COLUMNS)


def fit_concepts(classes: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """The table of fits: for each pool, architecture, size and test set the fields of `LogLinear`."""
    rows = [
        dict(zip(KEY, key, strict=True)) | fit_log_linear(own["named"], own["accuracy"], confidence)._asdict()
        for key, own in classes.groupby(KEY, sort=False)
    ]
    return pd.DataFrame(rows, columns=[*KEY, *LogLinear._fields])


if __name__ == "__main__":
    log_to(snakemake.log[0])
    params = snakemake.params
    descriptions = {one["pool"]: one for one in map(read_json, snakemake.input.descriptions)}
    names = {testset: read_lines(Path(folder) / "classnames.txt") for testset, folder in params.testsets.items()}
    classes = measure_classes(params.models, descriptions, names, params.reference)
    classes.to_csv(snakemake.output.classes, index=False)
    fit_concepts(classes, params.confidence).to_csv(snakemake.output.concepts, index=False)
