"""Claims that compare a pool with a random control: another pool that has lost as many samples, at random."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from testbed.experiment.pools import Pool
from testbed.statistics.claim import Claim, Fits, with_lacks
from testbed.statistics.comparisons import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    compare,
    critical_value,
    family_critical,
)
from testbed.statistics.settings import Settings


def decontamination(fits: Fits, pools: Sequence[Pool], settings: Settings) -> list[Claim]:
    """Robustness is not explained by near-duplicates of test images; no claim without a pool that has a control.

    A test of non-inferiority: the pool without near-duplicates may be below its control by less than the margin.
    """
    controls: Mapping[tuple[str, str], Sequence[str]] = {
        (pool["name"], pool["control"]["pool"]): pool["control"]["shifts"] for pool in pools if "control" in pool
    }
    if not controls:
        return []
    shifts = {shift for own in controls.values() for shift in own}
    measured = compare("not_from_duplicates", fits, [*controls], settings, shifts=[*shifts])
    asked = np.array([one.testset in controls[one.pool, one.other] for one in measured.comparisons], dtype=float)
    together = family_critical(measured, settings.line_confidence, sides=1, signs=asked)
    decided = []
    for one, of_claim in zip(measured.comparisons, asked, strict=True):
        if of_claim:
            shown = one.within(critical_value(settings.line_confidence))
            behind = one.limits(together)[1] < 0
            inferior = CONTRADICTED if behind else UNDECIDED
            decided.append(replace(shown, verdict=SUPPORTED if shown.low > -settings.margin else inferior))
    verdicts = {one.verdict for one in decided}
    complete = len(decided) == len(fits) * sum(map(len, controls.values()))
    verdict = SUPPORTED if complete and verdicts == {SUPPORTED} else UNDECIDED
    return [
        Claim(
            "not_from_duplicates",
            "Robustness on a shift is not explained by near-duplicates of its test images: without them, a pool's line is "
            "no lower than that of a random part of the same pool.",
            "supported if every pool is above its control or below it by less than the margin, on each shift alone (all "
            "must hold); contradicted if one is certainly below (intervals for all together)",
            with_lacks(decided, settings.margin),
            CONTRADICTED if CONTRADICTED in verdicts else verdict,
            min(
                (one for one in with_lacks(decided, settings.margin) if np.isfinite(one.low)),
                key=lambda one: one.high if CONTRADICTED in verdicts else one.low,
                default=None,
            ),
        )
    ]
