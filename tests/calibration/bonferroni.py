"""The rules by which this workflow decided claims up to version 0.3, for comparison with today's.

One regression per shift with a line for each pool and one residual variance (analysis of covariance); every model counts as
independent, seeds included, and test images enter only through the residuals. All comparisons of a claim are corrected
together (Bonferroni), claims about all parts included. A difference that is within the margin counts against a claim about
its direction.
"""

from itertools import combinations

import numpy as np
from scipy.special import expit, logit, stdtrit

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
LEVEL, MARGIN = 0.05, 1.0
FORMER_CLAIMS = (
    *("sources_differ", "no_best_source", "best_on_shift_1", "mixing_dilutes", "mixing_beats_the_worst"),
    *("output_mixing_predicts", "filtering_moves_the_line"),
)
"""The claims of version 0.3 in the calibration."""


class Ancova:
    """The lines of all pools on one shift, with one residual variance."""

    def __init__(self, points):
        self.pools, squares, self.freedom = {}, 0.0, 0
        for pool, own in points.groupby("pool", sort=False):
            x, y = logit(own["reference_value"].to_numpy()), logit(own["value"].to_numpy())
            finite = np.isfinite(x) & np.isfinite(y)
            x, y = x[finite], y[finite]
            if np.unique(x).size < 2:
                continue
            spread = np.sum((x - x.mean()) ** 2)
            slope = np.sum((x - x.mean()) * (y - y.mean())) / spread
            self.pools[pool] = slope, y.mean() - slope * x.mean(), len(x), x.mean(), spread, x.min(), x.max()
            squares += np.sum((y - y.mean() - slope * (x - x.mean())) ** 2)
            self.freedom += len(x) - 2
        self.variance = squares / self.freedom if self.freedom > 0 else np.nan

    def at(self, names):
        low, high = max(self.pools[name][5] for name in names), min(self.pools[name][6] for name in names)
        return (low + high) / 2 if low <= high else np.nan

    def height(self, name, x):
        slope, intercept, *_ = self.pools[name]
        return 100 * expit(slope * x + intercept)

    def difference(self, one, other, x):
        """Points between two lines at scaled `x`, and the standard error; NaN without a common range."""
        variance = 0.0
        for name in (one, other):
            slope, intercept, n, mean, spread, *_ = self.pools[name]
            value = expit(slope * x + intercept)
            variance += (value * (1 - value)) ** 2 * self.variance * (1 / n + (x - mean) ** 2 / spread)
        return self.height(one, x) - self.height(other, x), 100 * np.sqrt(variance)


def verdicts(differences, freedoms, labels, tests=None, small_counts=False):
    """Verdicts on (value, error) pairs: above 0, below 0, within the margin."""
    tests = max(1, sum(np.isfinite(error) for _, error in differences) if tests is None else tests)
    found = []
    for (value, error), freedom in zip(differences, freedoms, strict=True):
        reach = stdtrit(freedom, 1 - LEVEL / (2 * tests)) * error if freedom > 0 else np.nan
        low, high = value - reach, value + reach
        if np.isnan(low):
            found.append(UNDECIDED)
        elif max(-low, high) <= MARGIN and not ((low > 0 or high < 0) and small_counts):
            found.append(labels[2])
        else:
            found.append(labels[0] if low > 0 else labels[1] if high < 0 else UNDECIDED)
    return found


def former_verdicts(pairs, sources, mixtures, named, filters=()):
    """The former verdict on each claim; `mixtures` has (name, members, ensemble), `named` (best, shift)."""
    lines = {shift: Ancova(points) for shift, points in pairs.groupby("testset", sort=False)}

    def compared(wanted):
        keys = [(lines[shift], one, other, also) for shift, one, other, also in wanted]
        found = [own.difference(one, other, own.at([one, other, *also])) for own, one, other, also in keys]
        return found, [own.freedom for own, *_ in keys]

    answer = {}
    pairs_of = [*combinations(sources, 2)]
    found = compared([(shift, *pair, ()) for pair in pairs_of for shift in lines])
    answer["sources_differ"] = _any(verdicts(*found, (SUPPORTED, SUPPORTED, CONTRADICTED)))
    ordered = [(one, other) for one in sources for other in sources if one != other]
    found = compared([(shift, *pair, ()) for pair in ordered for shift in lines])
    decided = verdicts(*found, (SUPPORTED, CONTRADICTED, UNDECIDED), tests=len(found[0]) // 2)
    against = {
        source: [
            one
            for one, (pair, _) in zip(decided, [(p, s) for p in ordered for s in lines], strict=True)
            if pair[1] == source
        ]
        for source in sources
    }
    if all(SUPPORTED in own for own in against.values()):
        answer["no_best_source"] = SUPPORTED
    else:
        lost = any(set(own) == {CONTRADICTED} for own in against.values())
        answer["no_best_source"] = CONTRADICTED if lost else UNDECIDED
    for best, shift in named:
        found = compared([(shift, best, other, ()) for other in sources if other != best])
        answer[f"best_on_{shift}"] = _all(verdicts(*found, (SUPPORTED, CONTRADICTED, CONTRADICTED)))
    unequal = []
    for shift, own in lines.items():
        for mixture, members, _ in mixtures:
            x = own.at([mixture, *members])
            if not np.isnan(x):
                ordered_members = sorted(members, key=lambda name, own=own, x=x: own.height(name, x))
                unequal.append((shift, mixture, members, ordered_members[-1], ordered_members[0]))
    found = compared([(shift, best, worst, [mixture, *members]) for shift, mixture, members, best, worst in unequal])
    differ = verdicts(*found, (SUPPORTED, SUPPORTED, UNDECIDED))
    unequal = [one for one, verdict in zip(unequal, differ, strict=True) if verdict == SUPPORTED]
    labels = SUPPORTED, CONTRADICTED, CONTRADICTED
    below = compared([(shift, best, mixture, members) for shift, mixture, members, best, _ in unequal])
    answer["mixing_dilutes"] = _all(verdicts(*below, labels, small_counts=True))
    above = compared([(shift, mixture, worst, members) for shift, mixture, members, _, worst in unequal])
    answer["mixing_beats_the_worst"] = _all(verdicts(*above, labels, small_counts=True))
    found = compared([(shift, mixture, other, ()) for shift in lines for mixture, _, other in mixtures if other])
    answer["output_mixing_predicts"] = _all(verdicts(*found, (UNDECIDED, UNDECIDED, SUPPORTED)))
    found = compared([(shift, one, of, ()) for shift in lines for one, of in filters])
    answer["filtering_moves_the_line"] = _any(verdicts(*found, (SUPPORTED, SUPPORTED, CONTRADICTED)))
    return answer


def _any(found):
    if SUPPORTED in found:
        return SUPPORTED
    return CONTRADICTED if found and set(found) == {CONTRADICTED} else UNDECIDED


def _all(found):
    if CONTRADICTED in found:
        return CONTRADICTED
    return SUPPORTED if found and set(found) == {SUPPORTED} else UNDECIDED
