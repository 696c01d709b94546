"""Comparisons of lines as tests: their intervals, which hold for all of them at once, and the verdicts that follow.

A verdict sees no more of a comparison than its interval (see `testbed.comparison`, and Bonferroni's correction in
`judge`), so that without models, or with wide intervals, it is undecided.
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
    """By how much the pool `one` is above `other` on a shift, which a claim rests on. `judge` sets interval and verdict."""

    claim: str
    one: str
    other: str
    architecture: str
    testset: str
    difference: Difference
    low: float = np.nan
    high: float = np.nan
    tests: int = 1
    verdict: str = UNDECIDED


Group = tuple[str, str, Lines]
"""An architecture, a shift and the lines of all pools there."""


def groups_of(pairs: pd.DataFrame, settings: Settings) -> list[Group]:
    """The lines of every architecture and shift, over all classes."""
    whole = pairs[pairs["classes"] == "all"]
    return [
        (architecture, testset, fit_lines(points, settings.scale))
        for (architecture, testset), points in whole.groupby(["architecture", "testset"], sort=False)
    ]


def compare(
    claim: str, groups: Iterable[Group], leads: Iterable[tuple[str, str]], settings: Settings, also: Sequence[str] = ()
) -> list[Comparison]:
    """For each group and each pair of pools by how much the first is above the second, where both have a line.

    They are compared at a reference accuracy that they, and the pools `also`, have in common.
    """
    found = []
    for one, other in leads:
        for architecture, testset, lines in groups:
            if one in lines.pools and other in lines.pools:
                at = lines.common([one, other, *also], settings.compare_at)
                difference = lines.difference(one, other, at)
                found.append(Comparison(claim, one, other, architecture, testset, difference))
    return found


def judge(
    comparisons: Sequence[Comparison],
    settings: Settings,
    ranges: tuple[str, str, str],
    mirrored: bool = False,
    small_counts: bool = False,
) -> list[Comparison]:
    """Give every comparison its interval and verdict: `ranges` are those for an interval above 0, below 0, and within
    the margin around 0. What fits none of them is undecided.

    A difference that is certain but within the margin counts as none, unless `small_counts`.

    All comparisons that have an interval count as tests; where they are `mirrored`, each with its opposite, half of them.
    """
    above, below, within = ranges
    tests = sum(bool(np.isfinite(one.difference.error)) for one in comparisons) // (2 if mirrored else 1)
    judged = []
    for comparison in comparisons:
        estimate = comparison.difference.interval(settings.line_confidence, max(1, tests))
        certain = estimate.low > 0 or estimate.high < 0
        if np.isnan(estimate.low):
            verdict = UNDECIDED
        elif max(-estimate.low, estimate.high) <= settings.margin and not (certain and small_counts):
            verdict = within
        elif estimate.low > 0:
            verdict = above
        elif estimate.high < 0:
            verdict = below
        else:
            verdict = UNDECIDED
        ends = {"low": estimate.low, "high": estimate.high, "tests": tests}
        judged.append(replace(comparison, verdict=verdict, **ends))
    return judged


def some(comparisons: Sequence[Comparison]) -> str:
    """Verdict on "there are such": one supported comparison is enough, all must be contradicted."""
    verdicts = [comparison.verdict for comparison in comparisons]
    if SUPPORTED in verdicts:
        return SUPPORTED
    return CONTRADICTED if verdicts and set(verdicts) == {CONTRADICTED} else UNDECIDED


def every(comparisons: Sequence[Comparison]) -> str:
    """Verdict on "all are such": one contradicted comparison is enough, all must be supported."""
    verdicts = [comparison.verdict for comparison in comparisons]
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SUPPORTED if verdicts and set(verdicts) == {SUPPORTED} else UNDECIDED


def largest(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The comparison with the largest difference in either direction, or None."""
    known = [one for one in comparisons if np.isfinite(one.difference.value)]
    return max(known, key=lambda one: abs(one.difference.value), default=None)


def least(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The comparison with the smallest difference, or None."""
    known = [one for one in comparisons if np.isfinite(one.difference.value)]
    return min(known, key=lambda one: one.difference.value, default=None)
