"""Linear contrastive learning on pairs of which a part is mismatched, with and without a teacher's filter.

The model of Pareek, Oh and Du 2025, "Understanding the Gain from Data Filtering in Multimodal Contrastive Learning":
x = U z + xi and x~ = U~ z~ + xi~ with z, z~ ~ N(0, I_r) and noise of variance 1 / gamma in each coordinate; a pair is
clean (z~ = z) with probability eta, and otherwise z~ is independent of z. The linear contrastive loss is solved by the
top r singular vectors of the centred cross-covariance. All of it is equivariant under rotations, so that U and U~ are
the first r unit vectors here.

The error is how far the subspaces learnt are from those of U and U~: the Frobenius norm of the sines of the principal
angles, of both sides together (the root of their sum of squares).

`leading_error` is derived here and no statement of that paper's, which gives rates up to constants.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import chi2

Floats = NDArray[np.float64]

# of the integral over the squared length of the signal
POINTS = 8001
# among which the best threshold is searched, in units of r
THRESHOLDS = np.linspace(0, 3, 61)


@dataclass(frozen=True)
class Pairs:
    """Dimensions of the two modalities and of their signal (d, d~, r), and gamma, the precision of the noise of both.

    The default dimensions are those of the experiment of Pareek, Oh and Du 2025, whose gamma is 10,000.
    """

    precision: float
    image: int = 10
    text: int = 8
    signal: int = 4

    @property
    def variance(self) -> float:
        """Of each coordinate within the signal, 1 + 1 / gamma."""
        return 1 + 1 / self.precision

    def least_samples(self, clean: float) -> float:
        """Samples that both of the statements ask for, without their constant: max(d, d~) (1 + 1/gamma)^2 / eta^2."""
        return max(self.image, self.text) * self.variance**2 / clean**2


class Encoders(NamedTuple):
    """Orthonormal columns (d, r) and (d~, r) that pairs are compared along, and the singular values (r,)."""

    image: Floats
    text: Floats
    values: Floats

    def scores(self, images: Floats, texts: Floats) -> Floats:
        """Similarity (n,) of each pair, in units of <z, z~>: singular values are divided by their mean."""
        return np.sum((images @ (self.image * (self.values / self.values.mean()))) * (texts @ self.text), axis=1)

    def error(self) -> float:
        """Chordal distance from the first r unit vectors, of both sides together."""
        signal = len(self.values)
        return float(np.hypot(np.linalg.norm(self.image[signal:]), np.linalg.norm(self.text[signal:])))


def learn(images: Floats, texts: Floats, signal: int) -> Encoders:
    """The solution of the linear contrastive loss on pairs (n, d), (n, d~) (Nakada et al. 2023): top singular vectors."""
    covariance = images.T @ texts / len(images) - np.outer(images.mean(axis=0), texts.mean(axis=0))
    left, values, right = np.linalg.svd(covariance)
    return Encoders(left[:, :signal], right[:signal].T, values[:signal])


def learn_filtered(images: Floats, texts: Floats, signal: int, threshold: float) -> Encoders:
    """A student of what its teacher keeps: train on one half, keep scores above `threshold` of the other, train on it."""
    half = len(images) // 2
    teacher = learn(images[:half], texts[:half], signal)
    kept = teacher.scores(images[half:], texts[half:]) > threshold
    return learn(images[half:][kept], texts[half:][kept], signal)


def leading_error(pairs: Pairs, clean: float, samples: int, threshold: float | None = None) -> float:
    """Leading term of the root mean square error, for many samples; with a `threshold`, of `learn_filtered`.

    Without a filter, the subspace of one side is off by the noise beside its signal over the signal's strength, in
    squares (d - r) r (1 + 1/gamma) / (gamma n eta^2). A student learns from m = n/2 P samples, P the kept fraction, and
    two parts add up: its own, (d - r) / gamma E[|x~_r|^2 | kept] / (m (E[s | kept] / r)^2) with the score
    s = <x_r, x~_r> within the signal; and its teacher's error times f(threshold) E[|x~_r|^2 | s = threshold] /
    (gamma P E[s | kept]), f the density of s, since a tilted teacher keeps pairs whose noise is tilted as well. With
    the threshold 0 and eta near 0, that factor is 1 / (1 + gamma).
    """
    sides = [(size - pairs.signal) / pairs.precision for size in (pairs.image, pairs.text)]
    beside = sum(sides)
    unfiltered = beside * pairs.signal * pairs.variance / clean**2
    if threshold is None:
        return float(np.sqrt(unfiltered / samples))
    kept = _moments(pairs, clean, threshold)
    own = beside * kept.square * (pairs.signal / kept.score) ** 2
    inherited = (kept.edge / (pairs.precision * kept.score)) ** 2 * unfiltered
    return float(np.sqrt((own + inherited) / (samples / 2)))


def with_best_threshold(pairs: Pairs, clean: float, samples: int) -> float:
    """The least `leading_error` that a threshold from 0 to 3 r gives."""
    return min(leading_error(pairs, clean, samples, threshold) for threshold in THRESHOLDS * pairs.signal)


class _Moments(NamedTuple):
    """Of a pair's score s and x~_r: E[s; kept], E[|x~_r|^2; kept] and density at the threshold times E[|x~_r|^2 | s]."""

    score: float
    square: float
    edge: float


@cache
def _moments(pairs: Pairs, clean: float, threshold: float) -> _Moments:
    """Integrals over |x~_r|^2 = v chi^2_r with v = 1 + 1/gamma, given which the score is normal.

    Its mean and variance are |x~_r|^2 / v and |x~_r|^2 (v - 1 / v) for a clean pair, 0 and |x~_r|^2 v for another.
    """
    variance = pairs.variance
    square = variance * _quantiles(pairs.signal)
    total = np.zeros(3)
    for share, mean, spread in (
        (clean, square / variance, square * (variance - 1 / variance)),
        (1 - clean, np.zeros(POINTS), square * variance),
    ):
        deviation = np.sqrt(spread)
        place = (mean - threshold) / deviation
        density = np.exp(-(place**2) / 2) / (np.sqrt(2 * np.pi) * deviation)
        above = ndtr(place)
        parts = (mean * above + spread * density, square * above, square * density)
        total += share * np.mean(parts, axis=1)
    return _Moments(*total)


@cache
def _quantiles(signal: int) -> Floats:
    """Middles of equally likely parts of the chi^2 distribution, so that means over them are its integrals."""
    return chi2.ppf((np.arange(POINTS) + 0.5) / POINTS, signal)
