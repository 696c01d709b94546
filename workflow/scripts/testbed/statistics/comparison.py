"""Lines of several pools compared at a common reference accuracy, with intervals that hold for all comparisons together.

On one shift every pool has a least-squares line of its own through its models' scaled accuracies, and all lines share one
residual variance (analysis of covariance with separate slopes; Snedecor and Cochran 1989, chapter 18). Few models per pool
then still give enough degrees of freedom for Student's t.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from testbed.statistics.lines import Estimate, Line, fit_line
from testbed.statistics.scales import inverse, slope_of_inverse, transform


@dataclass(frozen=True)
class PoolLine:
    """The line of one pool: `x_mean` and `x_spread` (sum of squares) of its scaled reference accuracies, and their ends."""

    line: Line
    x_mean: float
    x_spread: float
    x_min: float
    x_max: float

    def leverage(self, x: float) -> float:
        """Variance of the line's height at scaled `x`, in units of the residual variance."""
        return 1 / self.line.n + (x - self.x_mean) ** 2 / self.x_spread


@dataclass(frozen=True)
class Difference:
    """How much higher one line is than another at the reference accuracy `at` (fraction), in percentage points.

    `error` is its standard error with `freedom` degrees of freedom. NaN where the two cannot be compared.
    """

    at: float
    value: float
    error: float
    freedom: int

    def interval(self, confidence: float, tests: int = 1) -> Estimate:
        """The difference with an interval that holds at once for `tests` such intervals (Bonferroni)."""
        if self.freedom < 1 or not np.isfinite(self.error):
            return Estimate(self.value, np.nan, np.nan)
        reach = float(stdtrit(self.freedom, 1 - (1 - confidence) / (2 * tests))) * self.error
        return Estimate(self.value, self.value - reach, self.value + reach)

    def __neg__(self) -> "Difference":
        return Difference(self.at, -self.value, self.error, self.freedom)


@dataclass(frozen=True)
class Lines:
    """The lines of all pools on one shift, their residual `variance` on the scale and its degrees of `freedom`."""

    pools: Mapping[str, PoolLine]
    variance: float
    freedom: int
    scale: str

    def common(self, names: Sequence[str], at: float = 0.0) -> float:
        """The reference accuracy (fraction) at which pools are compared; NaN where they have none in common.

        `at` where it is above 0 and all pools reach it, and otherwise the middle, on the scale, of the range that all have.
        """
        if any(name not in self.pools for name in names):
            return np.nan
        low = max(self.pools[name].x_min for name in names)
        high = min(self.pools[name].x_max for name in names)
        if low > high:
            return np.nan
        if at > 0:
            return at if low <= float(transform(at, self.scale)) <= high else np.nan
        return float(inverse((low + high) / 2, self.scale))

    def height(self, name: str, at: float) -> float:
        """Shifted accuracy (fraction) of a pool's line at the reference accuracy `at`; NaN where it has no line."""
        if name not in self.pools or np.isnan(at):
            return np.nan
        return float(inverse(self.pools[name].line.at(float(transform(at, self.scale))), self.scale))

    def difference(self, one: str, other: str, at: float) -> Difference:
        """By how much `one` is above `other` at the reference accuracy `at`; its error by the delta method."""
        if np.isnan(at) or one not in self.pools or other not in self.pools:
            return Difference(at, np.nan, np.nan, self.freedom)
        x = float(transform(at, self.scale))
        variance = 0.0
        for name in (one, other):
            pool = self.pools[name]
            steepness = float(slope_of_inverse(pool.line.at(x), self.scale))
            variance += steepness**2 * self.variance * pool.leverage(x)
        value = self.height(one, at) - self.height(other, at)
        return Difference(at, 100 * value, 100 * float(np.sqrt(variance)), self.freedom)


def fit_lines(points: pd.DataFrame, scale: str) -> Lines:
    """The lines through the models of each pool in `points`, pairs (see `pair_with_reference`) on one shift.

    Models at exactly 0 or 1 have no place on logit and probit scales and are left out; pools with fewer than two distinct
    reference accuracies have no line. Without more models than parameters the variance is NaN.
    """
    pools, squares, freedom = {}, 0.0, 0
    for name, own in points.groupby("pool", sort=False):
        x, y = transform(own["reference_value"], scale), transform(own["value"], scale)
        on_scale = np.isfinite(x) & np.isfinite(y)
        x, y = x[on_scale], y[on_scale]
        line = fit_line(x, y)
        if np.isnan(line.slope):
            continue
        pools[name] = PoolLine(line, x.mean(), float(np.sum((x - x.mean()) ** 2)), x.min(), x.max())
        squares += float(np.sum((y - line.at(x)) ** 2))
        freedom += line.n - 2
    return Lines(pools, squares / freedom if freedom else np.nan, freedom, scale)
