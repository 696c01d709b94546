"""Intervals of accuracies, least-squares lines of scaled accuracies, and effective robustness.

Sources: Clopper and Pearson 1934 (interval of one accuracy); Taori et al. 2020 and their modestyachts/imagenet-testbed
(line, bootstrap, effective robustness); Miller et al. 2021 (the same line on the probit scale); Zou and Donner 2008
(interval of a difference from the intervals of its parts).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from testbed.statistics.scales import inverse, transform

BOOTSTRAP_SEED = 720257663


class Estimate(NamedTuple):
    """A value with the limits of its interval, in the same unit; the limits are NaN if there is no interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """The line y = slope * x + intercept of scaled accuracies, fitted to `n` points; NaN if they determine no line."""

    n: int
    slope: float
    intercept: float
    r2: float

    def at(self, scaled: ArrayLike) -> NDArray[np.float64]:
        """Scaled y at scaled x (any shape); x may be infinite."""
        # 0 * infinity is NaN, but a horizontal line has the same value everywhere
        return np.where(self.slope == 0, self.intercept, (self.slope or 1.0) * np.asarray(scaled) + self.intercept)


def clopper_pearson(
    correct: ArrayLike, n: ArrayLike, confidence: float = 0.995
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limits of the exact binomial interval of `correct` / `n`, as fractions in their broadcast shape.

    low = BetaInv(alpha/2; k, n-k+1) and high = BetaInv(1-alpha/2; k+1, n-k) with alpha = 1 - confidence (Clopper and
    Pearson 1934). The lower limit for k = 0 is 0, the upper limit for k = n is 1. The default is the reference
    implementation's 99.5 %. `correct` need not be an integer: the reference implementation does not round accuracy * n.

    Raises `ValueError` for a confidence outside of (0, 1), n <= 0, and `correct` outside of [0, n].
    """
    correct, n = np.broadcast_arrays(np.asarray(correct, dtype=np.float64), np.asarray(n, dtype=np.float64))
    _check_confidence(confidence)
    if not np.all((n > 0) & (correct >= 0) & (correct <= n)):
        raise ValueError("an interval needs n > 0 and 0 <= correct <= n in every place; check the counts")
    tail = (1 - confidence) / 2
    # the Beta functions are undefined at k = 0 (low) and k = n (high): a valid placeholder, replaced below
    low = betaincinv(np.where(correct == 0, 1, correct), n - correct + 1, tail)
    high = betaincinv(correct + 1, np.where(correct == n, 1, n - correct), 1 - tail)
    return np.where(correct == 0, 0.0, low), np.where(correct == n, 1.0, high)


def fit_line(x: ArrayLike, y: ArrayLike) -> Line:
    """The ordinary least-squares line of scaled accuracies `y` on `x`, both finite and of shape (n,).

    Slope, intercept and r2 are NaN for fewer than two distinct x. r2 is NaN if all y are equal.
    Raises `ValueError` for shapes that differ and for values that are not finite.
    """
    x, y = _finite_points(x, y)
    if x.size == 0:
        return Line(0, np.nan, np.nan, np.nan)
    slope, intercept = _least_squares(x[None, :], y[None, :])[0]
    spread = np.sum((y - y.mean()) ** 2)
    explained = 1 - np.sum((y - slope * x - intercept) ** 2) / spread if np.ptp(y) > 0 else np.nan
    return Line(x.size, float(slope), float(intercept), float(explained))


def bootstrap_lines(
    x: ArrayLike, y: ArrayLike, resamples: int = 1000, seed: int = BOOTSTRAP_SEED
) -> NDArray[np.float64]:
    """Slopes and intercepts of the lines of resampled points (pairs bootstrap), of shape (kept, 2).

    Draws `RandomState(seed).choice(n, n)` `resamples` times, as modestyachts/imagenet-testbed does. Resamples in which
    all x are equal have no line and are skipped, so kept may be less than resamples. Kept is 0 for fewer than three
    distinct points. Intervals of few points are rough: with four points, a third of the resamples have only two distinct
    points, so that a band can become very wide. On simulated lines with homoscedastic noise, 95 % intervals contained the
    true slope and intercept in 92 and 81 % of the cases with four points, 90 and 85 % with six, 93 and 94 % with 24.

    Raises `ValueError` as `fit_line` does, and for fewer than one resample.
    """
    x, y = _finite_points(x, y)
    if resamples < 1:
        raise ValueError(f"{resamples} resamples give no interval; use 1 or more, such as 1000")
    if len(set(zip(x, y, strict=True))) < 3:
        return np.empty((0, 2))
    drawn = np.random.RandomState(seed).choice(x.size, (resamples, x.size))
    lines = _least_squares(x[drawn], y[drawn])
    return lines[~np.isnan(lines[:, 0])]


def percentile_interval(
    samples: ArrayLike, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limits of the percentile interval over the first axis of `samples` (kept, ...), each of shape (...).

    The limits are samples: the next ones outwards (numpy's methods `lower` and `higher`), as in
    modestyachts/imagenet-testbed. They are NaN without samples. Raises `ValueError` for a confidence outside of (0, 1).
    """
    samples = np.asarray(samples, dtype=np.float64)
    _check_confidence(confidence)
    if len(samples) == 0:
        gap = np.full(samples.shape[1:], np.nan)
        return gap, gap.copy()
    tail = 50 * (1 - confidence)
    low = np.percentile(samples, tail, axis=0, method="lower")
    return low, np.percentile(samples, 100 - tail, axis=0, method="higher")


def line_band(
    lines: NDArray[np.float64], scaled: ArrayLike, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limits (m,) of a line's band at `scaled` reference accuracies (m,), as scaled shifted accuracies.

    `lines` are those of `bootstrap_lines`, of shape (kept, 2); the band is NaN without lines. The band is pointwise. As its
    limits are samples and scales are monotone, transforming it back gives the band of the accuracies.
    """
    return percentile_interval(lines[:, :1] * np.asarray(scaled, dtype=np.float64) + lines[:, 1:], confidence)


def predict(
    line: Line, lines: NDArray[np.float64], reference: float, scale: str = "logit", confidence: float = 0.95
) -> Estimate:
    """Shifted accuracy (fraction) that the line predicts at the reference accuracy (fraction in (0, 1)), with interval.

    The interval is that of the line only, from its bootstrap `lines` (kept, 2), and NaN without them.
    """
    scaled = transform([reference], scale)
    low, high = line_band(lines, scaled, confidence)
    return Estimate(*(float(inverse(value, scale)[0]) for value in (line.at(scaled), low, high)))


def effective_robustness(
    shifted: Estimate,
    reference: Estimate,
    line: Line,
    lines: NDArray[np.float64],
    scale: str = "logit",
    confidence: float = 0.95,
) -> Estimate:
    """Shifted accuracy minus the baseline's prediction at the reference accuracy, in percentage points.

    rho = 100 * (shifted - T^-1(slope * T(reference) + intercept)), Taori et al. 2020. `shifted` and `reference` are
    accuracies (fractions) with their binomial intervals; `line` and `lines` are the baseline's, see `bootstrap_lines`.

    The interval combines three independent uncertainties, which must all have the same `confidence`: the images of the
    shifted test set, the images of the reference test set (its interval, propagated through the line), and the baseline's
    line (its bootstrap). For each limit, the distances from the estimate are added in quadrature (MOVER, Zou and Donner
    2008), which needs no more random numbers. The variance between training seeds is not included.

    The result is NaN for a reference accuracy without a finite scaled value, and for a baseline without a line. Without
    bootstrap lines, the limits are NaN.
    """
    scaled = transform(reference.value, scale)
    if not np.isfinite(scaled) or np.isnan(line.slope):
        return Estimate(np.nan, np.nan, np.nan)
    expected = predict(line, lines, reference.value, scale, confidence)
    propagated = inverse(line.at(transform([reference.low, reference.high], scale)), scale)
    below = np.hypot(_above_zero(expected.value - expected.low), _above_zero(expected.value - propagated.min()))
    above = np.hypot(_above_zero(expected.high - expected.value), _above_zero(propagated.max() - expected.value))
    value = shifted.value - expected.value
    low = value - np.hypot(shifted.value - shifted.low, above)
    high = value + np.hypot(shifted.high - shifted.value, below)
    return Estimate(100 * value, 100 * float(low), 100 * float(high))


def _above_zero(distance: float) -> float:
    # a bootstrap interval may not contain the estimate; such a limit adds 0. NaN stays NaN
    return float(np.maximum(distance, 0.0))


def _least_squares(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope and intercept (rows, 2) for each row of `x` and `y` (rows, n); NaN if all x of a row are equal."""
    x_mean, y_mean = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    spread = np.sum((x - x_mean) ** 2, axis=1)
    # tested on x: the sum of squared deviations of equal values need not be exactly 0
    spread[np.ptp(x, axis=1) == 0] = np.nan
    slope = np.sum((x - x_mean) * (y - y_mean), axis=1) / spread
    return np.stack([slope, y_mean[:, 0] - slope * x_mean[:, 0]], axis=1)


def _finite_points(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x has the shape {x.shape} and y {y.shape}; a line needs one x and one y per model")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a scaled accuracy is not finite; remove accuracies of exactly 0 and 1 before the fit")
    return x, y


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not within (0, 1); write 95 % as 0.95")
