"""Where mixtures lie between their members: the dilution fraction, over all mixtures and shifts together.

The fraction of a mixture on a shift is (mixture - worst) / (best - worst), on the scale of the axes, at one reference
accuracy that all share: 1 at the best member's line, 0 at the worst. One mixture tells little about it, but all together
do: the fraction is the ratio of two weighted sums, with weights that do not depend on the differences themselves (the
inverse standard errors). Its interval is Fieller's (1954), which holds however small the denominator is. Shifts and
mixtures are not independent: they share models, reference accuracies and test images. Their covariances are those of
`testbed.statistics.fits`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from scipy.special import fdtrc

from testbed.experiment.pools import Pool, ensemble_of, mixtures_of
from testbed.statistics.comparisons import (
    FRACTION,
    HEIGHT,
    Comparison,
    critical_value,
    joint_critical_value,
    measure,
    student,
)
from testbed.statistics.fits import Combination, Fit
from testbed.statistics.scales import inverse
from testbed.statistics.settings import Settings


@dataclass(frozen=True)
class Mixing:
    """A mixture on one shift, with the heights (on the scale, at scaled `x`) of its line and those of its members.

    `ensemble` is the height of the ensemble of the same members, or None.
    """

    mixture: str
    architecture: str
    testset: str
    fit: Fit
    x: float
    best: str
    worst: str
    heights: Mapping[str, Combination]
    members: Mapping[str, float]
    ensemble: str | None

    @property
    def length(self) -> Combination:
        """The distance between the best and the worst member."""
        return self.heights[self.best] - self.heights[self.worst]


@dataclass(frozen=True)
class Fraction:
    """A fraction of the members' distance with its interval; `heterogeneity` is the p-value of one fraction for all."""

    value: float
    low: float
    high: float
    images: float
    models: float
    freedom: float
    n: int
    heterogeneity: float


NO_FRACTION = Fraction(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 0, np.nan)


def mixings_of(fits: Mapping[str, Fit], pools: Sequence[Pool], settings: Settings) -> list[Mixing]:
    """All mixtures on all shifts where they share a reference accuracy with all their members."""
    found = []
    for architecture, fit in fits.items():
        for shift in fit.shifts:
            for mixture in mixtures_of(pools, fit.models["pool"]):
                names = [mixture["name"], *mixture["members"]]
                x = fit.common_reference(shift, names, settings.compare_at)
                if np.isnan(x):
                    continue
                ensemble = ensemble_of(mixture, pools)
                if ensemble is not None and not fit.has_line(shift, ensemble):
                    ensemble = None
                shown = [*names, ensemble] if ensemble else names
                heights = {name: fit.height(shift, name, x) for name in shown}
                ordered = sorted(mixture["members"], key=lambda name: heights[name].value)
                found.append(
                    Mixing(
                        mixture["name"],
                        architecture,
                        shift,
                        fit,
                        x,
                        ordered[-1],
                        ordered[0],
                        heights,
                        mixture["members"],
                        ensemble,
                    )
                )
    return found


def with_unequal_members(mixings: Sequence[Mixing], settings: Settings) -> list[Mixing]:
    """Those of `mixings` whose best and worst member differ significantly, all of them tested together."""
    unequal = []
    for fit in {id(one.fit): one.fit for one in mixings}.values():
        own = [one for one in mixings if one.fit is fit]
        rows = [_row("members_differ", one, one.best, one.worst) for one in own]
        measured, correlation = measure(fit, rows, [one.length for one in own])
        critical = joint_critical_value(correlation, settings.line_confidence)
        unequal += [one for one, row in zip(own, measured, strict=True) if row.limits(critical)[0] > 0]
    return unequal


def fraction_of(
    mixings: Sequence[Mixing], above: Sequence[Combination], settings: Settings, at: float = 0.0
) -> Fraction:
    """The fraction that `above` (a difference for each of `mixings`) is of the members' distance, over all of them.

    `at` is the fraction at which weights are set.
    """
    if not mixings:
        return NO_FRACTION
    top = bottom = 0.0
    parts = []
    for fit in {id(one.fit): one.fit for one in mixings}.values():
        own = [(one, over) for one, over in zip(mixings, above, strict=True) if one.fit is fit]
        errors = fit.uncertainty([over - at * one.length for one, over in own]).error
        weights = 1 / errors
        numerator = reduce(add, (over * weight for (_, over), weight in zip(own, weights, strict=True)))
        denominator = reduce(add, (one.length * weight for (one, _), weight in zip(own, weights, strict=True)))
        top, bottom = top + numerator.value, bottom + denominator.value
        parts.append((fit, numerator, denominator, own))
    value = top / bottom
    images, models = np.zeros((2, 2)), np.zeros((2, 2))
    freedom, squares = np.inf, 0.0
    for fit, numerator, denominator, own in parts:
        uncertainty = fit.uncertainty([numerator, denominator, numerator - value * denominator])
        images, models = images + uncertainty.images[:2, :2], models + uncertainty.models[:2, :2]
        freedom = min(freedom, float(uncertainty.freedom[2]))
        left = [over - value * one.length for one, over in own]
        values = np.array([one.value for one in left])
        squares += float(values @ np.linalg.pinv(fit.uncertainty(left).covariance, rcond=1e-8) @ values)
    reach = student(critical_value(settings.line_confidence), freedom)
    low, high = fieller(top, bottom, images + models, reach)
    direction = np.array([1.0, -value]) / bottom
    errors = [float(np.sqrt(direction @ part @ direction)) for part in (images, models)]
    n = len(mixings)
    # The covariances are estimated, too: not chi-squared.
    heterogeneity = float(fdtrc(n - 1, freedom, squares / (n - 1))) if n > 1 and np.isfinite(freedom) else np.nan
    return Fraction(value, low, high, *errors, freedom, n, heterogeneity)


def fieller(top: float, bottom: float, covariance: np.ndarray, reach: float) -> tuple[float, float]:
    """Fieller's interval of top / bottom, whose `covariance` is (2, 2), for the quantile `reach`; NaN if it is unbounded."""
    a = bottom**2 - reach**2 * covariance[1, 1]
    b = top * bottom - reach**2 * covariance[0, 1]
    c = top**2 - reach**2 * covariance[0, 0]
    if not a > 0:
        return np.nan, np.nan
    root = np.sqrt(max(0.0, b * b - a * c))
    return float((b - root) / a), float((b + root) / a)


def fraction_comparison(claim: str, fraction: Fraction, subject: str, other: str) -> Comparison:
    """The fraction as a comparison, for tables and pages."""
    return Comparison(
        *(claim, subject, other, "", "", FRACTION, np.nan, fraction.value),
        images=fraction.images,
        models=fraction.models,
        freedom=fraction.freedom,
        low=fraction.low,
        high=fraction.high,
        heterogeneity=fraction.heterogeneity,
    )


def differences(claim: str, mixings: Sequence[Mixing], settings: Settings) -> list[Comparison]:
    """The comparisons of each of `mixings` that a claim about all of them rests on, each with its own interval.

    In percentage points: best member minus mixture (`mixing_dilutes`), mixture minus worst member
    (`mixing_beats_the_worst`), or mixture minus ensemble (`output_mixing_predicts`).
    """
    found = []
    for one in mixings:
        pool, other = {
            "mixing_dilutes": (one.best, one.mixture),
            "mixing_beats_the_worst": (one.mixture, one.worst),
            "output_mixing_predicts": (one.mixture, one.ensemble),
        }[claim]
        difference = one.fit.accuracy(one.testset, pool, one.x) - one.fit.accuracy(one.testset, other, one.x)
        (measured,), _ = measure(one.fit, [_row(claim, one, pool, other)], [difference])
        found.append(measured.within(critical_value(settings.line_confidence)))
    return found


def _row(claim: str, one: Mixing, pool: str, other: str) -> Comparison:
    at = float(inverse(one.x, one.fit.scale))
    return Comparison(claim, pool, other, one.architecture, one.testset, HEIGHT, at, np.nan)
