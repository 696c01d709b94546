"""The paper's findings as statements that a run can support, contradict, or leave undecided.

Each claim is decided by comparisons, differences between lines with intervals that hold for all comparisons of the claim
at once (see `testbed.verdicts`), and never by anything else, so that none is supported by construction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from testbed.experiment.pools import Pool, ensemble_of, mixtures_of
from testbed.statistics.comparison import Difference
from testbed.statistics.scales import inverse, slope_of_inverse, transform
from testbed.statistics.trends import Settings
from testbed.statistics.verdicts import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Comparison,
    Group,
    compare,
    every,
    groups_of,
    judge,
    largest,
    least,
    some,
)


@dataclass(frozen=True)
class Claim:
    """A finding: its name, the statement, how comparisons decide it in words, and the comparisons.

    `statistic` is the comparison that its value and interval in the table come from.
    """

    name: str
    statement: str
    rule: str
    comparisons: tuple[Comparison, ...]
    verdict: str
    statistic: Comparison | None


def sources_differ(groups: Sequence[Group], sources: Sequence[str], settings: Settings) -> Claim:
    """Sources differ in robustness."""
    name = "sources_differ"
    found = compare(name, groups, combinations(sources, 2), settings)
    judged = judge(found, settings, (SUPPORTED, SUPPORTED, CONTRADICTED))
    return Claim(
        name,
        "Sources differ in robustness: at equal reference accuracy their shifted accuracies differ.",
        "supported if any two sources differ on any shift; contradicted if all differences are within the margin",
        tuple(judged),
        some(judged),
        largest(judged),
    )


def no_best_source(groups: Sequence[Group], sources: Sequence[str], settings: Settings) -> Claim:
    """No source is best on every shift: of each source there is another one that beats it somewhere."""
    name = "no_best_source"
    leads = [(one, other) for one in sources for other in sources if one != other]
    found = compare(name, groups, leads, settings)
    judged = judge(found, settings, (SUPPORTED, CONTRADICTED, UNDECIDED), mirrored=True)
    beaten = {source: [one for one in judged if one.other == source and np.isfinite(one.low)] for source in sources}
    shifts = {testset for _, testset, _ in groups}
    possible = len(sources) > 1 and len(shifts) > 1
    complete = all(len(leads_of) == len(groups) * (len(sources) - 1) for leads_of in beaten.values())
    if possible and all(some(leads_of) == SUPPORTED for leads_of in beaten.values()):
        verdict = SUPPORTED
    elif possible and complete and any({one.verdict for one in of} == {CONTRADICTED} for of in beaten.values()):
        verdict = CONTRADICTED
    else:
        verdict = UNDECIDED
    strongest = [max(leads_of, key=lambda one: one.low) for leads_of in beaten.values() if leads_of]
    return Claim(
        name,
        "No source is best on every shift.",
        "supported if every source is beaten by another one on some shift; contradicted if one source beats all others on "
        "all shifts",
        tuple(judged),
        verdict,
        min(strongest, key=lambda one: one.low, default=None),
    )


def best_on(groups: Sequence[Group], sources: Sequence[str], best: Sequence[str], on: str, settings: Settings) -> Claim:
    """The sources `best` are better on the shift `on` than all others."""
    name = f"best_on_{on}"
    here = [group for group in groups if group[1] == on]
    leads = [(one, other) for one in best for other in sources if other not in best]
    judged = judge(compare(name, here, leads, settings), settings, (SUPPORTED, CONTRADICTED, CONTRADICTED))
    return Claim(
        name,
        f"{' and '.join(best)}: the most robust of the sources on {on}.",
        "supported if ahead of every other source; contradicted if behind one, or ahead by no more than the margin",
        tuple(judged),
        every(judged),
        least(judged),
    )


def mixing_dilutes(groups: Sequence[Group], pools: Sequence[Pool], settings: Settings) -> list[Claim]:
    """A mixture lies below its best member, and above its worst, wherever these two differ."""
    ahead, spread = [], []
    for group in groups:
        lines = group[2]
        for mixture in mixtures_of(pools, lines.pools):
            members = [*mixture["members"]]
            at = lines.common([mixture["name"], *members], settings.compare_at)
            if np.isnan(at):
                continue
            best, worst = (pick(members, key=lambda one: lines.height(one, at)) for pick in (max, min))
            spread.append((group, mixture["name"], members, best, worst))
            ahead += compare("members_differ", [group], [(best, worst)], settings, [mixture["name"], *members])
    differ = judge(ahead, settings, (SUPPORTED, SUPPORTED, UNDECIDED))
    below, above = [], []
    for (group, mixture, members, best, worst), apart in zip(spread, differ, strict=True):
        if apart.verdict == SUPPORTED:
            below += compare("mixing_dilutes", [group], [(best, mixture)], settings, members)
            above += compare("mixing_beats_the_worst", [group], [(mixture, worst)], settings, members)
    where = " wherever the two differ significantly"
    claims = []
    for name, statement, comparisons in (
        ("mixing_dilutes", "Mixing dilutes: a mixture is less robust than its best member", below),
        ("mixing_beats_the_worst", "A mixture is more robust than its worst member", above),
    ):
        judged = judge(comparisons, settings, (SUPPORTED, CONTRADICTED, CONTRADICTED), small_counts=True)
        rule = (
            "supported if so in every comparison; contradicted if any goes the other way, or is none within the margin"
        )
        claims.append(Claim(name, statement + where + ".", rule, tuple(judged), every(judged), least(judged)))
    return claims


def output_predicts_input(groups: Sequence[Group], pools: Sequence[Pool], settings: Settings) -> Claim:
    """The trend of an ensemble of the members foretells the mixture's."""
    name = "output_mixing_predicts"
    found = []
    for group in groups:
        for mixture in mixtures_of(pools, group[2].pools):
            ensemble = ensemble_of(mixture, pools)
            if ensemble in group[2].pools:
                found += compare(name, [group], [(mixture["name"], ensemble)], settings)
    judged = judge(found, settings, (UNDECIDED, UNDECIDED, SUPPORTED))
    beyond = [
        replace(one, verdict=CONTRADICTED) if one.low > settings.margin or one.high < -settings.margin else one
        for one in judged
    ]
    return Claim(
        name,
        "Output mixing predicts input mixing: a mixture's trend is that of the ensemble of its members.",
        "supported if all differences are within the margin; contradicted if one is beyond it for certain",
        tuple(beyond),
        every(beyond),
        largest(beyond),
    )


def filtering(groups: Sequence[Group], pairs: pd.DataFrame, pools: Sequence[Pool], settings: Settings) -> list[Claim]:
    """Filtering moves a source's line, or moves models along it."""
    filters = [pool for pool in pools if pool["kind"] == "filter"]
    leads = [(pool["name"], pool["of"]) for pool in filters]
    moved = judge(
        compare("filtering_moves_the_line", groups, leads, settings), settings, (SUPPORTED, SUPPORTED, CONTRADICTED)
    )
    raised = judge(
        [one for lead in leads for one in _gains("filtering_moves_models_along", pairs, lead, settings)],
        settings,
        (SUPPORTED, SUPPORTED, CONTRADICTED),
    )
    if some(moved) == SUPPORTED or some(raised) == CONTRADICTED:
        along = CONTRADICTED
    else:
        along = SUPPORTED if some(moved) == CONTRADICTED and some(raised) == SUPPORTED else UNDECIDED
    return [
        Claim(
            "filtering_moves_the_line",
            "Filtering moves a pool's line: at equal reference accuracy the filtered pool has another shifted accuracy.",
            "supported if a filtered pool differs from the one it is taken from; contradicted if all are within the margin",
            tuple(moved),
            some(moved),
            largest(moved),
        ),
        Claim(
            "filtering_moves_models_along",
            "Filtering moves models along their pool's line: at equal size another reference accuracy, and the same line.",
            "supported if models move and all lines stay within the margin; contradicted if a line moves, or no models do",
            tuple(raised),
            along,
            largest(raised),
        ),
    ]


def _gains(name: str, pairs: pd.DataFrame, lead: tuple[str, str], settings: Settings) -> list[Comparison]:
    """By how much the reference accuracy of the first pool is above the second's at equal size and seed, by architecture."""
    own = pairs[pairs["classes"] == "all"].drop_duplicates("model")
    found = []
    for architecture, points in own.groupby("architecture", sort=False):
        one, other = (points[points["pool"] == pool].set_index(["size", "seed"])["reference_value"] for pool in lead)
        both = one.index.intersection(other.index)
        ends, starts = (transform(pool[both], settings.scale) for pool in (one, other))
        finite = np.isfinite(ends) & np.isfinite(starts)
        steps = (ends - starts)[finite]
        if len(steps) < 2:
            continue
        middle = float(starts[finite].mean())
        # the mean step on the scale, as points at the middle of the models of the second pool
        value = 100 * float(inverse(middle + steps.mean(), settings.scale) - inverse(middle, settings.scale))
        error = (
            100 * float(np.std(steps, ddof=1) / np.sqrt(len(steps))) * float(slope_of_inverse(middle, settings.scale))
        )
        difference = Difference(float(inverse(middle, settings.scale)), value, error, len(steps) - 1)
        found.append(Comparison(name, *lead, architecture, "reference", difference))
    return found


def all_claims(pairs: pd.DataFrame, pools: Sequence[Pool], named: Sequence[Mapping], settings: Settings) -> list[Claim]:
    """Every claim, in the order of the paper. `named` are the experiment's own, each with `best` and `shift`."""
    groups = groups_of(pairs, settings)
    evaluated = set(pairs["pool"])
    sources = [pool["name"] for pool in pools if pool["kind"] == "source" and pool["name"] in evaluated]
    return [
        sources_differ(groups, sources, settings),
        no_best_source(groups, sources, settings),
        *(best_on(groups, sources, claim["best"], claim["shift"], settings) for claim in named),
        *mixing_dilutes(groups, pools, settings),
        output_predicts_input(groups, pools, settings),
        *filtering(groups, pairs, pools, settings),
    ]
