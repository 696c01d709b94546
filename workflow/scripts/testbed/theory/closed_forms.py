"""A simple setting in which sources, mixtures, ensembles and filters have closed forms.

This is a reconstruction: Nguyen et al. 2022 explain their findings in a simple binary setting whose text was not
available. This setting is the Gaussian model of Miller et al. 2021 (section 6) with a mean for each source. The same
statements hold in it.

Labels y are +1 or -1 with equal chance. Test images are x | y ~ N(y mu_k, sigma_k^2 I_d), k = 1 for the reference and 2
for the shift; those of a source are x | y ~ N(y theta, tau^2 I_d). A model is the mean of y x over its n training
samples, w ~ N(theta, tau^2 / n I_d), and predicts sign <w, x>. Its accuracies are Phi(<w, mu_k> / (sigma_k |w|)), so
that on the probit scale models lie on lines through (50 %, 50 %).

Vectors have shape (..., m) with m <= d; coordinates after the m-th are 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, hyp1f1, log_ndtr, ndtr

LOG_2PI = np.log(2 * np.pi)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """Means and standard deviations of the two test distributions, the sources' standard deviation, and d."""

    reference_mean: Floats
    shifted_mean: Floats
    reference_noise: float
    shifted_noise: float
    source_noise: float
    dimension: int


SETTING = Setting(np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.5]), 1.0, 1.2, 2.0, 200)
SOURCES = {"A": np.array([1.2, 0.3, 0.8]), "B": np.array([0.4, 1.5, -0.2])}
"""Means of two sources: under the shift, models of A lose less accuracy than standard models, and models of B more."""


def probits(model: ArrayLike, setting: Setting = SETTING) -> Floats:
    """Accuracies of `model` (..., m) on the probit scale, reference then shifted: <w, mu_k> / (sigma_k |w|), (..., 2).

    Exact. The accuracies are the normal distribution function of these values (Miller et al. 2021, section 6).
    """
    model = np.asarray(model, dtype=np.float64)
    shared = min(model.shape[-1], len(setting.reference_mean))
    means = np.stack([setting.reference_mean, setting.shifted_mean])[:, :shared]
    scaled = model[..., :shared] @ means.T / [setting.reference_noise, setting.shifted_noise]
    return scaled / np.linalg.norm(model, axis=-1, keepdims=True)


def slope(model: ArrayLike, setting: Setting = SETTING) -> Floats:
    """Slope (...) of the line through (50 %, 50 %) and `model` (..., m), both axes on the probit scale.

    For a source's mean it is the slope of the source's trend: rho = (sigma_1 / sigma_2) <theta, mu_2> / <theta, mu_1>.
    """
    scaled = probits(model, setting)
    return scaled[..., 1] / scaled[..., 0]


def mean_probits(mean: ArrayLike, size: int, setting: Setting = SETTING) -> Floats:
    """Expected `probits` of a model of `size` samples of a source with `mean` (m,): reference then shifted, (2,).

    Exact: the `probits` of the mean, times the expected cosine of the angle between w and theta. For a vector
    g ~ N(v, I_d) this is |v| / sqrt(2) Gamma((d+1)/2) / Gamma(d/2+1) 1F1(1/2; d/2+1; -|v|^2 / 2), here with
    v = theta sqrt(n) / tau; it is approximately |v| / sqrt(|v|^2 + d). The factor is the same on both axes, so mean
    probits lie on the source's line at every size.
    """
    half, square = setting.dimension / 2, size * np.sum(np.square(mean)) / setting.source_noise**2
    cosine = np.exp(gammaln(half + 0.5) - gammaln(half + 1)) * hyp1f1(0.5, half + 1, -square / 2) * np.sqrt(square / 2)
    return probits(mean, setting) * cosine


def deviation_bound(models: Floats, mean: Floats, size: int, delta: float, setting: Setting = SETTING) -> Floats:
    """Distance (...) from the source's line that `models` (..., d) exceed with a probability below `delta`.

    tau |u| sqrt(2 log(2 / delta) / n) / |w| with u = mu_2 / sigma_2 - rho mu_1 / sigma_1, which is orthogonal to theta.
    """
    direction = setting.shifted_mean / setting.shifted_noise
    direction = direction - slope(mean, setting) * setting.reference_mean / setting.reference_noise
    bound = setting.source_noise * np.linalg.norm(direction) * np.sqrt(2 * np.log(2 / delta) / size)
    return bound / np.linalg.norm(models, axis=-1)


def bound_coverage(delta: float) -> float:
    """Exact fraction of models within `deviation_bound`: that of a standard normal variable within its tail bound."""
    return float(1 - 2 * ndtr(-np.sqrt(2 * np.log(2 / delta))))


def mixture(shares: Sequence[float], means: Sequence[Floats]) -> Floats:
    """Mean (m,) of the union of samples of sources (input mixing): the sources' means, weighted by `shares`."""
    return np.asarray(shares) @ np.stack(means)


def mixture_slope(shares: Sequence[float], means: Sequence[Floats], setting: Setting = SETTING) -> float:
    """Slope of the mixture's trend: a convex combination of its sources' slopes, so at most the largest of them.

    The weights are p_s <theta_s, mu_1>, divided by their sum: sources with a high reference accuracy have larger weights.
    """
    weights = np.asarray(shares) * (np.stack(means) @ setting.reference_mean)
    return float(weights @ [slope(mean, setting) for mean in means] / weights.sum())


def ensemble(weights: Sequence[float], models: Sequence[Floats]) -> Floats:
    """The model (m,) that averages the logits of `models`, each scaled to length 1 (output mixing).

    Logits are linear in x, so their weighted sum is the logit of the weighted sum of models. `mixture_slope` with shares
    w_s / |theta_s| is its slope.
    """
    return np.asarray(weights) @ np.stack([model / np.linalg.norm(model) for model in models])


def kept_fraction(mean: Floats, teacher: Floats, threshold: ArrayLike, setting: Setting = SETTING) -> Floats:
    """Fraction (...) of a source that a filter keeps: y <v, x> >= threshold, v = teacher / |teacher|; 1 - Phi(alpha)."""
    return ndtr(-_excess(mean, teacher, threshold, setting))


def filtered_mean(mean: Floats, teacher: Floats, threshold: ArrayLike, setting: Setting = SETTING) -> Floats:
    """Mean (..., m) of y x over kept samples: theta + tau h(alpha) v, where h = phi / (1 - Phi) is the normal hazard.

    alpha = (threshold - <v, theta>) / tau. A higher threshold moves the mean further in the teacher's direction.
    """
    excess = _excess(mean, teacher, threshold, setting)
    hazard = np.exp(-0.5 * (excess**2 + LOG_2PI) - log_ndtr(-excess))
    return mean + setting.source_noise * hazard[..., None] * _unit(teacher)


def filtered_slope(mean: Floats, teacher: Floats, threshold: ArrayLike, setting: Setting = SETTING) -> Floats:
    """Slope (...) of the filtered source's trend: between the source's and the teacher's, which is the limit.

    lambda rho_s + (1 - lambda) rho_v with lambda = <theta, mu_1> / <filtered mean, mu_1>. Requires <v, mu_1> > 0.
    """
    filtered = filtered_mean(mean, teacher, threshold, setting)
    share = mean @ setting.reference_mean / (filtered @ setting.reference_mean)
    return share * slope(mean, setting) + (1 - share) * slope(teacher, setting)


def clean_share(
    share: ArrayLike, mean: Floats, teacher: Floats, threshold: ArrayLike, setting: Setting = SETTING
) -> Floats:
    """Share (...) of clean samples after filtering a source of which `share` is clean; the rest has random labels.

    pi P1 / (pi P1 + (1 - pi) P0): P1 is `kept_fraction`, P0 the mean of P1 and of the kept fraction with wrong labels.
    """
    right = kept_fraction(mean, teacher, threshold, setting)
    either = (right + kept_fraction(-mean, teacher, threshold, setting)) / 2
    return share * right / (share * right + (1 - np.asarray(share)) * either)


def clean_share_limit(share: ArrayLike) -> Floats:
    """Upper limit of `clean_share`, pi / (pi + (1 - pi) / 2): half of the random labels are right by chance."""
    return np.asarray(share) / (np.asarray(share) + (1 - np.asarray(share)) / 2)


def standard_slope(setting: Setting = SETTING) -> float:
    """Slope of the trend of standard models, which are models of a source with the reference's mean."""
    return float(slope(setting.reference_mean, setting))


def effective_robustness(scaled: ArrayLike, setting: Setting = SETTING) -> Floats:
    """Effective robustness (Taori et al. 2020) of `probits` (..., 2): shifted accuracy above the standard models' line."""
    scaled = np.asarray(scaled, dtype=np.float64)
    return ndtr(scaled[..., 1]) - ndtr(standard_slope(setting) * scaled[..., 0])


def _unit(teacher: Floats) -> Floats:
    return teacher / np.linalg.norm(teacher)


def _excess(mean: Floats, teacher: Floats, threshold: ArrayLike, setting: Setting) -> Floats:
    return (np.asarray(threshold, dtype=np.float64) - _unit(teacher) @ mean) / setting.source_noise
