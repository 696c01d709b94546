"""What a filter gains at equal size: the mean difference in reference accuracy between a filtered pool and its origin."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from testbed.statistics.comparisons import (
    CONTRADICTED,
    GAIN,
    SUPPORTED,
    UNDECIDED,
    Comparison,
    critical_value,
)
from testbed.statistics.joint_correct import JointCorrect
from testbed.statistics.scales import inverse, slope_of_inverse, transform
from testbed.statistics.settings import Settings


def measure_gains(
    claim: str,
    pairs: pd.DataFrame,
    compared: Sequence[tuple[str, str]],
    settings: Settings,
    joint: JointCorrect,
    reference: str,
) -> tuple[list[Comparison], bool]:
    """The gain of each of the pairs of pools `compared`, and whether all were measured and are within the margin.

    The gain is the mean over the sizes that both pools have of the difference in scaled reference accuracy (means over
    seeds), in percentage points at the other pool's mean. Sizes are the units: their gains vary around the mean, with one
    variance for all pairs of pools together. Test images are added, with their covariances; what of them varies between
    sizes is counted twice, so that the interval is rather too wide. Intervals hold for all pairs at once (Bonferroni).
    """
    own = pairs[pairs["classes"] == "all"].drop_duplicates("model")
    found, squares, freedom, complete = [], 0.0, 0, True
    for architecture, points in own.groupby("architecture", sort=False):
        points = points.reset_index(drop=True)
        accuracies = points.drop(columns=["correct", "n"]).rename(
            columns={"reference_correct": "correct", "reference_n": "n"}
        )
        images = joint.covariance(reference, "all", accuracies)
        scaled = transform(points["reference_value"], settings.scale)
        for pool, other in compared:
            gains, weights = _by_size(points, scaled, pool, other)
            if len(gains) == 0:
                # A pool that was trained at other sizes, or whose origin was, may have gained anything.
                complete &= pool not in set(points["pool"])
                continue
            at = float(-(np.minimum(weights, 0) @ np.where(np.isfinite(scaled), scaled, 0.0)))
            steep = 100 * float(slope_of_inverse(at, settings.scale))
            finite = np.where(np.isfinite(scaled), scaled, 0.0)
            derivative = weights / slope_of_inverse(finite, settings.scale)
            variance = float(derivative @ images @ derivative)
            value = 100 * float(inverse(at + gains.mean(), settings.scale) - inverse(at, settings.scale))
            row = Comparison(
                claim,
                pool,
                other,
                architecture,
                reference,
                GAIN,
                float(inverse(at, settings.scale)),
                value,
                images=steep * np.sqrt(variance),
            )
            found.append((row, steep, len(gains)))
            squares += float(np.sum((gains - gains.mean()) ** 2))
            freedom += len(gains) - 1
    spread = np.sqrt(squares / freedom) if freedom else np.nan
    critical = critical_value(1 - (1 - settings.line_confidence) / max(1, len(found)))
    decided, small = [], []
    for row, steep, sizes in found:
        measured = replace(row, models=steep * spread / np.sqrt(sizes), freedom=float(freedom) if freedom else np.nan)
        shown = measured.within(critical, len(found))
        low, high = measured.limits(critical_value(settings.line_confidence))
        small.append(-settings.margin <= low and high <= settings.margin)
        verdict = CONTRADICTED if small[-1] else SUPPORTED if shown.low > 0 or shown.high < 0 else UNDECIDED
        decided.append(replace(shown, verdict=verdict))
    return decided, complete and bool(small) and all(small)


def _by_size(points: pd.DataFrame, scaled: np.ndarray, pool: str, other: str) -> tuple[np.ndarray, np.ndarray]:
    """The gain at each size that both pools have, and the weights (models,) of the mean gain in scaled accuracies."""
    gains, weights = [], np.zeros(len(points))
    finite = np.isfinite(scaled)
    for size in sorted(
        set(points.loc[points["pool"] == pool, "size"]) & set(points.loc[points["pool"] == other, "size"])
    ):
        here = (points["size"] == size).to_numpy() & finite
        seeds = set(points.loc[here & (points["pool"] == pool), "seed"]) & set(
            points.loc[here & (points["pool"] == other), "seed"]
        )
        here &= points["seed"].isin(seeds).to_numpy()
        one, two = here & (points["pool"] == pool).to_numpy(), here & (points["pool"] == other).to_numpy()
        if not seeds:
            continue
        gains.append(scaled[one].mean() - scaled[two].mean())
        weights += one / one.sum() - two / two.sum()
    return np.array(gains), weights / max(1, len(gains))
