"""Scales on which the accuracies of models on two test sets are linearly related."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtr, ndtri

SCALES = ("logit", "probit", "linear")


class ScaleError(ValueError):
    """An accuracy is not a fraction, or the name of a scale is unknown."""


def transform(accuracy: ArrayLike, scale: str = "logit") -> NDArray[np.float64]:
    """The transformed accuracies on `scale`, for accuracies (fractions) of any shape.

    `logit` is ln(a / (1 - a)), the default of modestyachts/imagenet-testbed (Taori et al. 2020); `probit` is the
    inverse of the standard normal distribution function, the default of Miller et al. 2021; `linear` is the accuracy.
    On `logit` and `probit`, 0 and 1 become minus and plus infinity.

    Raises `ScaleError` for an unknown scale, for NaN, and for accuracies outside of [0, 1].
    """
    accuracy = np.asarray(accuracy, dtype=np.float64)
    outside = accuracy[~((accuracy >= 0) & (accuracy <= 1))]
    if outside.size:
        raise ScaleError(f"accuracy {outside[0]} is not within [0, 1]; give accuracies as fractions, not in percent")
    if _known(scale) == "linear":
        return accuracy.copy()
    return logit(accuracy) if scale == "logit" else ndtri(accuracy)


def inverse(scaled: ArrayLike, scale: str = "logit") -> NDArray[np.float64]:
    """The accuracies (fractions) whose `transform` is `scaled`, of any shape.

    On `linear` the result is not clipped to [0, 1], as in the reference implementation.
    Raises `ScaleError` for an unknown scale.
    """
    scaled = np.asarray(scaled, dtype=np.float64)
    if _known(scale) == "linear":
        return scaled.copy()
    return expit(scaled) if scale == "logit" else ndtr(scaled)


def slope_of_inverse(scaled: ArrayLike, scale: str = "logit") -> NDArray[np.float64]:
    """Derivative of `inverse` at `scaled` (any shape).

    Raises `ScaleError` for an unknown scale.
    """
    scaled = np.asarray(scaled, dtype=np.float64)
    if _known(scale) == "linear":
        return np.ones_like(scaled)
    if scale == "logit":
        return expit(scaled) * expit(-scaled)
    return np.exp(-(scaled**2) / 2) / np.sqrt(2 * np.pi)


def _known(scale: str) -> str:
    if scale not in SCALES:
        raise ScaleError(f"scale {scale!r} is unknown; use one of {', '.join(SCALES)}")
    return scale
