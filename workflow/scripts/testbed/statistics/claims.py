"""The paper's findings as claims that a run can support, contradict, or leave undecided.

The verdict on a claim depends only on its comparisons: differences between lines, with simultaneous confidence intervals
(see `testbed.statistics.verdicts`). So no claim is supported by construction.
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
    all_supported,
    any_supported,
    compare,
    groups_of,
    largest_difference,
    set_verdicts,
    smallest_difference,
)


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


def sources_differ(groups: Sequence[Group], sources: Sequence[str], settings: Settings) -> Claim:
    """Sources differ in robustness."""
    name = "sources_differ"
    found = compare(name, groups, combinations(sources, 2), settings)
    decided = set_verdicts(found, settings, (SUPPORTED, SUPPORTED, CONTRADICTED))
    return Claim(
        name,
        "Sources differ in robustness: at equal reference accuracy their shifted accuracies differ.",
        "supported if any two sources differ on any shift; contradicted if all differences are within the margin",
        tuple(decided),
        any_supported(decided),
        largest_difference(decided),
    )


def no_best_source(groups: Sequence[Group], sources: Sequence[str], settings: Settings) -> Claim:
    """No source is best on every shift: for each source, another one is better on some shift."""
    name = "no_best_source"
    ordered_pairs = [(one, other) for one in sources for other in sources if one != other]
    found = compare(name, groups, ordered_pairs, settings)
    decided = set_verdicts(found, settings, (SUPPORTED, CONTRADICTED, UNDECIDED), mirrored=True)
    against = {source: [one for one in decided if one.other == source and np.isfinite(one.low)] for source in sources}
    shifts = {testset for _, testset, _ in groups}
    possible = len(sources) > 1 and len(shifts) > 1
    complete = all(len(own) == len(groups) * (len(sources) - 1) for own in against.values())
    if possible and all(any_supported(own) == SUPPORTED for own in against.values()):
        verdict = SUPPORTED
    elif possible and complete and any({one.verdict for one in own} == {CONTRADICTED} for own in against.values()):
        verdict = CONTRADICTED
    else:
        verdict = UNDECIDED
    strongest = [max(own, key=lambda one: one.low) for own in against.values() if own]
    return Claim(
        name,
        "No source is best on every shift.",
        "supported if every source is beaten by another one on some shift; contradicted if one source beats all others on "
        "all shifts",
        tuple(decided),
        verdict,
        min(strongest, key=lambda one: one.low, default=None),
    )


def best_on(groups: Sequence[Group], sources: Sequence[str], best: Sequence[str], on: str, settings: Settings) -> Claim:
    """The sources `best` are more robust on the shift `on` than all others."""
    name = f"best_on_{on}"
    on_shift = [group for group in groups if group[1] == on]
    pairs = [(one, other) for one in best for other in sources if other not in best]
    decided = set_verdicts(compare(name, on_shift, pairs, settings), settings, (SUPPORTED, CONTRADICTED, CONTRADICTED))
    return Claim(
        name,
        f"{' and '.join(best)}: the most robust of the sources on {on}.",
        "supported if ahead of every other source; contradicted if behind one, or ahead by no more than the margin",
        tuple(decided),
        all_supported(decided),
        smallest_difference(decided),
    )


def mixing_dilutes(groups: Sequence[Group], pools: Sequence[Pool], settings: Settings) -> list[Claim]:
    """A mixture is less robust than its best member and more robust than its worst, if these two differ."""
    best_and_worst, mixtures = [], []
    for group in groups:
        lines = group[2]
        for mixture in mixtures_of(pools, lines.pools):
            members = [*mixture["members"]]
            at = lines.common_reference([mixture["name"], *members], settings.compare_at)
            if np.isnan(at):
                continue
            best, worst = (pick(members, key=lambda one: lines.height(one, at)) for pick in (max, min))
            mixtures.append((group, mixture["name"], members, best, worst))
            best_and_worst += compare("members_differ", [group], [(best, worst)], settings, [mixture["name"], *members])
    differences = set_verdicts(best_and_worst, settings, (SUPPORTED, SUPPORTED, UNDECIDED))
    below, above = [], []
    for (group, mixture, members, best, worst), difference in zip(mixtures, differences, strict=True):
        if difference.verdict == SUPPORTED:
            below += compare("mixing_dilutes", [group], [(best, mixture)], settings, members)
            above += compare("mixing_beats_the_worst", [group], [(mixture, worst)], settings, members)
    where = " wherever the two differ significantly"
    claims = []
    for name, statement, comparisons in (
        ("mixing_dilutes", "Mixing dilutes: a mixture is less robust than its best member", below),
        ("mixing_beats_the_worst", "A mixture is more robust than its worst member", above),
    ):
        decided = set_verdicts(comparisons, settings, (SUPPORTED, CONTRADICTED, CONTRADICTED), small_counts=True)
        rule = (
            "supported if so in every comparison; contradicted if any goes the other way, or is none within the margin"
        )
        claims.append(
            Claim(
                name,
                statement + where + ".",
                rule,
                tuple(decided),
                all_supported(decided),
                smallest_difference(decided),
            )
        )
    return claims


def output_predicts_input(groups: Sequence[Group], pools: Sequence[Pool], settings: Settings) -> Claim:
    """The trend of an ensemble of the members predicts the mixture's."""
    name = "output_mixing_predicts"
    found = []
    for group in groups:
        for mixture in mixtures_of(pools, group[2].pools):
            ensemble = ensemble_of(mixture, pools)
            if ensemble in group[2].pools:
                found += compare(name, [group], [(mixture["name"], ensemble)], settings)
    decided = set_verdicts(found, settings, (UNDECIDED, UNDECIDED, SUPPORTED))
    with_contradictions = [
        replace(one, verdict=CONTRADICTED) if one.low > settings.margin or one.high < -settings.margin else one
        for one in decided
    ]
    return Claim(
        name,
        "Output mixing predicts input mixing: a mixture's trend is that of the ensemble of its members.",
        "supported if all differences are within the margin; contradicted if one is beyond it for certain",
        tuple(with_contradictions),
        all_supported(with_contradictions),
        largest_difference(with_contradictions),
    )


def filtering(groups: Sequence[Group], pairs: pd.DataFrame, pools: Sequence[Pool], settings: Settings) -> list[Claim]:
    """Filtering moves a pool's line, or it moves models along the line."""
    filters = [pool for pool in pools if pool["kind"] == "filter"]
    filtered = [(pool["name"], pool["of"]) for pool in filters]
    moved = set_verdicts(
        compare("filtering_moves_the_line", groups, filtered, settings), settings, (SUPPORTED, SUPPORTED, CONTRADICTED)
    )
    raised = set_verdicts(
        [one for pair in filtered for one in _gains("filtering_moves_models_along", pairs, pair, settings)],
        settings,
        (SUPPORTED, SUPPORTED, CONTRADICTED),
    )
    if any_supported(moved) == SUPPORTED or any_supported(raised) == CONTRADICTED:
        along = CONTRADICTED
    else:
        along = SUPPORTED if any_supported(moved) == CONTRADICTED and any_supported(raised) == SUPPORTED else UNDECIDED
    return [
        Claim(
            "filtering_moves_the_line",
            "Filtering moves a pool's line: at equal reference accuracy the filtered pool has another shifted accuracy.",
            "supported if a filtered pool differs from the one it is taken from; contradicted if all are within the margin",
            tuple(moved),
            any_supported(moved),
            largest_difference(moved),
        ),
        Claim(
            "filtering_moves_models_along",
            "Filtering moves models along their pool's line: at equal size another reference accuracy, and the same line.",
            "supported if models move and all lines stay within the margin; contradicted if a line moves, or no models do",
            tuple(raised),
            along,
            largest_difference(raised),
        ),
    ]


def _gains(name: str, pairs: pd.DataFrame, compared: tuple[str, str], settings: Settings) -> list[Comparison]:
    """The mean difference in reference accuracy of two pools at equal size and seed, for each architecture."""
    own = pairs[pairs["classes"] == "all"].drop_duplicates("model")
    found = []
    for architecture, points in own.groupby("architecture", sort=False):
        one, other = (
            points[points["pool"] == pool].set_index(["size", "seed"])["reference_value"] for pool in compared
        )
        both = one.index.intersection(other.index)
        scaled, other_scaled = (transform(pool[both], settings.scale) for pool in (one, other))
        finite = np.isfinite(scaled) & np.isfinite(other_scaled)
        gains = (scaled - other_scaled)[finite]
        if len(gains) < 2:
            continue
        mean = float(other_scaled[finite].mean())
        # the mean gain on the scale, in percentage points at the mean of the second pool's models
        value = 100 * float(inverse(mean + gains.mean(), settings.scale) - inverse(mean, settings.scale))
        error = 100 * float(np.std(gains, ddof=1) / np.sqrt(len(gains))) * float(slope_of_inverse(mean, settings.scale))
        difference = Difference(float(inverse(mean, settings.scale)), value, error, len(gains) - 1)
        found.append(Comparison(name, *compared, architecture, "reference", difference))
    return found


def all_claims(pairs: pd.DataFrame, pools: Sequence[Pool], named: Sequence[Mapping], settings: Settings) -> list[Claim]:
    """All claims, in the order of the paper. `named` are the experiment's own claims, each with `best` and `shift`."""
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
