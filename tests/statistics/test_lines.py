"""Scales, intervals, lines and effective robustness, against answers from outside where they exist."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import linregress

from testbed.statistics.lines import (
    Estimate,
    Line,
    bootstrap_lines,
    clopper_pearson,
    effective_robustness,
    fit_line,
    line_band,
    percentile_interval,
    predict,
)
from testbed.statistics.scales import SCALES, ScaleError, inverse, transform

TESTBED = Path(__file__).parents[2] / "../shared/data/imagenet_testbed_natural_shifts.csv"


def test_transform_known_values():
    assert transform([0.5, 0.75], "logit") == pytest.approx([0, np.log(3)])
    assert transform([0.5, 0.8413447460685429], "probit") == pytest.approx([0, 1])
    assert transform([0.0, 0.3], "linear") == pytest.approx([0, 0.3])
    assert transform([0, 1], "logit").tolist() == [-np.inf, np.inf]
    assert transform([0, 1], "probit").tolist() == [-np.inf, np.inf]


@pytest.mark.parametrize("scale", SCALES)
def test_inverse_undoes_transform(scale):
    accuracy = np.array([[0.001, 0.2], [0.5, 0.999]])
    assert inverse(transform(accuracy, scale), scale) == pytest.approx(accuracy)
    assert transform(accuracy, scale).shape == accuracy.shape


@pytest.mark.parametrize("accuracy", [-0.01, 63.3, np.nan])
@pytest.mark.parametrize("scale", SCALES)
def test_transform_refuses_what_is_no_fraction(accuracy, scale):
    with pytest.raises(ScaleError, match="not in percent"):
        transform([0.5, accuracy], scale)


def test_unknown_scale_is_named():
    with pytest.raises(ScaleError, match="'loggit' is unknown; use one of logit, probit, linear"):
        transform(0.5, "loggit")
    with pytest.raises(ScaleError, match="'loggit'"):
        inverse(0.5, "loggit")


@pytest.mark.parametrize(
    ("accuracy", "n", "confidence", "ends"),
    [
        (0.6332, 50000, 0.995, (0.627125, 0.639245)),
        (0.6332, 50000, 0.95, (0.628958, 0.637426)),
        (0.5592, 10000, 0.995, (0.545183, 0.573150)),
        (0.5592, 10000, 0.95, (0.549403, 0.568962)),
        (0.4431, 18514, 0.995, (0.432844, 0.453391)),
        (0.4431, 18514, 0.95, (0.435927, 0.450291)),
    ],
)
def test_clopper_pearson_known_values(accuracy, n, confidence, ends):
    assert clopper_pearson(accuracy * n, n, confidence) == pytest.approx(ends, abs=1e-6)


def test_clopper_pearson_at_the_ends():
    low, high = clopper_pearson([0, 20], 20, 0.95)
    # of 0 of n the high end solves (1 - p)^n = alpha / 2
    assert high[0] == pytest.approx(1 - 0.025 ** (1 / 20))
    assert low[1] == pytest.approx(0.025 ** (1 / 20))
    assert (low[0], high[1]) == (0, 1)


@pytest.mark.parametrize(("correct", "n", "confidence"), [(1, 0, 0.95), (5, 4, 0.95), (-1, 4, 0.95), (1, 4, 95)])
def test_clopper_pearson_refuses(correct, n, confidence):
    with pytest.raises(ValueError, match="n > 0|within"):
        clopper_pearson(correct, n, confidence)


def points_of_the_testbed() -> tuple[np.ndarray, np.ndarray]:
    """Scaled accuracies of the testbed's standard models and its low-accuracy ones, on ImageNet and ImageNet-V2."""
    if not TESTBED.is_file():
        pytest.skip("the table of the ImageNet testbed is not on this machine")
    models = pd.read_csv(TESTBED)
    names, x = models["model"].str.lower(), models["val"] / 100
    y = models["imagenetv2-matched-frequency-format-val"] / 100
    standard = (models["type"] == "STANDARD") & ~names.str.contains("aws|batch64|subsample") & (x >= 0.55)
    low = (models["type"] == "LOW_ACCURACY_CNN") & ~names.str.contains("classes") & (x > 0.01)
    kept = (standard | low) & (y > 0) & (y < 1)
    return transform(x[kept]), transform(y[kept])


def test_line_of_the_testbed():
    x, y = points_of_the_testbed()
    line = fit_line(x, y)
    assert line.n == 196
    assert (line.slope, line.intercept, line.r2) == pytest.approx((0.9306, -0.4963, 0.9995), abs=5e-5)
    low, high = percentile_interval(bootstrap_lines(x, y))
    assert low == pytest.approx([0.9265, -0.5002], abs=5e-5)
    assert high == pytest.approx([0.9342, -0.4921], abs=5e-5)


def test_fit_line_is_least_squares():
    rng = np.random.default_rng(5)
    x = rng.normal(size=40)
    y = 0.8 * x - 0.3 + rng.normal(scale=0.2, size=40)
    line, other = fit_line(x, y), linregress(x, y)
    assert (line.slope, line.intercept, line.r2) == pytest.approx((other.slope, other.intercept, other.rvalue**2))


@pytest.mark.parametrize("x", [[], [0.3], [0.1, 0.1, 0.1]])
def test_no_line_through_one_place(x):
    line = fit_line(x, np.arange(len(x)))
    assert line.n == len(x)
    assert np.isnan([line.slope, line.intercept, line.r2]).all()


def test_level_line_has_no_r2():
    line = fit_line([0, 1, 2], [0.1, 0.1, 0.1])
    assert line.slope == pytest.approx(0)
    assert np.isnan(line.r2)


def test_fit_line_refuses_infinite_points():
    with pytest.raises(ValueError, match="0 and 1"):
        fit_line([0, -np.inf], [0, 1])
    with pytest.raises(ValueError, match="one x and one y"):
        fit_line([0, 1], [0, 1, 2])


def test_bootstrap_repeats_the_reference_draws():
    rng = np.random.default_rng(1)
    x = rng.normal(size=9)
    y = x + rng.normal(scale=0.3, size=9)
    draws = np.random.RandomState(720257663)
    wanted = [linregress(x[rows], y[rows])[:2] for rows in (draws.choice(9, 9) for _ in range(50))]
    assert bootstrap_lines(x, y, 50) == pytest.approx(np.array(wanted))


def test_bootstrap_skips_resamples_without_a_line():
    x, y = [0.0, 1.0, 2.0], [0.0, 1.1, 1.9]
    draws = np.random.RandomState(7)
    lineless = sum(len(set(draws.choice(3, 3))) == 1 for _ in range(400))
    assert 0 < lineless < 400
    lines = bootstrap_lines(x, y, 400, seed=7)
    assert len(lines) == 400 - lineless
    assert np.isfinite(lines).all()


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1], [1]), ([0, 1], [0, 1]), ([0, 1, 1], [0, 1, 1]), ([1] * 4, [1, 2, 3, 4])]
)
def test_too_few_points_have_no_interval(x, y):
    lines = bootstrap_lines(x, y)
    assert lines.shape == (0, 2)
    low, high = percentile_interval(lines)
    assert np.isnan([*low, *high]).all()
    assert low.shape == (2,)


def test_percentile_interval_takes_samples_outwards():
    low, high = percentile_interval(np.arange(1000.0), 0.95)
    assert (low, high) == (24, 975)


def test_prediction_of_an_exact_line():
    x = np.array([-1.0, 0, 0.5, 1])
    line, lines = fit_line(x, 0.5 * x - 1), bootstrap_lines(x, 0.5 * x - 1)
    assert predict(line, lines, 0.5) == pytest.approx([expit(-1)] * 3)
    low, high = line_band(lines, [-2.0, 0, 2])
    assert low == pytest.approx([-2, -1, 0])
    assert high == pytest.approx([-2, -1, 0])


def test_prediction_without_interval():
    value, low, high = predict(Line(2, 1.0, 0.0, 1.0), np.empty((0, 2)), 0.3)
    assert value == pytest.approx(0.3)
    assert np.isnan([low, high]).all()


EXACT = np.array([[0.9, -0.5]] * 3)
LINE = Line(10, 0.9, -0.5, 1.0)


@pytest.mark.parametrize(
    ("scale", "expected"), [("logit", expit(0.9 * np.log(0.6 / 0.4) - 0.5)), ("linear", 0.9 * 0.6 - 0.5)]
)
def test_effective_robustness_is_the_height_above_the_line(scale, expected):
    found = effective_robustness(Estimate(0.5, 0.46, 0.55), Estimate(0.6, 0.6, 0.6), LINE, EXACT, scale)
    # with a sure line and a sure reference, the interval is the shifted accuracy's own
    assert found == pytest.approx(100 * (np.array([0.5, 0.46, 0.55]) - expected))


def test_uncertain_reference_is_carried_through_the_line():
    found = effective_robustness(Estimate(0.5, 0.5, 0.5), Estimate(0.6, 0.55, 0.66), LINE, EXACT)
    at = [expit(0.9 * transform(reference) - 0.5) for reference in (0.6, 0.66, 0.55)]
    assert found == pytest.approx(100 * (0.5 - np.array(at)))


def test_distances_add_up_in_squares():
    lines = np.array([[0.9, -0.6]] * 5 + [[0.9, -0.4]] * 5)
    shifted, reference = Estimate(0.5, 0.46, 0.55), Estimate(0.6, 0.55, 0.66)
    alone = [
        effective_robustness(shifted, Estimate(0.6, 0.6, 0.6), LINE, EXACT),
        effective_robustness(Estimate(0.5, 0.5, 0.5), reference, LINE, EXACT),
        effective_robustness(Estimate(0.5, 0.5, 0.5), Estimate(0.6, 0.6, 0.6), LINE, lines),
    ]
    value, low, high = effective_robustness(shifted, reference, LINE, lines)
    assert low == pytest.approx(value - np.sqrt(sum((one.value - one.low) ** 2 for one in alone)))
    assert high == pytest.approx(value + np.sqrt(sum((one.high - one.value) ** 2 for one in alone)))


def test_gaps_of_effective_robustness():
    sure, none = Estimate(0.5, 0.4, 0.6), np.empty((0, 2))
    assert np.isnan(effective_robustness(sure, sure, Line(1, np.nan, np.nan, np.nan), none)).all()
    assert np.isnan(effective_robustness(sure, Estimate(0.0, 0.0, 0.1), LINE, EXACT)).all()
    value, low, high = effective_robustness(sure, sure, LINE, none)
    assert np.isfinite(value)
    assert np.isnan([low, high]).all()
    # a shifted accuracy of 0 needs no scale, and a reference that may be 0 lets the line end at 0
    assert np.isfinite(effective_robustness(Estimate(0.0, 0.0, 0.1), Estimate(0.1, 0.0, 0.2), LINE, EXACT)).all()


def test_level_baseline_with_a_reference_that_may_be_zero():
    level = Line(3, 0.0, 0.0, np.nan)
    found = effective_robustness(Estimate(0.6, 0.5, 0.7), Estimate(0.1, 0.0, 0.2), level, np.array([[0.0, 0.0]] * 3))
    assert found == pytest.approx([10, 0, 20])


def test_interval_of_effective_robustness_covers():
    rng = np.random.default_rng(11)
    n, images, runs, inside = 25, 1000, 300, 0
    truth = 100 * (0.45 - expit(0.9 * transform(0.6) - 0.5))
    for _ in range(runs):
        x = rng.uniform(-1, 1.5, n)
        y = 0.9 * x - 0.5 + rng.normal(scale=0.1, size=n)
        counts = rng.binomial(images, [0.45, 0.6])
        ends = np.array(clopper_pearson(counts, images, 0.95))
        shifted, reference = (Estimate(*place) for place in zip(counts / images, *ends, strict=True))
        found = effective_robustness(shifted, reference, fit_line(x, y), bootstrap_lines(x, y, 200))
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / runs <= 0.99
