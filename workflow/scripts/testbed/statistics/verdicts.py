"""Comparisons of lines as statistical tests: simultaneous confidence intervals, and verdicts.

A verdict depends only on the interval of a comparison (see `testbed.statistics.comparison`, and the Bonferroni correction
in `set_verdicts`). So it is undecided without models or with wide intervals.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from testbed.statistics.comparison import Difference, Lines, fit_lines
from testbed.statistics.trends import Settings

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


@dataclass(frozen=True)
class Comparison:
    """The difference of `pool` minus `other` on a shift, for a claim. `set_verdicts` sets interval and verdict."""

    claim: str
    pool: str
    other: str
    architecture: str
    testset: str
    difference: Difference
    low: float = np.nan
    high: float = np.nan
    tests: int = 1
    verdict: str = UNDECIDED


Group = tuple[str, str, Lines]
"""An architecture, a shift, and the lines of all pools for both."""


def groups_of(pairs: pd.DataFrame, settings: Settings) -> list[Group]:
    """A group for every architecture and shift, over all classes."""
    all_classes = pairs[pairs["classes"] == "all"]
    return [
        (architecture, testset, fit_lines(points, settings.scale))
        for (architecture, testset), points in all_classes.groupby(["architecture", "testset"], sort=False)
    ]


def compare(
    claim: str, groups: Iterable[Group], pairs: Iterable[tuple[str, str]], settings: Settings, also: Sequence[str] = ()
) -> list[Comparison]:
    """A comparison for each group and each pair of pools that both have a line.

    The pools are compared at a reference accuracy in the common range of both and of the pools `also`.
    """
    comparisons = []
    for pool, other in pairs:
        for architecture, testset, lines in groups:
            if pool in lines.pools and other in lines.pools:
                at = lines.common_reference([pool, other, *also], settings.compare_at)
                difference = lines.difference(pool, other, at)
                comparisons.append(Comparison(claim, pool, other, architecture, testset, difference))
    return comparisons


def set_verdicts(
    comparisons: Sequence[Comparison],
    settings: Settings,
    verdicts: tuple[str, str, str],
    mirrored: bool = False,
    small_counts: bool = False,
) -> list[Comparison]:
    """The comparisons with their intervals and verdicts.

    `verdicts` are those for an interval above 0, below 0, and within the margin around 0. Other intervals are undecided. A
    significant difference within the margin counts as none, unless `small_counts`. Bonferroni's correction counts all
    comparisons with an interval; if they are `mirrored` (each pair in both directions), half of them.
    """
    above, below, within = verdicts
    tests = sum(bool(np.isfinite(one.difference.error)) for one in comparisons) // (2 if mirrored else 1)
    decided = []
    for comparison in comparisons:
        estimate = comparison.difference.interval(settings.line_confidence, max(1, tests))
        significant = estimate.low > 0 or estimate.high < 0
        if np.isnan(estimate.low):
            verdict = UNDECIDED
        elif max(-estimate.low, estimate.high) <= settings.margin and not (significant and small_counts):
            verdict = within
        elif estimate.low > 0:
            verdict = above
        elif estimate.high < 0:
            verdict = below
        else:
            verdict = UNDECIDED
        decided.append(replace(comparison, verdict=verdict, low=estimate.low, high=estimate.high, tests=tests))
    return decided


def any_supported(comparisons: Sequence[Comparison]) -> str:
    """Verdict on an existence claim: supported if any comparison is, contradicted if all are."""
    verdicts = [comparison.verdict for comparison in comparisons]
    if SUPPORTED in verdicts:
        return SUPPORTED
    return CONTRADICTED if verdicts and set(verdicts) == {CONTRADICTED} else UNDECIDED


def all_supported(comparisons: Sequence[Comparison]) -> str:
    """Verdict on a universal claim: supported if all comparisons are, contradicted if any is."""
    verdicts = [comparison.verdict for comparison in comparisons]
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SUPPORTED if verdicts and set(verdicts) == {SUPPORTED} else UNDECIDED


def largest_difference(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The comparison with the largest absolute difference, or None."""
    known = [one for one in comparisons if np.isfinite(one.difference.value)]
    return max(known, key=lambda one: abs(one.difference.value), default=None)


def smallest_difference(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The comparison with the smallest difference, or None."""
    known = [one for one in comparisons if np.isfinite(one.difference.value)]
    return min(known, key=lambda one: one.difference.value, default=None)
