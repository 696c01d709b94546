"""Lines of all pools on all shifts, and the uncertainty of whatever is computed from them.

Every pool has its own least-squares line through its models' scaled accuracies on a shift, so that a line's height, a
slope or a difference of two lines is a linear combination of accuracies. Its error has two parts, which are added:

- *images*: all accuracies vary together when the images of a test set are drawn anew (see `joint_correct`);
- *models*: another trainset or seed gives another model. Units are trainsets (pool and size): residuals are averaged over
  the seeds of a trainset, because these share their data. The models of one size and seed share their initialisation,
  which moves all of them together (a block effect). Both variances, and their covariances between shifts, are estimated
  by moments from the residuals of all pools, after subtraction of what images cause (Searle, Casella and McCulloch 1992,
  chapter 5), and intervals are Student's with Satterthwaite's degrees of freedom (1946).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from testbed.statistics.joint_correct import JointCorrect
from testbed.statistics.lines import Line, fit_line
from testbed.statistics.residuals import ResidualVariances
from testbed.statistics.scales import inverse, slope_of_inverse, transform


@dataclass(frozen=True)
class Combination:
    """An estimate, and how it depends on accuracies to first order.

    `shifted` (shifts, models) and `reference` (models,) are its derivatives with respect to accuracies (fractions) on the
    test sets, through which test images enter. `residual` (shifts, models) are those with respect to scaled accuracies of
    models on lines, through which training enters.
    """

    value: float
    shifted: NDArray[np.float64]
    reference: NDArray[np.float64]
    residual: NDArray[np.float64]

    def __add__(self, other: "Combination") -> "Combination":
        return Combination(
            self.value + other.value,
            self.shifted + other.shifted,
            self.reference + other.reference,
            self.residual + other.residual,
        )

    def __mul__(self, factor: float) -> "Combination":
        return Combination(self.value * factor, self.shifted * factor, self.reference * factor, self.residual * factor)

    __rmul__ = __mul__

    def __neg__(self) -> "Combination":
        return self * -1.0

    def __sub__(self, other: "Combination") -> "Combination":
        return self + -other


@dataclass(frozen=True)
class Uncertainty:
    """Covariance matrices (k, k) of k combinations: what images cause, what models cause, and degrees of freedom (k,)."""

    images: NDArray[np.float64]
    models: NDArray[np.float64]
    freedom: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        return self.images + self.models

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard errors (k,); NaN without degrees of freedom."""
        return np.sqrt(self.covariance.diagonal())

    def interval(self, values: NDArray[np.float64], confidence: float) -> tuple[NDArray, NDArray]:
        """Lower and upper limits (k,) of Student's intervals of the combinations' `values` (k,)."""
        reach = stdtrit(self.freedom, (1 + confidence) / 2) * self.error
        return values - reach, values + reach


@dataclass(frozen=True)
class PoolLine:
    """The line of one pool on one shift, its models (their places in the fit), and the range of their scaled x."""

    line: Line
    places: NDArray[np.int64]
    x_mean: float
    x_spread: float
    x_min: float
    x_max: float


class Fit:
    """The lines of all pools of one architecture on all shifts, over one set of classes.

    `shifts` are the test sets; `models` has a row per model with `model`, `pool`, `size`, `seed`, `correct` and `n` on the
    reference. Accuracies of exactly 0 or 1 have no finite logit or probit and are left out. Pools with fewer than two
    distinct reference accuracies have no line. `pooled` says which models' residuals tell how much models vary: those of
    all pools but ensembles, whose models are averages of others.
    """

    def __init__(
        self, pairs: pd.DataFrame, scale: str, joint: JointCorrect, reference: str, ensembles: Collection[str] = ()
    ) -> None:
        self.scale = scale
        classes = pairs["classes"].iloc[0]
        columns = ["model", "pool", "size", "seed", "reference_correct", "reference_n", "reference_value"]
        self.models = pairs[columns].drop_duplicates("model").reset_index(drop=True)
        self.models = self.models.rename(columns={"reference_correct": "correct", "reference_n": "n"})
        self.shifts = [*pairs["testset"].unique()]
        self._place = pd.Index(self.models["model"])
        self.x = transform(self.models["reference_value"], scale)
        self._x_steep = _derivative(self.x, scale)
        shape = len(self.shifts), len(self.models)
        self.y, self._y_steep = np.full(shape, np.nan), np.zeros(shape)
        self._images, self._lines = [], []
        for row, shift in enumerate(self.shifts):
            points = pairs[pairs["testset"] == shift]
            places = self._place.get_indexer(points["model"])
            self.y[row, places] = transform(points["value"], scale)
            self._y_steep[row] = _derivative(self.y[row], scale)
            covariance = np.zeros((shape[1], shape[1]))
            covariance[np.ix_(places, places)] = joint.covariance(shift, classes, points)
            self._images.append(covariance)
            self._lines.append(self._fit_lines(row))
        self._reference_images = joint.covariance(reference, classes, self.models)
        self._residuals = ResidualVariances(self, ~self.models["pool"].isin([*ensembles]).to_numpy())

    def _fit_lines(self, row: int) -> dict[str, PoolLine]:
        lines = {}
        finite = np.isfinite(self.x) & np.isfinite(self.y[row])
        for pool, rows in self.models.groupby("pool", sort=False):
            places = rows.index.to_numpy()[finite[rows.index]]
            x = self.x[places]
            line = fit_line(x, self.y[row, places])
            if np.isfinite(line.slope):
                spread = float(np.sum((x - x.mean()) ** 2))
                lines[pool] = PoolLine(line, places, float(x.mean()), spread, float(x.min()), float(x.max()))
        return lines

    def has_line(self, shift: str, pool: str) -> bool:
        """Whether `pool` has a line on `shift`."""
        return shift in self.shifts and pool in self._lines[self.shifts.index(shift)]

    def line(self, shift: str, pool: str) -> PoolLine:
        """The line of `pool` on `shift`; raises `KeyError` without one."""
        return self._lines[self.shifts.index(shift)][pool]

    def common_range(self, shift: str, pools: Sequence[str]) -> tuple[float, float]:
        """The range of scaled reference accuracies that `pools` share; NaN if there is none."""
        if not all(self.has_line(shift, pool) for pool in pools):
            return np.nan, np.nan
        lines = [self.line(shift, pool) for pool in pools]
        low, high = max(line.x_min for line in lines), min(line.x_max for line in lines)
        return (low, high) if low <= high else (np.nan, np.nan)

    def shared_range(self, shift: str, pools: Sequence[str]) -> float:
        """The width of the common range of `pools`, as a share of the range that any of them covers; 0 if there is none."""
        low, high = self.common_range(shift, pools)
        if not low < high:
            return 0.0
        lines = [self.line(shift, pool) for pool in pools]
        return (high - low) / (max(line.x_max for line in lines) - min(line.x_min for line in lines))

    def common_reference(self, shift: str, pools: Sequence[str], at: float = 0.0) -> float:
        """The scaled reference accuracy at which pools are compared; NaN if their ranges do not overlap.

        A positive `at` (fraction) is used if it is in the ranges of all pools, otherwise NaN. If `at` is 0, it is the
        midpoint of the range that all pools share.
        """
        low, high = self.common_range(shift, pools)
        if at > 0:
            x = float(transform(at, self.scale))
            return x if low <= x <= high else np.nan
        return (low + high) / 2

    def crossing(self, shift: str, pool: str, other: str) -> float:
        """The scaled reference accuracy, in their common range, at which two pools' lines cross; NaN if they do not."""
        low, high = self.common_range(shift, [pool, other])
        one, two = self.line(shift, pool).line, self.line(shift, other).line
        if np.isnan(low) or one.slope == two.slope:
            return np.nan
        x = (two.intercept - one.intercept) / (one.slope - two.slope)
        return x if low <= x <= high else np.nan

    def height(self, shift: str, pool: str, x: float) -> Combination:
        """The scaled shifted accuracy of a pool's line at the scaled reference accuracy `x`."""
        line = self.line(shift, pool)
        weights = 1 / line.line.n + (x - line.x_mean) * (self.x[line.places] - line.x_mean) / line.x_spread
        return self._on_line(shift, line, float(line.line.at(x)), weights)

    def slope(self, shift: str, pool: str) -> Combination:
        """The slope of a pool's line."""
        line = self.line(shift, pool)
        return self._on_line(shift, line, line.line.slope, (self.x[line.places] - line.x_mean) / line.x_spread)

    def accuracy(self, shift: str, pool: str, x: float) -> Combination:
        """The shifted accuracy, in percent, of a pool's line at the scaled reference accuracy `x` (delta method)."""
        return self.percent(self.height(shift, pool, x))

    def effective_robustness(self, shift: str, model: str, pool: str) -> Combination:
        """Percentage points between a model's shifted accuracy and the line of `pool` at its reference accuracy.

        Its error contains the images and the line, but not that another training of this model has another accuracy.
        """
        row, place = self.shifts.index(shift), self._place.get_loc(model)
        x = self.x[place]
        line = self.line(shift, pool).line
        shifted, reference = np.zeros_like(self.y), np.zeros(len(self.x))
        shifted[row, place] = 100
        derivative = 100 * float(slope_of_inverse(line.at(x), self.scale))
        reference[place] = -derivative * line.slope * self._x_steep[place]
        value = 100 * float(inverse(self.y[row, place], self.scale))
        return Combination(value, shifted, reference, np.zeros_like(self.y)) - self.accuracy(shift, pool, x)

    def uncertainty(self, combinations: Sequence[Combination], cautious: bool = False) -> Uncertainty:
        """The joint uncertainty of `combinations`; `cautious` is for the largest of many (see `ResidualVariances`)."""
        shifted, reference, residual = (
            np.stack([getattr(one, name) for one in combinations]) for name in ("shifted", "reference", "residual")
        )
        images = reference @ self._reference_images @ reference.T
        for row, covariance in enumerate(self._images):
            # Most combinations are about one shift.
            if shifted[:, row].any():
                images += shifted[:, row] @ covariance @ shifted[:, row].T
        models, freedom = self._residuals.covariance(residual, images.diagonal(), cautious)
        return Uncertainty(images, models, freedom)

    def _on_line(self, shift: str, line: PoolLine, value: float, weights: NDArray[np.float64]) -> Combination:
        row = self.shifts.index(shift)
        shifted, residual, reference = np.zeros_like(self.y), np.zeros_like(self.y), np.zeros(len(self.x))
        residual[row, line.places] = weights
        shifted[row, line.places] = weights * self._y_steep[row, line.places]
        # A reference accuracy that is too high by d has the effect of a shifted one that is too low by slope * d.
        reference[line.places] = -line.line.slope * weights * self._x_steep[line.places]
        return Combination(value, shifted, reference, residual)

    def percent(self, height: Combination) -> Combination:
        """The accuracy in percent of a `height` on the scale (delta method)."""
        derivative = 100 * float(slope_of_inverse(height.value, self.scale))
        return Combination(
            100 * float(inverse(height.value, self.scale)),
            derivative * height.shifted,
            derivative * height.reference,
            derivative * height.residual,
        )

    def image_covariance(self, row: int, other: int) -> NDArray[np.float64]:
        """Covariance (models, models) of residuals on two shifts that images cause, if lines stayed where they are."""
        slopes = [self.slopes(shift) * self._x_steep for shift in (row, other)]
        covariance = slopes[0][:, None] * self._reference_images * slopes[1]
        if row == other:
            covariance += self._y_steep[row][:, None] * self._images[row] * self._y_steep[row]
        return covariance

    def slopes(self, row: int) -> NDArray[np.float64]:
        """The slope of each model's line (models,); 0 without a line."""
        slopes = np.zeros(len(self.x))
        for line in self._lines[row].values():
            slopes[line.places] = line.line.slope
        return slopes

    def residual_maker(self, row: int, pooled: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The matrix (models, models) that maps scaled accuracies to residuals from the lines of `pooled` models."""
        maker = np.zeros((len(self.x), len(self.x)))
        for line in self._lines[row].values():
            if not pooled[line.places[0]]:
                continue
            design = np.stack([np.ones(line.line.n), self.x[line.places] - line.x_mean], axis=1)
            hat = design @ np.linalg.pinv(design)
            maker[np.ix_(line.places, line.places)] = np.eye(line.line.n) - hat
        return maker


def _derivative(scaled: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    """Derivative of `transform` at the accuracies whose transform is `scaled`; 0 where that is not finite."""
    finite = np.isfinite(scaled)
    return np.where(finite, 1 / slope_of_inverse(np.where(finite, scaled, 0.0), scale), 0.0)
