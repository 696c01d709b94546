"""Measure the effect of mixing: each mixture's trend and those of its members, at one reference accuracy.

The paper finds that mixing sources dilutes robustness: a mixture's trend lies between those of its members, below the best.
Output mixing, the average of the members' logits, predicts where it lies. The table has the shifted accuracies of the
mixture, of its best and worst member, of the members' lines combined by their shares, and of the ensemble.

In:  results/tables/evaluations.csv and joint_correct.parquet
Out: results/tables/dilution.csv, a row per mixture, architecture, shift and classes
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.evaluation.averages import AVERAGES
from testbed.experiment.pools import ensemble_of, ensembles_of, in_order, mixtures_of
from testbed.records.log import log_to
from testbed.statistics.comparisons import critical_value, student
from testbed.statistics.fits import Fit
from testbed.statistics.intervals import INDEPENDENT, bootstrap_trend
from testbed.statistics.joint_correct import JointCorrect, read_joint_correct
from testbed.statistics.lines import fit_line, percentile_interval
from testbed.statistics.mixing import fieller
from testbed.statistics.scales import inverse, transform
from testbed.statistics.settings import Settings
from testbed.statistics.tables import pair_with_reference, read_ensemble_averages, read_evaluations, scaled_points

if TYPE_CHECKING:
    from snakemake.script import snakemake

KEY = ("architecture", "testset", "classes")
NO_AVERAGES: Mapping[str, pd.DataFrame] = MappingProxyType({})
DIFFERENCES = ("below_best", "above_worst", "above_combination", "above_ensemble")
DILUTION_COLUMNS = [
    *["mixture", "architecture", "testset", "classes", "scale", "reference_value"],
    *["value", "value_low", "value_high", "best", "best_value", "worst", "worst_value"],
    *["below_best", "below_best_low", "below_best_high", "above_worst", "above_worst_low", "above_worst_high"],
    *["combination", "above_combination", "above_combination_low", "above_combination_high"],
    *["ensemble", "ensemble_value", "above_ensemble", "above_ensemble_low", "above_ensemble_high"],
    *["fraction", "fraction_low", "fraction_high"],
    *[f"above_ensemble_by_{average}" for average in AVERAGES],
]


class Roles(NamedTuple):
    """A mixture, the shares of its members, which of these is best and worst, and the ensemble with the same members."""

    mixture: str
    members: Mapping[str, float]
    best: str
    worst: str
    ensemble: str | None


def measure_dilution(
    evaluations: pd.DataFrame,
    pools: Sequence[Mapping],
    reference: str,
    settings: Settings,
    joint: JointCorrect = INDEPENDENT,
    by_average: Mapping[str, pd.DataFrame] = NO_AVERAGES,
) -> pd.DataFrame:
    """One row of `DILUTION_COLUMNS` per mixture, architecture, shift and classes.

    `pools` are the experiment's, each with `name`, `kind` and the `members` of mixtures and ensembles with their shares;
    `joint` is how often models are right about the same image. `reference_value` is `settings.compare_at`; if that is 0, it
    is the midpoint, on the scale, of the range of reference accuracies that the mixture and all members share. Without a
    common range, the rest of the row is empty. Accuracies are fractions. Differences are percentage points. The best member
    is the best in the sample, so its lead is biased upwards. `combination` is the sum of the members' lines on the scale,
    weighted by the shares. `fraction` is (mixture - worst) / (best - worst) on the scale, with Fieller's interval; it is
    empty with intervals of the bootstrap, which resamples each pool independently. `by_average` has the evaluations of
    ensembles by each average of their members' outputs; `above_ensemble_by_<average>` says what each would give.
    """
    pairs = pair_with_reference(evaluations, reference, settings.minimum_reference)
    ensembles = ensembles_of(pools)
    fits = {
        key: Fit(points, settings.scale, joint, reference, ensembles)
        for key, points in pairs.groupby(["architecture", "classes"], sort=False)
    }
    # An ensemble is left out by the accuracy of its own average, and then by all others.
    kept = {average: own[own["model"].isin(pairs["model"])] for average, own in by_average.items()}
    conventions = {average: pair_with_reference(own, reference) for average, own in kept.items() if not own.empty}
    rows = []
    for (architecture, testset, classes), points in pairs.groupby(["architecture", "testset", "classes"], sort=False):
        key = {"architecture": architecture, "testset": testset, "classes": classes, "scale": settings.scale}
        for mixture in mixtures_of(pools, points["pool"]):
            ensemble = ensemble_of(mixture, pools)
            measured = _measure(mixture, ensemble, points, fits[architecture, classes], testset, settings)
            others = _above_each(measured, key, conventions)
            rows.append(key | {"mixture": mixture["name"]} | measured | others)
    return pd.DataFrame(rows, columns=DILUTION_COLUMNS)


def _measure(
    mixture: Mapping, ensemble: str | None, points: pd.DataFrame, fit: Fit, testset: str, settings: Settings
) -> dict[str, object]:
    name, members = mixture["name"], mixture["members"]
    ensemble = ensemble if ensemble is not None and fit.has_line(testset, ensemble) else None
    x = fit.common_reference(testset, [name, *members], settings.compare_at)
    row: dict[str, object] = {"reference_value": float(inverse(x, settings.scale)), "ensemble": ensemble}
    if np.isnan(x):
        return row
    shown = [name, *members, *([ensemble] if ensemble else [])]
    heights = {pool: float(inverse(fit.height(testset, pool, x).value, settings.scale)) for pool in shown}
    best, worst = max(members, key=heights.get), min(members, key=heights.get)
    combined = _combine(heights, members, settings.scale)
    row |= {"value": heights[name], "best": best, "best_value": heights[best]}
    row |= {"worst": worst, "worst_value": heights[worst], "combination": float(combined)}
    row |= {"below_best": heights[best] - heights[name], "above_worst": heights[name] - heights[worst]}
    row |= {"above_combination": heights[name] - combined}
    if ensemble:
        row |= {"ensemble_value": heights[ensemble], "above_ensemble": heights[name] - heights[ensemble]}
    row |= {difference: 100 * row[difference] for difference in DIFFERENCES if difference in row}
    roles = Roles(name, members, best, worst, ensemble)
    if settings.intervals == "bootstrap":
        return row | _bootstrap_limits(points, x, roles, settings)
    return row | _limits(fit, testset, x, roles, settings)


def _above_each(measured: Mapping, key: Mapping, conventions: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Percentage points between the mixture and its ensemble's line by each average, at the row's reference accuracy."""
    found = {}
    for average, pairs in conventions.items() if "ensemble_value" in measured else ():
        same = (pairs[[*KEY]] == [key[name] for name in KEY]).all(axis=1)
        line = fit_line(*scaled_points(pairs[same & (pairs["pool"] == measured["ensemble"])], key["scale"]))
        height = inverse(line.at(transform(measured["reference_value"], key["scale"])), key["scale"])
        found[f"above_ensemble_by_{average}"] = 100 * float(measured["value"] - height)
    return found


def _limits(fit: Fit, testset: str, x: float, roles: Roles, settings: Settings) -> dict[str, float]:
    """Limits from the parts of the uncertainty, and the dilution fraction."""
    name, members, best, worst, ensemble = roles
    scaled = {pool: fit.height(testset, pool, x) for pool in (name, *members)}
    total = sum(members.values())
    first, *rest = (share / total * scaled[pool] for pool, share in members.items())
    mixed = fit.percent(sum(rest, first))
    accuracy = {pool: fit.accuracy(testset, pool, x) for pool in (name, best, worst, *([ensemble] if ensemble else []))}
    found = {
        "value": 0.01 * accuracy[name],
        "below_best": accuracy[best] - accuracy[name],
        "above_worst": accuracy[name] - accuracy[worst],
        "above_combination": accuracy[name] - mixed,
    }
    if ensemble:
        found["above_ensemble"] = accuracy[name] - accuracy[ensemble]
    values = np.array([one.value for one in found.values()])
    low, high = fit.uncertainty([*found.values()]).interval(values, settings.line_confidence)
    limits = _named(found, low, high)
    top, bottom = scaled[name] - scaled[worst], scaled[best] - scaled[worst]
    fraction = top.value / bottom.value if bottom.value else np.nan
    uncertainty = fit.uncertainty([top, bottom, top - fraction * bottom])
    reach = student(critical_value(settings.line_confidence), uncertainty.freedom[2])
    ends = fieller(top.value, bottom.value, uncertainty.covariance[:2, :2], reach)
    return limits | {"fraction": fraction, "fraction_low": ends[0], "fraction_high": ends[1]}


def _bootstrap_limits(points: pd.DataFrame, x: float, roles: Roles, settings: Settings) -> dict[str, float]:
    """Percentile limits of the pairs bootstrap; each pool has its own random numbers."""
    name, members, best, worst, ensemble = roles
    drawn = {
        pool: _bootstrap_heights(points[points["pool"] == pool], x, index, settings)
        for index, pool in enumerate([name, *members, *([ensemble] if ensemble else [])])
    }
    found = {
        "value": drawn[name],
        "below_best": _difference(drawn[best], drawn[name]),
        "above_worst": _difference(drawn[name], drawn[worst]),
        "above_combination": _difference(drawn[name], _combine(drawn, members, settings.scale)),
    }
    if ensemble:
        found["above_ensemble"] = _difference(drawn[name], drawn[ensemble])
    limits = [percentile_interval(values, settings.line_confidence) for values in found.values()]
    return _named(found, *zip(*limits, strict=True))


def _named(found: Collection[str], low: Sequence[float], high: Sequence[float]) -> dict[str, float]:
    return {
        f"{name}_{end}": float(limit)
        for name, *ends in zip(found, low, high, strict=True)
        for end, limit in zip(("low", "high"), ends, strict=True)
    }


def _difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = min(len(one), len(other))
    return 100 * (one[:kept] - other[:kept])


def _bootstrap_heights(own: pd.DataFrame, x: float, index: int, settings: Settings) -> NDArray[np.float64]:
    """Accuracies (kept,) at scaled `x` of the lines of one pool's resampled models; each pool has its own random numbers."""
    lines = bootstrap_trend(own, replace(settings, bootstrap_seed=settings.bootstrap_seed + index))
    return inverse(lines[:, 0] * x + lines[:, 1], settings.scale)


def _combine(heights: Mapping[str, NDArray | float], shares: Mapping[str, float], scale: str) -> NDArray[np.float64]:
    kept = min(np.size(heights[pool]) for pool in shares)
    total = sum(shares.values())
    parts = [share / total * transform(np.atleast_1d(heights[pool])[:kept], scale) for pool, share in shares.items()]
    combined = inverse(np.sum(parts, axis=0), scale)
    return combined if np.ndim(next(iter(heights.values()))) else combined[0]


if __name__ == "__main__":
    log_to(snakemake.log[0])
    dilution = measure_dilution(
        read_evaluations(snakemake.input.evaluations),
        in_order(snakemake.params.pools, snakemake.config),
        snakemake.params.reference,
        Settings(**snakemake.params.statistics),
        read_joint_correct(snakemake.input.joint_correct),
        read_ensemble_averages(snakemake.input.evaluations),
    )
    dilution.to_csv(snakemake.output.dilution, index=False)
