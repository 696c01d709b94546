"""Linear contrastive learning on partly mismatched pairs, with and without a teacher's filter.

The model of Pareek, Oh and Du 2025, "Understanding the Gain from Data Filtering in Multimodal Contrastive Learning":
x = U z + xi and x~ = U~ z~ + xi~ with z, z~ ~ N(0, I_r) and noise of variance 1 / gamma in each coordinate; a pair is
clean (z~ = z) with probability eta, and otherwise z~ is independent of z. The linear contrastive loss is solved by the
top r singular vectors of the centred cross-covariance. The model is equivariant under rotations, so here U and U~ are the
first r unit vectors.

The error is the distance of the learnt subspaces from those of U and U~: the Frobenius norm of the sines of the principal
angles of both modalities together (the root of their sum of squares).

`leading_error` is derived here. The paper does not state it; it gives rates up to constants.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import chi2

Floats = NDArray[np.float64]

# quantiles for the integral over the squared norm of the signal
POINTS = 8001
# candidates for the best threshold, in units of r
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
        """Variance of each coordinate within the signal's subspace, 1 + 1 / gamma."""
        return 1 + 1 / self.precision

    def minimum_samples(self, clean: float) -> float:
        """Samples that both statements require, up to a constant: max(d, d~) (1 + 1/gamma)^2 / eta^2."""
        return max(self.image, self.text) * self.variance**2 / clean**2


class Encoders(NamedTuple):
    """Encoders of images and texts with orthonormal columns, (d, r) and (d~, r), and the singular values (r,)."""

    image: Floats
    text: Floats
    values: Floats

    def scores(self, images: Floats, texts: Floats) -> Floats:
        """Similarity (n,) of each pair, in units of <z, z~>: singular values are divided by their mean."""
        scaled = self.image * (self.values / self.values.mean())
        return np.einsum("ij,ij->i", images @ scaled, texts @ self.text)

    def error(self) -> float:
        """Chordal distance from the first r unit vectors, for both modalities together."""
        signal = len(self.values)
        return float(np.hypot(np.linalg.norm(self.image[signal:]), np.linalg.norm(self.text[signal:])))


def learn(images: Floats, texts: Floats, signal: int) -> Encoders:
    """The encoders that minimise the linear contrastive loss on pairs (n, d), (n, d~): top singular vectors (Nakada et al.
    2023)."""
    # Means as products with ones: along narrow rows, `mean` takes longer than all else.
    mean = np.full(len(images), 1 / len(images))
    covariance = images.T @ texts / len(images) - np.outer(mean @ images, mean @ texts)
    left, values, right = np.linalg.svd(covariance)
    return Encoders(left[:, :signal], right[:signal].T, values[:signal])


def learn_filtered(images: Floats, texts: Floats, signal: int, threshold: float) -> Encoders:
    """The encoders of a student: a teacher learns from one half, and the student from the other half's pairs whose score
    by the teacher is above `threshold`."""
    half = len(images) // 2
    teacher = learn(images[:half], texts[:half], signal)
    kept = teacher.scores(images[half:], texts[half:]) > threshold
    return learn(images[half:][kept], texts[half:][kept], signal)


def leading_error(pairs: Pairs, clean: float, samples: int, threshold: float | None = None) -> float:
    """Leading term, for many samples, of the root mean square error of `learn`; with a `threshold`, of `learn_filtered`.

    Without a filter, the squared error of one modality is the noise outside of its signal over the signal's strength,
    (d - r) r (1 + 1/gamma) / (gamma n eta^2). A student learns from m = n/2 P samples, where P is the kept fraction. Its
    error is the sum of two terms. Its own term is (d - r) / gamma E[|x~_r|^2 | kept] / (m (E[s | kept] / r)^2), where
    s = <x_r, x~_r> is the score within the signal. The inherited term is its teacher's error times
    f(threshold) E[|x~_r|^2 | s = threshold] / (gamma P E[s | kept]), where f is the density of s: a rotated teacher keeps
    pairs whose noise is rotated too. For the threshold 0 and eta near 0, this factor is 1 / (1 + gamma).
    """
    sides = [(size - pairs.signal) / pairs.precision for size in (pairs.image, pairs.text)]
    noise = sum(sides)
    unfiltered = noise * pairs.signal * pairs.variance / clean**2
    if threshold is None:
        return float(np.sqrt(unfiltered / samples))
    kept = _moments(pairs, clean, threshold)
    own = noise * kept.square * (pairs.signal / kept.score) ** 2
    inherited = (kept.edge / (pairs.precision * kept.score)) ** 2 * unfiltered
    return float(np.sqrt((own + inherited) / (samples / 2)))


def with_best_threshold(pairs: Pairs, clean: float, samples: int) -> float:
    """The smallest `leading_error` over thresholds from 0 to 3 r."""
    return min(leading_error(pairs, clean, samples, threshold) for threshold in THRESHOLDS * pairs.signal)


class _Moments(NamedTuple):
    """Moments of a pair's score s and x~_r: E[s; kept], E[|x~_r|^2; kept], and E[|x~_r|^2 | s] times the density of s, both
    at the threshold."""

    score: float
    square: float
    edge: float


@cache
def _moments(pairs: Pairs, clean: float, threshold: float) -> _Moments:
    """The moments, as integrals over |x~_r|^2 = v chi^2_r with v = 1 + 1/gamma. Given |x~_r|^2, the score is normal.

    Its mean and variance are |x~_r|^2 / v and |x~_r|^2 (v - 1 / v) for a clean pair, 0 and |x~_r|^2 v for a mismatched one.
    """
    variance = pairs.variance
    square = variance * _quantiles(pairs.signal)
    total = np.zeros(3)
    for share, mean, spread in (
        (clean, square / variance, square * (variance - 1 / variance)),
        (1 - clean, np.zeros(POINTS), square * variance),
    ):
        deviation = np.sqrt(spread)
        standardised = (mean - threshold) / deviation
        density = np.exp(-(standardised**2) / 2) / (np.sqrt(2 * np.pi) * deviation)
        above = ndtr(standardised)
        moments = (mean * above + spread * density, square * above, square * density)
        total += share * np.mean(moments, axis=1)
    return _Moments(*total)


@cache
def _quantiles(signal: int) -> Floats:
    """Midpoint quantiles of the chi^2 distribution; the mean of a function over them is its expectation."""
    return chi2.ppf((np.arange(POINTS) + 0.5) / POINTS, signal)
