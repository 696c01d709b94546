"""A small table of evaluations whose trends are known, for the tests of the tables and the figures."""

import numpy as np
import pandas as pd
from scipy.special import expit

from testbed.statistics.lines import clopper_pearson
from testbed.statistics.tables import EVALUATION_COLUMNS

REFERENCE = "mini_imagenet"
# slope and intercept, on the logit scale, of every pool's trend
LINES = {
    "mini_sketch": {"photos": (0.9, -1.2), "drawings": (0.9, 0.1), "both": (0.9, -0.4), "labels": (1.1, -1.6)},
    "mini_v2": {"photos": (0.95, -0.4), "drawings": (0.95, -0.5), "both": (0.95, -0.45), "labels": (0.95, -0.5)},
}
POOLS = [
    {"name": "photos", "kind": "source"},
    {"name": "drawings", "kind": "source"},
    {"name": "both", "kind": "mixture"},
    {"name": "labels", "kind": "baseline"},
]
SIZES = [600, 1200, 2400, 4800, 9600]


def row(pool: str, size: int, testset: str, correct: int, n: int, metric: str = "top1") -> list:
    low, high = clopper_pearson(correct, n)
    model = f"{pool}-mini_rn-{size}-0"
    return [model, "mini_rn", pool, size, 0, testset, "all", metric, n, correct, correct / n, float(low), float(high)]


def table(rows: list[list]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=EVALUATION_COLUMNS)


def example(sizes: list[int] = SIZES, n: int = 10_000_000) -> pd.DataFrame:
    """Evaluations on so many images that rounding the counts hardly moves a point from its line."""
    rows = []
    for place, pool in enumerate(pool["name"] for pool in POOLS):
        for size in sizes:
            x = -1 + 0.7 * np.log2(size / 600) + 0.05 * place
            rows.append(row(pool, size, REFERENCE, round(n * expit(x)), n))
            for testset, lines in LINES.items():
                slope, intercept = lines[pool]
                rows.append(row(pool, size, testset, round(n * expit(slope * x + intercept)), n))
    return table(rows)
