"""Claims about filters with a random control: a random part of the same pool with as many samples."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from testbed.experiment.pools import Pool
from testbed.statistics.claim import Claim, Fits, any_differs, with_lacks
from testbed.statistics.comparisons import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    compare,
    critical_value,
    family_critical,
)
from testbed.statistics.settings import Settings

NAME = "selection_moves_the_line"


def controlled(pools: Sequence[Pool], evaluated: Collection[str]) -> Iterator[tuple[Pool, str]]:
    """Yield each filter that has a control, and the control's name, if both were evaluated."""
    named = {pool["name"]: pool for pool in pools}
    for pool in pools:
        filtered = named.get(pool.get("control_of"))
        if filtered and set(evaluated).issuperset([filtered["name"], pool["name"]]):
            yield filtered, pool["name"]


def selection(fits: Fits, pools: Sequence[Pool], evaluated: Collection[str], settings: Settings) -> list[Claim]:
    """Which samples a filter keeps moves the line, and not only how many. There is no claim without an evaluated control."""
    # What a pool without near-duplicates tells is another claim's.
    pairs = [(pool["name"], control) for pool, control in controlled(pools, evaluated) if not pool.get("against")]
    if not pairs:
        return []
    return [
        Claim(
            NAME,
            "Which samples a filter keeps moves the line: a random part of the pool with as many samples has another line.",
            "supported if a filtered pool's line differs from that of its random control, in height or slope (intervals for "
            "all comparisons together); contradicted if all lines are equal within the margin",
            *any_differs(NAME, fits, pairs, settings),
        )
    ]


def decontamination(fits: Fits, pools: Sequence[Pool], evaluated: Collection[str], settings: Settings) -> list[Claim]:
    """Robustness is not explained by near-duplicates of test images; no claim without a pool that has a control.

    A test of non-inferiority: the pool without near-duplicates may be below its control by less than the margin.
    """
    controls = {
        (pool["name"], control): pool["against"]
        for pool, control in controlled(pools, evaluated)
        if pool.get("against")
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
