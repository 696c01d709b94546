"""Evaluations of pools with known lines, for tests of claims, of dilution and of their figures."""

import numpy as np
from scipy.special import expit

from example_evaluations import REFERENCE, table
from testbed.statistics.lines import clopper_pearson

SHIFTS = ["one", "two"]
SIZES = [600, 1200, 2400, 4800]
N = 1_000_000
PAIR = {"a": 0.5, "b": 0.5}
A, B = {"name": "a", "kind": "source"}, {"name": "b", "kind": "source"}
MIX = {"name": "mix", "kind": "mixture", "members": PAIR}
ENSEMBLE = {"name": "ens", "kind": "ensemble", "members": {"a": 2, "b": 2}}
FILTER = {"name": "kept", "kind": "filter", "of": "a"}
CONTROL = {"name": "drawn", "kind": "filter", "of": "a", "control_of": "kept"}


def run(heights: dict[str, tuple[float, float]], gain: dict[str, float] | None = None, noise: float = 0.01, seed=0):
    """Evaluations of pools whose lines have slope 1 and these intercepts on the two shifts; `gain` moves x of a pool."""
    rng = np.random.default_rng(seed)
    rows = []
    for pool, intercepts in heights.items():
        for place, size in enumerate(SIZES):
            x = -1.5 + 0.6 * place + (gain or {}).get(pool, 0.0) + rng.normal(0, 0.01)
            for testset, y in [
                (REFERENCE, x),
                *((name, x + b + rng.normal(0, noise)) for name, b in zip(SHIFTS, intercepts, strict=True)),
            ]:
                correct = round(N * expit(y))
                low, high = clopper_pearson(correct, N)
                model = [f"{pool}-rn-{size}-0", "rn", pool, size, 0, testset, "all", "top1"]
                rows.append([*model, N, correct, correct / N, float(low), float(high)])
    return table(rows)
