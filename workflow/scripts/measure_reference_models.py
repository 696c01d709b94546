"""Measure OpenCLIP's published models by their published accuracies: what is drawn behind an experiment's own models.

In:  results/retrieved/openclip.csv, resources/baselines.csv, and resources/testsets.csv for the numbers of images
Out: results/tables/reference_models.csv, with the columns of effective_robustness.csv
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from testbed.records.log import log_to
from testbed.records.shipped import shipped
from testbed.statistics.baselines import STANDARD_BASELINES, read_baselines
from testbed.statistics.robustness import ROBUSTNESS_COLUMNS, measure_robustness, standard_baseline
from testbed.statistics.trends import Settings

if TYPE_CHECKING:
    from snakemake.script import snakemake

log = logging.getLogger(__name__)

REFERENCE = ("ImageNet 1k", "imagenet1k")
SHIFTS = {
    "imagenet-v2": ("ImageNet v2", "imagenetv2"),
    "imagenet-r": ("ImageNet-R", "imagenet-r"),
    "imagenet-sketch": ("ImageNet Sketch", "imagenet_sketch"),
    "imagenet-a": ("ImageNet-A", "imagenet-a"),
    "objectnet": ("ObjectNet", "objectnet"),
}
"""Of each test set the column in OpenCLIP's table, and its name in resources/testsets.csv."""

CHANCE = 0.01
"""Models below ten times the chance level of ImageNet have learnt nothing that a trend could speak of."""


class ReferenceError(ValueError):
    """The table of published models is not OpenCLIP's."""


def read_published(results: Path | str, testsets: Path | str) -> pd.DataFrame:
    """OpenCLIP's models as pairs (see `testbed.tables.pair_with_reference`), each model and test set once.

    `correct` is accuracy * n, not rounded, as in modestyachts/imagenet-testbed. Rows that repeat another's accuracies
    under another name, and models at chance, are left out and logged.
    """
    table = pd.read_csv(results)
    columns = ["name", "pretrained", REFERENCE[0], *(column for column, _ in SHIFTS.values())]
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ReferenceError(f"{results}: lacks the column {', '.join(missing)}; delete it to retrieve it again")
    images = pd.read_csv(shipped(testsets)).set_index("retrieve")["images"]
    table = table[columns].dropna()
    again, chance = table.duplicated(columns[2:]), table[REFERENCE[0]] < CHANCE
    for reason, left_out in (("repeats another model's accuracies", again), ("is at chance", chance & ~again)):
        for _, row in table[left_out].iterrows():
            log.info("%s, %s: %s, left out", row["name"], row["pretrained"], reason)
    table = table[~again & ~chance]
    n = int(images[REFERENCE[1]])
    parts = [
        pd.DataFrame(
            {
                "model": table["name"] + " " + table["pretrained"],
                "architecture": table["name"],
                "pool": table["pretrained"],
                "size": 0,
                "seed": 0,
                "testset": testset,
                "classes": "all",
                "n": int(images[name]),
                "correct": table[column] * int(images[name]),
                "value": table[column],
                "reference_n": n,
                "reference_correct": table[REFERENCE[0]] * n,
                "reference_value": table[REFERENCE[0]],
            }
        )
        for testset, (column, name) in SHIFTS.items()
    ]
    return pd.concat(parts, ignore_index=True)


def measure_reference_models(published: pd.DataFrame, baselines: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """One row of `ROBUSTNESS_COLUMNS` per published model and shift; a baseline of a pool is none for these models."""
    if settings.baseline not in STANDARD_BASELINES:
        named = published.assign(scale=settings.scale, baseline="none")
        return named.reindex(columns=ROBUSTNESS_COLUMNS)
    # one group, and one warning, for each test set: the line is that of all architectures
    together = published.assign(architecture="all architectures")
    measured = measure_robustness(together, standard_baseline(baselines, settings), settings)
    return measured.assign(architecture=published["architecture"])


if __name__ == "__main__":
    log_to(snakemake.log[0])
    models = measure_reference_models(
        read_published(snakemake.input.results, snakemake.params.testsets),
        read_baselines(snakemake.input.baselines),
        Settings(**snakemake.params.statistics),
    )
    models.to_csv(snakemake.output.models, index=False)
