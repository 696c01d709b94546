"""The paper's findings as claims that a run can support, contradict, or leave undecided.

The verdict on a claim depends only on intervals (see `testbed.statistics.comparisons`), so no claim is supported by
construction. Each claim is tested at a level of 5 %; docs/statistics.md says how, and how often simulations were decided
wrongly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from testbed.experiment.pools import Pool, ensembles_of
from testbed.experiment.titles import title_of, title_of_pool
from testbed.statistics.claim import Claim, Fits, any_differs, with_lacks
from testbed.statistics.comparisons import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Comparison,
    compare,
    critical_value,
    family_critical,
    fits_of,
    what_it_lacks,
)
from testbed.statistics.controls import decontamination, selection
from testbed.statistics.gains import measure_gains
from testbed.statistics.joint_correct import JointCorrect
from testbed.statistics.mixing import (
    Fraction,
    Mixing,
    differences,
    fraction_comparison,
    fraction_of,
    mixings_of,
    with_unequal_members,
)
from testbed.statistics.settings import Settings


def sources_differ(fits: Fits, sources: Sequence[str], settings: Settings) -> Claim:
    """Sources differ in robustness."""
    return Claim(
        "sources_differ",
        "Sources differ in robustness: at equal reference accuracy their shifted accuracies differ.",
        "supported if any two sources differ on any shift, in the height or the slope of their lines (intervals for all "
        "comparisons together); contradicted if the lines of all are equal within the margin",
        *any_differs("sources_differ", fits, [*combinations(sources, 2)], settings),
    )


def no_best_source(fits: Fits, sources: Sequence[str], settings: Settings) -> Claim:
    """No source is best on every shift: for each source, another one is better on some shift."""
    name = "no_best_source"
    measured = compare(name, fits, [*combinations(sources, 2)], settings)
    # That one of k sources is best everywhere is said of any of them: each is tested at a k-th of the level.
    certain = critical_value(1 - (1 - settings.line_confidence) / max(1, len(sources)))
    against: dict[str, list[Comparison]] = {source: [] for source in sources}
    for source in sources:
        signs = np.array([(one.other == source) - (one.pool == source) for one in measured.comparisons], dtype=float)
        critical = family_critical(measured, settings.line_confidence, sides=1, signs=signs)
        tests = int(((signs != 0) & measured.known()).sum())
        for one, sign in zip(measured.comparisons, signs, strict=True):
            if sign:
                above = one if sign > 0 else one.turned()
                shown = above.within(critical, tests)
                behind = above.limits(certain)[1] < 0
                verdict = SUPPORTED if shown.low > 0 else CONTRADICTED if behind else UNDECIDED
                against[source] += with_lacks([replace(shown, verdict=verdict)])
    shifts = {shift for fit in fits.values() for shift in fit.shifts}
    groups = sum(len(fit.shifts) for fit in fits.values())
    possible = len(sources) > 1 and len(shifts) > 1
    complete = all(len(own) == groups * (len(sources) - 1) for own in against.values())
    beaten = {source: any(one.verdict == SUPPORTED for one in own) for source, own in against.items()}
    best = {source: {one.verdict for one in own} == {CONTRADICTED} for source, own in against.items()}
    verdict = UNDECIDED
    if possible and all(beaten.values()):
        verdict = SUPPORTED
    elif possible and complete and any(best.values()):
        verdict = CONTRADICTED
    # Of each source the comparison that beats it most clearly; of these the least clear one decides.
    clearest = [
        max(own, key=lambda one: one.low if np.isfinite(one.low) else -np.inf) for own in against.values() if own
    ]
    return Claim(
        name,
        "No source is best on every shift.",
        "supported if every source is beaten by another one on some shift (intervals for all others and shifts together); "
        "contradicted if one source beats all others on all shifts",
        tuple(one for own in against.values() for one in own),
        verdict,
        min(clearest, key=lambda one: one.low if np.isfinite(one.low) else -np.inf, default=None),
    )


def best_on(
    fits: Fits,
    sources: Sequence[str],
    best: Sequence[str],
    on: str,
    settings: Settings,
    titles: Mapping[str, str] | None = None,
) -> Claim:
    """The sources `best` are more robust on the shift `on` than all others; `titles` are their names in the statement."""
    name = f"best_on_{on}"
    pairs = [(one, other) for one in best for other in sources if other not in best]
    measured = compare(name, fits, pairs, settings, shifts=[on])
    together = family_critical(measured, settings.line_confidence, sides=1)
    decided = []
    for one in measured.comparisons:
        shown = one.within(critical_value(settings.line_confidence))
        behind = one.limits(together)[1] < 0
        decided.append(replace(shown, verdict=SUPPORTED if shown.low > 0 else CONTRADICTED if behind else UNDECIDED))
    decided = with_lacks(decided)
    verdicts = {one.verdict for one in decided}
    complete = len(decided) == len(pairs) * len(fits)
    verdict = SUPPORTED if complete and verdicts == {SUPPORTED} else UNDECIDED
    return Claim(
        name,
        f"{' and '.join((titles or {}).get(one, one) for one in best)}: the most robust of the sources on {title_of(on)}.",
        "supported if ahead of every other source, in each comparison alone (all must hold); contradicted if certainly "
        "behind one (intervals for all others together)",
        decided,
        CONTRADICTED if CONTRADICTED in verdicts else verdict,
        min(
            (one for one in decided if np.isfinite(one.low)),
            key=lambda one: one.high if CONTRADICTED in verdicts else one.low,
            default=None,
        ),
    )


def mixing(fits: Fits, pools: Sequence[Pool], settings: Settings) -> list[Claim]:
    """A mixture lies below its best member, above its worst, and where the ensemble of its members lies."""
    mixings = with_unequal_members(mixings_of(fits, pools, settings), settings)
    fraction = fraction_of(
        mixings, [one.heights[one.mixture] - one.heights[one.worst] for one in mixings], settings, 0.5
    )
    where = " (all mixtures and shifts together, where the members differ significantly)"
    with_ensemble = [one for one in mixings if one.ensemble]
    apart = fraction_of(
        with_ensemble, [one.heights[one.mixture] - one.heights[one.ensemble] for one in with_ensemble], settings
    )
    return [
        _fraction_claim(
            "mixing_dilutes",
            "Mixing dilutes: a mixture is less robust than its best member" + where + ".",
            "the dilution fraction is 0 at the worst member's line and 1 at the best one's; supported if its interval is "
            "below 1, contradicted if above 1",
            mixings,
            fraction,
            SUPPORTED if fraction.high < 1 else CONTRADICTED if fraction.low > 1 else UNDECIDED,
            settings,
        ),
        _fraction_claim(
            "mixing_beats_the_worst",
            "A mixture is more robust than its worst member" + where + ".",
            "supported if the interval of the dilution fraction is above 0, contradicted if below 0",
            mixings,
            fraction,
            SUPPORTED if fraction.low > 0 else CONTRADICTED if fraction.high < 0 else UNDECIDED,
            settings,
        ),
        _fraction_claim(
            "output_mixing_predicts",
            "Output mixing predicts input mixing: a mixture's line is that of the ensemble of its members"
            + where
            + ".",
            f"the difference between the two as a fraction of the members' distance; supported if its interval is within "
            f"{settings.fraction_margin:g} of 0, contradicted if it is beyond",
            with_ensemble,
            apart,
            _equivalence(apart, settings.fraction_margin),
            settings,
        ),
    ]


def filtering(
    fits: Fits, pairs: pd.DataFrame, pools: Sequence[Pool], settings: Settings, joint, reference
) -> list[Claim]:
    """Filtering moves a pool's line, or it moves models along the line. A random control is not filtered."""
    evaluated = set(pairs["pool"])
    filtered = [
        (pool["name"], pool["of"])
        for pool in pools
        if pool["kind"] == "filter" and "control_of" not in pool and evaluated.issuperset([pool["name"], pool["of"]])
    ]
    moved, line_verdict, moved_most = any_differs("filtering_moves_the_line", fits, filtered, settings)
    gains, all_small = measure_gains("filtering_moves_models_along", pairs, filtered, settings, joint, reference)
    gains = with_lacks(gains, settings.margin)
    raised = any(one.verdict == SUPPORTED for one in gains)
    along = UNDECIDED
    if line_verdict == SUPPORTED or all_small:
        along = CONTRADICTED
    elif line_verdict == CONTRADICTED and raised:
        along = SUPPORTED
    clearest = max((one for one in gains if np.isfinite(one.low)), key=lambda one: abs(one.value), default=None)
    if along == UNDECIDED and clearest and clearest.verdict == SUPPORTED:
        clearest = replace(clearest, lacks="a decision whether the line moves")
    return [
        Claim(
            "filtering_moves_the_line",
            "Filtering moves a pool's line: at equal reference accuracy the filtered pool has another shifted accuracy.",
            "supported if a filtered pool's line differs from that of the pool it is taken from, in height or slope "
            "(intervals for all comparisons together); contradicted if all lines are equal within the margin",
            moved,
            line_verdict,
            moved_most,
        ),
        Claim(
            "filtering_moves_models_along",
            "Filtering moves models along their pool's line: at equal size another reference accuracy, and the same line.",
            "supported if models move and all lines are equal within the margin; contradicted if a line moves, or no models "
            "move by more than the margin",
            gains,
            along,
            clearest,
        ),
    ]


def all_claims(
    pairs: pd.DataFrame,
    pools: Sequence[Pool],
    named: Sequence[Mapping],
    settings: Settings,
    joint: JointCorrect,
    reference: str,
) -> list[Claim]:
    """All claims, in the order of the paper. `named` are the experiment's own claims, each with `best` and `shift`."""
    titles = {pool["name"]: title_of_pool(pool) for pool in pools}
    fits = fits_of(pairs, settings, joint, reference, ensembles_of(pools))
    evaluated = set(pairs["pool"])
    sources = [pool["name"] for pool in pools if pool["kind"] == "source" and pool["name"] in evaluated]
    return [
        sources_differ(fits, sources, settings),
        no_best_source(fits, sources, settings),
        *(best_on(fits, sources, claim["best"], claim["shift"], settings, titles) for claim in named),
        *mixing(fits, pools, settings),
        *filtering(fits, pairs, pools, settings, joint, reference),
        *selection(fits, pools, evaluated, settings),
        *decontamination(fits, pools, evaluated, settings),
    ]


def _fraction_claim(
    name: str,
    statement: str,
    rule: str,
    mixings: Sequence[Mixing],
    fraction: Fraction,
    verdict: str,
    settings: Settings,
) -> Claim:
    statistic = fraction_comparison(name, fraction, "all mixtures", "members") if fraction.n else None
    if statistic and verdict == UNDECIDED:
        # What the interval must be free of: that end of the margin that is nearer, or the line of a member.
        target = {"mixing_dilutes": 1.0, "mixing_beats_the_worst": 0.0}.get(
            name, float(np.copysign(settings.fraction_margin, statistic.value))
        )
        centred = replace(
            statistic, value=statistic.value - target, low=statistic.low - target, high=statistic.high - target
        )
        statistic = replace(statistic, lacks=what_it_lacks(centred))
    if statistic:
        statistic = replace(statistic, verdict=verdict)
    rows = [
        replace(one, verdict=SUPPORTED if one.low > 0 else CONTRADICTED if one.high < 0 else UNDECIDED)
        if name != "output_mixing_predicts"
        else one
        for one in differences(name, mixings, settings)
    ]
    return Claim(name, statement, rule, (*([statistic] if statistic else []), *rows), verdict, statistic)


def _equivalence(fraction: Fraction, margin: float) -> str:
    if -margin <= fraction.low and fraction.high <= margin:
        return SUPPORTED
    return CONTRADICTED if fraction.low > margin or fraction.high < -margin else UNDECIDED
