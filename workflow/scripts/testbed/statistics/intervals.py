"""Intervals of trends and their bands, in one of two ways that `statistics: intervals` names.

`parts` adds what test images and what models cause (see `testbed.statistics.fits`); it uses all pools together, so that a
few models of each are enough. `bootstrap` resamples the models of each pool alone (pairs bootstrap; Taori et al. 2020).
"""

import logging
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from testbed.statistics.fits import Fit
from testbed.statistics.joint_correct import JointCorrect
from testbed.statistics.lines import Estimate, bootstrap_lines, line_band, percentile_interval
from testbed.statistics.settings import Settings
from testbed.statistics.tables import scaled_points

log = logging.getLogger(__name__)

Limits = tuple[NDArray[np.float64], NDArray[np.float64]]
INDEPENDENT = JointCorrect()


class Bootstrap:
    """Intervals of the pairs bootstrap."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def line_limits(self, points: pd.DataFrame) -> Limits:
        """Lower and upper limits of slope and intercept, (2,) each, of the trend of `points`; NaN without an interval."""
        lines = bootstrap_trend(points, self.settings)
        if 0 < len(lines) < self.settings.bootstrap:
            skipped = self.settings.bootstrap - len(lines)
            log.info("%s: %d of %d resamples have no line", name_of(points), skipped, self.settings.bootstrap)
        return percentile_interval(lines, self.settings.line_confidence)

    def band(self, points: pd.DataFrame, x: ArrayLike) -> Limits:
        """Lower and upper limits (m,) of the scaled shifted accuracies of a trend at scaled `x` (m,)."""
        return line_band(bootstrap_trend(points, self.settings), x, self.settings.line_confidence)


class Parts:
    """Intervals from the fits of all pools, by architecture and classes."""

    def __init__(self, fits: Mapping[tuple[str, str], Fit], settings: Settings) -> None:
        self.fits, self.settings = fits, settings

    def line_limits(self, points: pd.DataFrame) -> Limits:
        """As `Bootstrap.line_limits`."""
        fit, shift, pool = self._where(points.iloc[0])
        if not fit.has_line(shift, pool):
            return np.full(2, np.nan), np.full(2, np.nan)
        return self._limits(fit, [fit.slope(shift, pool), fit.height(shift, pool, 0.0)])

    def band(self, points: pd.DataFrame, x: ArrayLike) -> Limits:
        """As `Bootstrap.band`."""
        fit, shift, pool = self._where(points.iloc[0])
        x = np.asarray(x, dtype=np.float64)
        if not fit.has_line(shift, pool):
            return np.full(x.shape, np.nan), np.full(x.shape, np.nan)
        return self._limits(fit, [fit.height(shift, pool, float(at)) for at in x])

    def effective_robustness(self, points: pd.DataFrame, pool: str) -> list[Estimate] | None:
        """The effective robustness of models on one shift against the trend of `pool`, in percentage points.

        In the intervals are the images, which are the same for a model and the pool's models, and the trend. None if the
        pool has no line, or for models that are not those of the fits.
        """
        fit, shift, _ = self._where(points.iloc[0])
        if not fit.has_line(shift, pool) or not points["model"].isin(fit.models["model"]).all():
            return None
        found = [fit.effective_robustness(shift, model, pool) for model in points["model"]]
        low, high = self._limits(fit, found)
        return [Estimate(one.value, *limits) for one, *limits in zip(found, low, high, strict=True)]

    def _where(self, row: pd.Series) -> tuple[Fit, str, str]:
        return self.fits[row["architecture"], row["classes"]], row["testset"], row["pool"]

    def _limits(self, fit: Fit, combinations: list) -> Limits:
        values = np.array([one.value for one in combinations])
        return fit.uncertainty(combinations).interval(values, self.settings.line_confidence)


Intervals = Bootstrap | Parts


def intervals_of(
    pairs: pd.DataFrame,
    settings: Settings,
    reference: str,
    joint: JointCorrect = INDEPENDENT,
    ensembles: Collection[str] = (),
) -> Intervals:
    """The intervals that `settings` name, for all trends of `pairs` (see `pair_with_reference`).

    `joint` is how often models are right about the same image, and `ensembles` the pools whose models are averages.
    """
    if settings.intervals == "bootstrap":
        return Bootstrap(settings)
    groups = pairs.groupby(["architecture", "classes"], sort=False)
    return Parts({key: Fit(points, settings.scale, joint, reference, ensembles) for key, points in groups}, settings)


def bootstrap_trend(points: pd.DataFrame, settings: Settings) -> NDArray[np.float64]:
    """Slopes and intercepts (kept, 2) of resampled models of one trend; equal for equal input."""
    return bootstrap_lines(*scaled_points(points, settings.scale), settings.bootstrap, settings.bootstrap_seed)


def name_of(points: pd.DataFrame) -> str:
    """The trend of `points`, for log messages."""
    row = points.iloc[0]
    return f"pool {row['pool']}, {row['architecture']}, {row['testset']}, classes {row['classes']}"
