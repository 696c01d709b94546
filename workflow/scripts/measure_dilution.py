"""Measure the effect of mixing: each mixture's trend and those of its members, at one reference accuracy.

The paper finds that mixing sources dilutes robustness: a mixture's trend lies between those of its members, below the best.
Output mixing, the average of the members' logits, predicts where it lies. The table has the shifted accuracies of the
mixture, of its best and worst member, of the members' lines combined by their shares, and of the ensemble.

In:  results/tables/evaluations.csv
Out: results/tables/dilution.csv, a row per mixture, architecture, shift and classes
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.experiment.pools import ensemble_of, in_order, mixtures_of
from testbed.records.log import log_to
from testbed.statistics.comparison import Lines, fit_lines
from testbed.statistics.lines import bootstrap_lines, percentile_interval
from testbed.statistics.scales import inverse, transform
from testbed.statistics.tables import pair_with_reference, read_evaluations
from testbed.statistics.trends import Settings, scaled_points

if TYPE_CHECKING:
    from snakemake.script import snakemake

DILUTION_COLUMNS = [
    *["mixture", "architecture", "testset", "classes", "scale", "reference_value"],
    *["value", "value_low", "value_high", "best", "best_value", "worst", "worst_value"],
    *["below_best", "below_best_low", "below_best_high", "above_worst", "above_worst_low", "above_worst_high"],
    *["combination", "above_combination", "above_combination_low", "above_combination_high"],
    *["ensemble", "ensemble_value", "above_ensemble", "above_ensemble_low", "above_ensemble_high"],
]


def measure_dilution(
    evaluations: pd.DataFrame, pools: Sequence[Mapping], reference: str, settings: Settings
) -> pd.DataFrame:
    """One row of `DILUTION_COLUMNS` per mixture, architecture, shift and classes.

    `pools` are the experiment's, each with `name`, `kind` and the `members` of mixtures and ensembles with their shares.
    `reference_value` is `settings.compare_at`; if that is 0, it is the midpoint, on the scale, of the range of reference
    accuracies that the mixture and all members share. Without a common range, the rest of the row is empty. Accuracies are
    fractions. Differences are percentage points with intervals of the pairs bootstrap, which resamples each pool
    independently. The best member is the best in the sample, so its lead is biased upwards. `combination` is the sum of the
    members' lines on the scale, weighted by the shares.
    """
    pairs = pair_with_reference(evaluations, reference)
    rows = []
    for (architecture, testset, classes), points in pairs.groupby(["architecture", "testset", "classes"], sort=False):
        lines = fit_lines(points, settings.scale)
        key = {"architecture": architecture, "testset": testset, "classes": classes, "scale": settings.scale}
        for mixture in mixtures_of(pools, points["pool"]):
            ensemble = ensemble_of(mixture, pools)
            rows.append(key | {"mixture": mixture["name"]} | _measure(mixture, ensemble, points, lines, settings))
    return pd.DataFrame(rows, columns=DILUTION_COLUMNS)


def _measure(
    mixture: Mapping, ensemble: str | None, points: pd.DataFrame, lines: Lines, settings: Settings
) -> dict[str, object]:
    name, members = mixture["name"], mixture["members"]
    at = lines.common_reference([name, *members], settings.compare_at)
    row: dict[str, object] = {"reference_value": at, "ensemble": ensemble if ensemble in lines.pools else None}
    if np.isnan(at):
        return row
    heights = {pool: lines.height(pool, at) for pool in [name, *members]}
    drawn = {
        pool: _bootstrap_heights(points[points["pool"] == pool], at, index, settings)
        for index, pool in enumerate([name, *members, *([row["ensemble"]] if row["ensemble"] else [])])
    }
    best, worst = max(members, key=heights.get), min(members, key=heights.get)
    low, high = percentile_interval(drawn[name], settings.line_confidence)
    row |= {"value": heights[name], "value_low": float(low), "value_high": float(high)}
    row |= {"best": best, "best_value": heights[best], "worst": worst, "worst_value": heights[worst]}
    row |= _with_interval("below_best", heights[best] - heights[name], drawn[best], drawn[name], settings)
    row |= _with_interval("above_worst", heights[name] - heights[worst], drawn[name], drawn[worst], settings)
    combined = _combine({pool: heights[pool] for pool in members}, members, settings.scale)
    drawn_combined = _combine({pool: drawn[pool] for pool in members}, members, settings.scale)
    row |= {"combination": float(combined)}
    row |= _with_interval("above_combination", heights[name] - combined, drawn[name], drawn_combined, settings)
    if row["ensemble"]:
        height = lines.height(row["ensemble"], at)
        row |= {"ensemble_value": height}
        row |= _with_interval("above_ensemble", heights[name] - height, drawn[name], drawn[row["ensemble"]], settings)
    return row


def _bootstrap_heights(own: pd.DataFrame, at: float, index: int, settings: Settings) -> NDArray[np.float64]:
    """Values (kept,) at `at` of the lines of one pool's resampled models; each pool has its own random numbers."""
    x, y = scaled_points(own, settings.scale)
    lines = bootstrap_lines(x, y, settings.bootstrap, settings.bootstrap_seed + index)
    return inverse(lines[:, 0] * float(transform(at, settings.scale)) + lines[:, 1], settings.scale)


def _combine(heights: Mapping[str, NDArray | float], shares: Mapping[str, float], scale: str) -> NDArray[np.float64]:
    kept = min(np.size(heights[pool]) for pool in shares)
    total = sum(shares.values())
    parts = [share / total * transform(np.atleast_1d(heights[pool])[:kept], scale) for pool, share in shares.items()]
    combined = inverse(np.sum(parts, axis=0), scale)
    return combined if np.ndim(next(iter(heights.values()))) else combined[0]


def _with_interval(
    name: str, value: float, one: NDArray[np.float64], other: NDArray[np.float64], settings: Settings
) -> dict[str, float]:
    kept = min(len(one), len(other))
    low, high = percentile_interval(100 * (one[:kept] - other[:kept]), settings.line_confidence)
    return {name: 100 * float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    dilution = measure_dilution(
        read_evaluations(snakemake.input.evaluations),
        in_order(snakemake.params.pools, snakemake.config),
        snakemake.params.reference,
        Settings(**snakemake.params.statistics),
    )
    dilution.to_csv(snakemake.output.dilution, index=False)
