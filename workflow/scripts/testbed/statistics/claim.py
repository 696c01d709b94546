"""One claim: what it states, how it is decided, and the comparisons that it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from testbed.statistics.comparisons import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Comparison,
    compare,
    family_critical,
    what_it_lacks,
)
from testbed.statistics.fits import Fit
from testbed.statistics.settings import Settings

Fits = Mapping[str, Fit]
"""The fit of each architecture."""


@dataclass(frozen=True)
class Claim:
    """A finding: its name, the statement, the decision rule in words, and its comparisons.

    `statistic` is the comparison whose difference and interval are in the table of claims.
    """

    name: str
    statement: str
    rule: str
    comparisons: tuple[Comparison, ...]
    verdict: str
    statistic: Comparison | None


def any_differs(
    name: str, fits: Fits, pairs: Sequence[tuple[str, str]], settings: Settings
) -> tuple[tuple[Comparison, ...], str, Comparison | None]:
    """The comparisons of lines in height and slope, the verdict on the claim that some differ, and the clearest of them.

    Supported if an interval that holds for all comparisons together excludes 0; contradicted if the lines of all `pairs`
    of pools, on all shifts, are equal within the margin.
    """
    measured = compare(name, fits, pairs, settings, slopes=True)
    critical = family_critical(measured, settings.line_confidence)
    tests = int(measured.known().sum())
    decided = []
    for one, equal in zip(measured.comparisons, measured.equal, strict=True):
        shown = one.within(critical, tests)
        verdict = CONTRADICTED if equal else SUPPORTED if shown.low > 0 or shown.high < 0 else UNDECIDED
        decided.append(replace(shown, verdict=verdict))
    verdicts = [one.verdict for one in decided]
    # In height and slope, on every shift: a pool without a line may differ.
    complete = len(decided) == 2 * len(pairs) * sum(len(fit.shifts) for fit in fits.values())
    verdict = UNDECIDED
    if SUPPORTED in verdicts:
        verdict = SUPPORTED
    elif complete and set(verdicts) == {CONTRADICTED}:
        verdict = CONTRADICTED
    decided = with_lacks(decided, settings.margin)
    known = [one for one in decided if np.isfinite(one.low) and one.error > 0]
    shown = [one for one in known if one.verdict == SUPPORTED] or known
    return decided, verdict, max(shown, key=_certainty, default=None)


def _certainty(one: Comparison) -> float:
    return abs(one.value) / one.error


def with_lacks(comparisons: Sequence[Comparison], margin: float = 0.0) -> tuple[Comparison, ...]:
    """The comparisons, the undecided ones with what they lack."""
    return tuple(
        replace(one, lacks=what_it_lacks(one, margin)) if one.verdict == UNDECIDED else one for one in comparisons
    )
