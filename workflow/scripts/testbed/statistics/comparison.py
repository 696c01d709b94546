"""Comparison of pools' lines at a common reference accuracy, with simultaneous confidence intervals.

On one shift every pool has its own least-squares line through its models' scaled accuracies, and all lines share one
residual variance (analysis of covariance with separate slopes; Snedecor and Cochran 1989, chapter 18). So a few models per
pool give enough degrees of freedom for Student's t.
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
    """The line of one pool, and the mean, sum of squared deviations and range of its scaled reference accuracies."""

    line: Line
    x_mean: float
    x_spread: float
    x_min: float
    x_max: float

    def leverage(self, x: float) -> float:
        """Variance of the line's value at scaled `x`, in units of the residual variance."""
        return 1 / self.line.n + (x - self.x_mean) ** 2 / self.x_spread


@dataclass(frozen=True)
class Difference:
    """The difference of two lines at the reference accuracy `at` (fraction), in percentage points.

    `error` is its standard error with `freedom` degrees of freedom. NaN if the two cannot be compared.
    """

    at: float
    value: float
    error: float
    freedom: int

    def interval(self, confidence: float, tests: int = 1) -> Estimate:
        """The difference with its confidence interval, corrected for `tests` simultaneous intervals (Bonferroni)."""
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

    def common_reference(self, names: Sequence[str], at: float = 0.0) -> float:
        """The reference accuracy (fraction) at which pools are compared; NaN if their ranges do not overlap.

        A positive `at` is used if it is in the ranges of all pools, otherwise NaN. If `at` is 0, it is the midpoint, on the
        scale, of the range that all pools share.
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
        """Shifted accuracy (fraction) of a pool's line at the reference accuracy `at`; NaN if it has no line."""
        if name not in self.pools or np.isnan(at):
            return np.nan
        return float(inverse(self.pools[name].line.at(float(transform(at, self.scale))), self.scale))

    def difference(self, one: str, other: str, at: float) -> Difference:
        """The difference of `one` minus `other` at the reference accuracy `at`; its error is from the delta method."""
        if np.isnan(at) or one not in self.pools or other not in self.pools:
            return Difference(at, np.nan, np.nan, self.freedom)
        x = float(transform(at, self.scale))
        variance = 0.0
        for name in (one, other):
            pool = self.pools[name]
            derivative = float(slope_of_inverse(pool.line.at(x), self.scale))
            variance += derivative**2 * self.variance * pool.leverage(x)
        value = self.height(one, at) - self.height(other, at)
        return Difference(at, 100 * value, 100 * float(np.sqrt(variance)), self.freedom)


def fit_lines(points: pd.DataFrame, scale: str) -> Lines:
    """The lines of the pools in `points`, which are pairs (see `pair_with_reference`) on one shift.

    Models with an accuracy of exactly 0 or 1 have no finite logit or probit and are left out. Pools with fewer than two
    distinct reference accuracies have no line. The variance is NaN if there are not more models than parameters.
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
