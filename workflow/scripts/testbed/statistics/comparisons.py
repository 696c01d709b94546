"""Comparisons of lines as statistical tests: intervals for one comparison, or for all of a family together.

Three kinds of statement need three kinds of interval, so that each claim is tested at one level:

- *all* parts must hold (a source is above every other one): each is tested at the full level, because the claim is made
  only if all tests succeed (intersection-union test; Berger 1982);
- *any* part suffices (some two sources differ): the largest of many noisy differences is large by chance, so intervals
  hold for all of the family at once. The critical value is that of the largest of correlated normal numbers (max-t;
  Hothorn, Bretz and Westfall 2008), drawn with a fixed seed;
- *equal*: the interval must lie within the margin at both ends of the common range (two one-sided tests; Schuirmann 1987).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from testbed.statistics.fits import Combination, Fit
from testbed.statistics.joint_correct import JointCorrect
from testbed.statistics.scales import inverse
from testbed.statistics.settings import Settings

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
HEIGHT, SLOPE, GAIN, FRACTION = "height", "slope", "gain", "fraction"
MOST_TIMES = 30
"""What would take more than this many times the images and models is not computed more closely."""

SHARED_RANGE = 0.5
"""Slopes are compared if the common range of two pools is at least this share of what either covers. The relation between
accuracies is not quite straight, so that lines of other ranges have other slopes."""

DRAWS, DRAWS_SEED, CHUNK = 20_000, 0, 4_000


@dataclass(frozen=True)
class Comparison:
    """The difference of `pool` minus `other` on a shift, for a claim, with interval and verdict.

    `measure` is `height` (percentage points of shifted accuracy at the reference accuracy `at`), `slope` (of the lines, no
    unit), `gain` (percentage points of reference accuracy at equal size) or `fraction` (of the distance between two
    members; `heterogeneity` is then the p-value of one fraction for all). `crossing` is the reference accuracy (fraction) at
    which the two lines cross, if they do so where both have models. `images` and `models` are the parts of the
    standard error, in the same unit. `tests` is the number of comparisons that the interval holds for at once.
    """

    claim: str
    pool: str
    other: str
    architecture: str
    testset: str
    measure: str
    at: float
    value: float
    images: float = np.nan
    models: float = np.nan
    freedom: float = np.nan
    low: float = np.nan
    high: float = np.nan
    tests: int = 1
    verdict: str = UNDECIDED
    lacks: str = ""
    heterogeneity: float = np.nan
    crossing: float = np.nan

    @property
    def error(self) -> float:
        """Standard error."""
        return float(np.hypot(self.images, self.models))

    def turned(self) -> "Comparison":
        """The same comparison in the other direction, before it has an interval."""
        return replace(self, pool=self.other, other=self.pool, value=-self.value)

    def limits(self, critical: float) -> tuple[float, float]:
        """The interval of the normal quantile `critical`, widened for the degrees of freedom."""
        reach = student(critical, self.freedom) * self.error
        return self.value - reach, self.value + reach

    def within(self, critical: float, tests: int = 1) -> "Comparison":
        """This comparison with the interval of `critical`, which holds for `tests` comparisons at once."""
        low, high = self.limits(critical)
        return replace(self, low=low, high=high, tests=tests)


@dataclass(frozen=True)
class Measured:
    """Comparisons of one claim, their joint covariance in correlation form, and whether two pools are equal.

    `equal` has for each comparison whether its pools differ by no more than the margin at both ends of their common range.
    """

    comparisons: tuple[Comparison, ...]
    correlation: NDArray[np.float64]
    equal: tuple[bool, ...]

    def known(self) -> NDArray[np.bool_]:
        return np.array([np.isfinite(one.error) and np.isfinite(one.freedom) for one in self.comparisons], dtype=bool)


def fits_of(
    pairs: pd.DataFrame, settings: Settings, joint: JointCorrect, reference: str, ensembles: Iterable[str] = ()
) -> dict[str, Fit]:
    """The fit of each architecture over all classes, from pairs of `pair_with_reference`."""
    every = pairs[pairs["classes"] == "all"]
    ensembles = [*ensembles]
    return {
        architecture: Fit(points, settings.scale, joint, reference, ensembles)
        for architecture, points in every.groupby("architecture", sort=False)
    }


def compare(
    claim: str,
    fits: Mapping[str, Fit],
    pairs: Sequence[tuple[str, str]],
    settings: Settings,
    slopes: bool = False,
    shifts: Sequence[str] | None = None,
) -> Measured:
    """The comparisons of each pair of pools on each shift, for every architecture where both have a line.

    Pools are compared in height. With `slopes` they are compared in slope, too, `equal` is measured, and errors are
    cautious: one difference of any pair is then enough for the claim. Pools without a common range give a comparison
    without a value.
    """
    found, blocks, equal = [], [], []
    for architecture, fit in fits.items():
        rows, combinations, ends, places = [], [], [], []
        for shift in fit.shifts if shifts is None else [shift for shift in fit.shifts if shift in shifts]:
            for pool, other in pairs:
                if not (fit.has_line(shift, pool) and fit.has_line(shift, other)):
                    continue
                x = fit.common_reference(shift, [pool, other], settings.compare_at)
                named = claim, pool, other, architecture, shift
                if np.isnan(x):
                    rows.append(Comparison(*named, HEIGHT, np.nan, np.nan))
                    combinations.append(None)
                    places.append(-1)
                    continue
                if slopes:
                    limits = fit.common_range(shift, [pool, other])
                    ends += [fit.accuracy(shift, pool, end) - fit.accuracy(shift, other, end) for end in limits]
                at = float(inverse(x, fit.scale))
                crossing = float(inverse(fit.crossing(shift, pool, other), fit.scale))
                rows.append(Comparison(*named, HEIGHT, at, np.nan, crossing=crossing))
                combinations.append(fit.accuracy(shift, pool, x) - fit.accuracy(shift, other, x))
                places.append(len(ends) // 2 - 1)
                if slopes:
                    rows.append(Comparison(*named, SLOPE, at, np.nan, crossing=crossing))
                    alike = fit.shared_range(shift, [pool, other]) >= SHARED_RANGE
                    combinations.append(fit.slope(shift, pool) - fit.slope(shift, other) if alike else None)
                    places.append(len(ends) // 2 - 1)
        measured, correlation = measure(fit, rows, combinations, cautious=slopes)
        found += measured
        same = _within_margin(fit, ends, settings)
        equal += [place >= 0 and bool(same[place]) for place in places]
        blocks.append(correlation)
    return Measured(tuple(found), _block_diagonal(blocks), tuple(equal))


def measure(
    fit: Fit, rows: Sequence[Comparison], combinations: Sequence[Combination | None], cautious: bool = False
) -> tuple[list[Comparison], NDArray[np.float64]]:
    """The comparisons `rows` with the values and errors of their `combinations`, and the correlations of their errors.

    `cautious` errors are for a claim that any one comparison can support.
    """
    known = [place for place, one in enumerate(combinations) if one is not None]
    correlation = np.eye(len(rows))
    measured = [*rows]
    if known:
        uncertainty = fit.uncertainty([combinations[place] for place in known], cautious)
        images, models = (np.sqrt(part.diagonal()) for part in (uncertainty.images, uncertainty.models))
        for number, place in enumerate(known):
            measured[place] = replace(
                rows[place],
                value=combinations[place].value,
                images=float(images[number]),
                models=float(models[number]),
                freedom=float(uncertainty.freedom[number]),
            )
        error = np.where(uncertainty.error > 0, uncertainty.error, 1.0)
        correlation[np.ix_(known, known)] = uncertainty.covariance / np.outer(error, error)
        np.fill_diagonal(correlation, 1.0)
    return measured, correlation


def _within_margin(fit: Fit, ends: Sequence[Combination], settings: Settings) -> NDArray[np.bool_]:
    """Whether both of each two differences in `ends` are within the margin, with their intervals."""
    if not ends:
        return np.zeros(0, dtype=bool)
    within = []
    # In parts: what ends have in common is not needed, and takes time and memory with the square of their number.
    for start in range(0, len(ends), 200):
        own = ends[start : start + 200]
        values = np.array([one.value for one in own])
        low, high = fit.uncertainty(own).interval(values, settings.line_confidence)
        within.append((low >= -settings.margin) & (high <= settings.margin))
    return np.concatenate(within).reshape(-1, 2).all(axis=1)


def critical_value(confidence: float) -> float:
    """The normal quantile of a two-sided interval."""
    return float(ndtri((1 + confidence) / 2))


def joint_critical_value(correlation: NDArray[np.float64], confidence: float, sides: int = 2) -> float:
    """The normal quantile so that intervals of normal numbers with this `correlation` (k, k) hold all at once.

    With one side, it is the quantile at which the largest number exceeds it as rarely as one end of a two-sided interval.
    """
    if len(correlation) < 2:
        return critical_value(confidence)
    root = _root(correlation).astype(np.float32)
    rng = np.random.default_rng(DRAWS_SEED)
    largest = []
    for _ in range(DRAWS // CHUNK):
        drawn = rng.standard_normal((CHUNK, len(root)), dtype=np.float32) @ root
        largest.append((np.abs(drawn) if sides == 2 else drawn).max(axis=1))
    level = confidence if sides == 2 else (1 + confidence) / 2
    return max(float(np.quantile(np.concatenate(largest), level)), critical_value(confidence))


def _root(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix (rank, k) whose columns have the inner products `correlation` (k, k): pivoted Cholesky decomposition.

    Thousands of differences between some lines depend on few numbers, so that the rank is far below k.
    """
    left, rows = correlation.diagonal().copy(), []
    while len(rows) < len(correlation) and left.max() > 1e-6:
        pivot = int(left.argmax())
        row = correlation[pivot] - sum((one[pivot] * one for one in rows), np.zeros(len(left)))
        row /= np.sqrt(left[pivot])
        rows.append(row)
        left -= row**2
        left[pivot] = 0.0
    return np.stack(rows)


def student(critical: float, freedom: float) -> float:
    """Student's quantile with `freedom` degrees at the level of the normal quantile `critical`; NaN without degrees."""
    if not freedom > 0:
        return np.nan
    return critical if np.isinf(freedom) else float(stdtrit(freedom, ndtr(critical)))


def family_critical(measured: Measured, confidence: float, sides: int = 2, signs: NDArray | None = None) -> float:
    """The critical value for all comparisons of `measured` that have an error.

    `signs` (k,) selects comparisons: 1 for one as it is, -1 for one in the other direction, 0 for none.
    """
    signs = np.ones(len(measured.comparisons)) if signs is None else signs
    known = measured.known() & (signs != 0)
    correlation = measured.correlation[np.ix_(known, known)] * np.outer(signs[known], signs[known])
    return joint_critical_value(correlation, confidence, sides)


def what_it_lacks(one: Comparison, margin: float = 0.0) -> str:
    """What an undecided comparison would need to be decided, if its value is right: images, models, and how many times.

    The value must be as far from 0 as the interval reaches, or, where that is nearer and `margin` is given, the interval
    must fit into the margin.
    """
    if one.measure in (HEIGHT, SLOPE) and np.isnan(one.value):
        return "models of both in one range of reference accuracies: other sizes"
    if not np.isfinite(one.low) or one.error <= 0:
        return "models to tell how much they vary"
    needed = max(abs(one.value), margin - abs(one.value)) / ((one.high - one.low) / 2 / one.error)
    images, models, allowed = one.images**2, one.models**2, needed**2
    if images + models <= allowed:
        return ""
    if images + models > MOST_TIMES * allowed:
        return f"more than {MOST_TIMES} times as many images and models"
    for name, part, rest in (("images", images, models), ("models", models, images)):
        if part >= rest and rest < 0.7 * allowed:
            return f"about {part / (allowed - rest):.1f} times as many {name}"
    return f"about {(images + models) / allowed:.1f} times as many images and models"


def _block_diagonal(blocks: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    size = sum(len(block) for block in blocks)
    whole, start = np.eye(size), 0
    for block in blocks:
        whole[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    return whole
