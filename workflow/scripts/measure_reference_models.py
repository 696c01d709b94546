"""Compute the effective robustness of OpenCLIP's public models from their published accuracies, for the figures' background.

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
from testbed.statistics.settings import Settings

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
"""For each test set, its column in OpenCLIP's table and its name in resources/testsets.csv."""

CHANCE = 0.01
"""Models below ten times the chance level of ImageNet are left out: they say nothing about a trend."""


class ReferenceError(ValueError):
    """The table of published models is not OpenCLIP's."""


def read_published(results: Path | str, testsets: Path | str) -> pd.DataFrame:
    """OpenCLIP's models as pairs (see `pair_with_reference`), without repeats of model and test set.

    `correct` is accuracy * n, not rounded, as in modestyachts/imagenet-testbed. Rows with the accuracies of another row,
    models at chance level, and models that were evaluated with GELU although they were trained with QuickGELU (another row
    has them with ``-quickgelu``) are left out and logged.
    """
    table = pd.read_csv(results)
    columns = ["name", "pretrained", REFERENCE[0], *(column for column, _ in SHIFTS.values())]
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ReferenceError(f"{results}: lacks the column {', '.join(missing)}; delete it to retrieve it again")
    images = pd.read_csv(shipped(testsets)).set_index("retrieve")["images"]
    table = table[columns].dropna()
    repeated, chance = table.duplicated(columns[2:]), table[REFERENCE[0]] < CHANCE
    names = set(zip(table["name"][~repeated], table["pretrained"][~repeated], strict=True))
    rows = zip(table["name"], table["pretrained"], strict=True)
    twin = pd.Series([(f"{name}-quickgelu", tag) in names for name, tag in rows], table.index)
    reasons = {
        "repeats another model's accuracies": repeated,
        "is at chance": chance & ~repeated,
        "was trained with QuickGELU and evaluated without": twin & ~repeated & ~chance,
    }
    for reason, left_out in reasons.items():
        for _, row in table[left_out].iterrows():
            log.info("%s, %s: %s, left out", row["name"], row["pretrained"], reason)
    table = table[~repeated & ~chance & ~twin]
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
    """One row of `ROBUSTNESS_COLUMNS` per public model and shift; without values if the baseline is a pool's trend."""
    if settings.baseline not in STANDARD_BASELINES:
        named = published.assign(scale=settings.scale, baseline="none")
        return named.reindex(columns=ROBUSTNESS_COLUMNS)
    # one group, and so one warning, per test set: the line is the same for all architectures
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
