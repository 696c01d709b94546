"""Lines compared: against statsmodels-like closed forms, and whether intervals and tests keep their promises."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import t as student

from testbed.statistics.comparison import fit_lines
from testbed.statistics.scales import SCALES, inverse, slope_of_inverse, transform

X = np.array([-1.2, -0.6, 0.1, 0.5])


def points(heights: dict[str, np.ndarray], x: np.ndarray = X) -> pd.DataFrame:
    """Models at scaled reference accuracies `x` with these scaled shifted accuracies, by pool."""
    parts = [
        pd.DataFrame({"pool": pool, "reference_value": expit(x), "value": expit(np.asarray(y, dtype=float))})
        for pool, y in heights.items()
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("scale", SCALES)
def test_slope_of_inverse_is_its_derivative(scale):
    scaled = transform([0.02, 0.3, 0.5, 0.97], scale)
    step = 1e-6
    numeric = (inverse(scaled + step, scale) - inverse(scaled - step, scale)) / (2 * step)
    assert slope_of_inverse(scaled, scale) == pytest.approx(numeric, rel=1e-6)


def test_difference_and_its_error_are_those_of_one_regression():
    """The same by the normal equations of one regression with a slope and an intercept for each pool."""
    rng = np.random.default_rng(1)
    heights = {"a": 0.9 * X - 0.2 + rng.normal(0, 0.05, 4), "b": 1.1 * X - 0.7 + rng.normal(0, 0.05, 4)}
    found = fit_lines(points(heights), "logit").difference("a", "b", 0.45)
    x0 = transform(0.45)
    design = np.zeros((8, 4))
    design[:4, 0], design[:4, 1], design[4:, 2], design[4:, 3] = 1, X, 1, X
    y = np.concatenate([heights["a"], heights["b"]])
    beta, (squares,), *_ = np.linalg.lstsq(design, y, rcond=None)
    covariance = squares / 4 * np.linalg.inv(design.T @ design)
    at = np.array([[1, x0, 0, 0], [0, 0, 1, x0]]) @ beta
    steep = expit(at) * (1 - expit(at))
    gradient = np.array([steep[0], steep[0] * x0, -steep[1], -steep[1] * x0])
    assert found.value == pytest.approx(100 * (expit(at[0]) - expit(at[1])))
    assert found.error == pytest.approx(100 * np.sqrt(gradient @ covariance @ gradient))
    assert found.freedom == 4
    estimate = found.interval(0.95, tests=5)
    assert estimate.high - estimate.value == pytest.approx(student.ppf(1 - 0.005, 4) * found.error)
    assert (-found).interval(0.95).low == pytest.approx(-found.interval(0.95).high)


def test_pools_are_compared_where_all_have_models():
    lines = fit_lines(pd.concat([points({"a": X}), points({"b": X + 1.5}, X + 1)]), "logit")
    assert lines.common_reference(["a", "b"]) == pytest.approx(expit((-0.2 + 0.5) / 2))
    assert lines.common_reference(["a", "b"], at=0.5) == 0.5
    assert np.isnan(lines.common_reference(["a", "b"], at=0.9))
    assert np.isnan(lines.common_reference(["a", "nobody"]))
    apart = fit_lines(pd.concat([points({"a": X}), points({"b": X}, X + 5)]), "logit")
    assert np.isnan(apart.common_reference(["a", "b"]))
    assert np.isnan(apart.difference("a", "b", np.nan).interval(0.95).low)


def test_pools_without_a_line_are_left_out():
    one = points({"single": X[:1]}, X[:1])
    lines = fit_lines(pd.concat([points({"a": X}), one]), "logit")
    assert set(lines.pools) == {"a"}
    # two models per pool leave no degree of freedom: a difference, and no interval
    pair = fit_lines(points({"a": X[:2], "b": X[:2] + 1}, X[:2]), "logit")
    difference = pair.difference("b", "a", pair.common_reference(["a", "b"]))
    assert pair.freedom == 0
    assert difference.value > 10
    assert np.isnan(difference.interval(0.95).low)


@pytest.mark.slow
@pytest.mark.parametrize("pools", [2, 6])
def test_intervals_cover_as_often_as_they_say(pools):
    """2,000 runs of four models per pool, noise on the scale, true difference 5 points: 95 % within simulation error."""
    rng = np.random.default_rng(pools)
    runs, covered = 2000, 0
    true_lines = {f"p{number}": (0.9, -0.3 - 0.1 * number) for number in range(pools)}
    at = float(expit((X[0] + X[-1]) / 2))
    x0 = transform(at)
    heights = [expit(slope * x0 + intercept) for slope, intercept in true_lines.values()]
    truth = 100 * (heights[0] - heights[1])
    for _ in range(runs):
        noisy = {name: s * X + b + rng.normal(0, 0.03, 4) for name, (s, b) in true_lines.items()}
        estimate = fit_lines(points(noisy), "logit").difference("p0", "p1", at).interval(0.95)
        covered += estimate.low <= truth <= estimate.high
    assert abs(covered / runs - 0.95) < 3.3 * np.sqrt(0.95 * 0.05 / runs) + 0.002
