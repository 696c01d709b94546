"""Lines and their errors: against closed forms of one regression, and on simulated experiments with known truth."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import t as student_t
from worlds import REFERENCE, World, simulate

from testbed.statistics.fits import Fit
from testbed.statistics.joint_correct import JointCorrect
from testbed.statistics.residuals import moderate
from testbed.statistics.scales import SCALES, inverse, slope_of_inverse, transform
from testbed.statistics.tables import pair_with_reference

X = np.array([-1.2, -0.6, 0.1, 0.5])
# So many images that their part is nothing.
N = 10**12


def points(heights: dict[str, np.ndarray], x: np.ndarray = X, n: int = N, seeds=None, sizes=None) -> pd.DataFrame:
    """Models at scaled reference accuracies `x` with these scaled shifted accuracies, by pool."""
    parts = []
    for pool, y in heights.items():
        accuracies = expit(x), expit(np.asarray(y, dtype=float))
        counts = [np.round(n * accuracy).astype(np.int64) for accuracy in accuracies]
        parts.append(
            pd.DataFrame(
                {
                    "pool": pool,
                    "model": [f"{pool}-{number}" for number in range(len(x))],
                    "size": sizes if sizes is not None else np.zeros(len(x), dtype=int),
                    "seed": seeds if seeds is not None else 0,
                    "testset": "shift",
                    "classes": "all",
                    "reference_value": counts[0] / n,
                    "reference_correct": counts[0],
                    "reference_n": n,
                    "value": counts[1] / n,
                    "correct": counts[1],
                    "n": n,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def fit(table: pd.DataFrame, **options) -> Fit:
    return Fit(table, "logit", JointCorrect(), "reference", **options)


@pytest.mark.parametrize("scale", SCALES)
def test_slope_of_inverse_is_its_derivative(scale):
    scaled = transform([0.02, 0.3, 0.5, 0.97], scale)
    step = 1e-6
    numeric = (inverse(scaled + step, scale) - inverse(scaled - step, scale)) / (2 * step)
    assert slope_of_inverse(scaled, scale) == pytest.approx(numeric, rel=1e-6)


def test_without_image_errors_it_is_one_regression():
    """The same by the normal equations of one regression with a slope and an intercept for each pool."""
    rng = np.random.default_rng(1)
    heights = {"a": 0.9 * X - 0.2 + rng.normal(0, 0.05, 4), "b": 1.1 * X - 0.7 + rng.normal(0, 0.05, 4)}
    found = fit(points(heights))
    x0 = float(transform(0.45))
    difference = found.accuracy("shift", "a", x0) - found.accuracy("shift", "b", x0)
    uncertainty = found.uncertainty([difference, found.slope("shift", "a")])
    design = np.zeros((8, 4))
    design[:4, 0], design[:4, 1], design[4:, 2], design[4:, 3] = 1, X, 1, X
    y = np.concatenate([heights["a"], heights["b"]])
    beta, (squares,), *_ = np.linalg.lstsq(design, y, rcond=None)
    covariance = squares / 4 * np.linalg.inv(design.T @ design)
    at = np.array([[1, x0, 0, 0], [0, 0, 1, x0]]) @ beta
    steep = expit(at) * (1 - expit(at))
    gradient = 100 * np.array([steep[0], steep[0] * x0, -steep[1], -steep[1] * x0])
    assert difference.value == pytest.approx(100 * (expit(at[0]) - expit(at[1])))
    expected = np.sqrt([gradient @ covariance @ gradient, covariance[1, 1]])
    assert uncertainty.error == pytest.approx(expected, rel=1e-4)
    assert uncertainty.freedom == pytest.approx([4, 4], rel=1e-3)
    low, high = uncertainty.interval(np.array([difference.value, beta[1]]), 0.95)
    assert (high - low) / 2 == pytest.approx(student_t.ppf(0.975, 4) * expected, rel=1e-3)


def test_pools_are_compared_where_all_have_models():
    found = fit(pd.concat([points({"a": X}), points({"b": X + 1.5}, X + 1)]))
    assert found.common_reference("shift", ["a", "b"]) == pytest.approx((-0.2 + 0.5) / 2)
    assert found.common_reference("shift", ["a", "b"], at=0.5) == pytest.approx(0)
    assert np.isnan(found.common_reference("shift", ["a", "b"], at=0.9))
    assert np.isnan(found.common_reference("shift", ["a", "nobody"]))
    apart = fit(pd.concat([points({"a": X}), points({"b": X}, X + 5)]))
    assert np.isnan(apart.common_reference("shift", ["a", "b"]))


def test_pools_without_a_line_are_left_out():
    found = fit(pd.concat([points({"a": X}), points({"single": X[:1]}, X[:1])]))
    assert found.has_line("shift", "a") and not found.has_line("shift", "single")
    # Two models per pool leave no degree of freedom: a difference, and no interval.
    pair = fit(points({"a": X[:2], "b": X[:2] + 1}, X[:2]))
    x = pair.common_reference("shift", ["a", "b"])
    difference = pair.accuracy("shift", "b", x) - pair.accuracy("shift", "a", x)
    assert difference.value > 10
    assert np.isnan(pair.uncertainty([difference]).interval(np.array([difference.value]), 0.95)).all()


def test_seeds_of_a_trainset_are_no_new_evidence():
    """The same models as ten seeds each, with the same accuracies: the interval stays as it was."""
    rng = np.random.default_rng(3)
    heights = {name: X + rng.normal(0, 0.05, 4) for name in "abc"}
    once = fit(points(heights, sizes=[1, 2, 3, 4]))
    seeds = np.repeat(np.arange(10), 4)
    repeated = {name: np.tile(y, 10) for name, y in heights.items()}
    often = fit(points(repeated, np.tile(X, 10), sizes=np.tile([1, 2, 3, 4], 10), seeds=seeds))
    errors = []
    for one in (once, often):
        x = one.common_reference("shift", ["a", "b"])
        difference = one.accuracy("shift", "a", x) - one.accuracy("shift", "b", x)
        errors.append(one.uncertainty([difference]))
    assert errors[1].error == pytest.approx(errors[0].error, rel=0.02)
    assert errors[1].freedom < 20


def test_ensembles_do_not_tell_how_much_models_vary():
    rng = np.random.default_rng(4)
    heights = {name: X + rng.normal(0, 0.1, 4) for name in "abc"} | {"average": X + 1 + rng.normal(0, 0.05, 4)}
    with_it, without = fit(points(heights)), fit(points(heights), ensembles=["average"])
    freedoms = [one.uncertainty([one.slope("shift", "a")]).freedom[0] for one in (with_it, without)]
    assert freedoms == pytest.approx([8, 6], rel=1e-3)
    assert without.has_line("shift", "average")


def test_effective_robustness_is_surer_where_models_saw_the_same_images():
    world = World({"a": [(0.9, -0.5)], "b": [(0.9, 0.0)]}, {None: (600, 1200, 2400, 4800)}, images=500)
    evaluations, joint = simulate(world, np.random.default_rng(0))
    pairs = pair_with_reference(evaluations, REFERENCE)
    errors = []
    for counts in (joint, JointCorrect()):
        found = Fit(pairs, "logit", counts, REFERENCE)
        errors.append(found.uncertainty([found.effective_robustness("shift_1", "b-rn-2400-0", "a")]))
    assert np.sqrt(errors[0].images[0, 0]) < 0.95 * np.sqrt(errors[1].images[0, 0])


@pytest.mark.parametrize(
    ("ratios", "moderated"), [([0.9, 1.0, 1.1, 1.0, 0.95], False), ([0.05, 4, 0.1, 6, 0.08], True)]
)
def test_variances_of_pools_are_moderated(ratios, moderated):
    found = moderate(np.array(ratios), np.full(5, 8.0))
    if not moderated:
        assert (found.ratios == 1).all() and np.isinf(found.prior)
    else:
        assert 0 < found.prior < 8
        # Between its own ratio and that of all pools.
        assert (np.argsort(found.ratios) == np.argsort(ratios)).all()
        assert found.ratios.min() > min(ratios) and found.ratios.max() < max(ratios)


def test_cautious_errors_take_no_pool_for_less_variable_than_it_is():
    noise = np.array([0.1, -0.1, -0.1, 0.1])
    heights = dict.fromkeys("abcd", X + 0.3 * noise) | {"noisy": X + 1.2 * noise}
    found = fit(points(heights))
    slopes = [found.slope("shift", pool) for pool in heights]
    usual, cautious = (found.uncertainty(slopes, own).error for own in (False, True))
    # The noisy pool has its own variance, the others share one.
    own = fit(points({"noisy": heights["noisy"]}))
    assert cautious[4] == pytest.approx(own.uncertainty([own.slope("shift", "noisy")]).error[0], rel=1e-6)
    assert usual[4] < 0.95 * cautious[4]
    assert cautious[:4] == pytest.approx(usual[:4])


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_cover_as_often_as_they_say(seeds):
    """200 simulated experiments: 95 % intervals of a difference, of slopes and of a line, within simulation error."""
    world = World(
        {f"s{number}": [(0.9, -0.3), (1.0, -0.8)] for number in range(6)}, {None: (600, 1200, 2400, 4800)}, seeds=seeds
    )
    rng, covered, runs = np.random.default_rng(seeds), np.zeros(3), 200
    for _ in range(runs):
        evaluations, joint = simulate(world, rng)
        found = Fit(pair_with_reference(evaluations, REFERENCE), "logit", joint, REFERENCE)
        x = found.common_reference("shift_1", ["s0", "s1"])
        one, other = (found.height("shift_1", pool, x) for pool in ("s0", "s1"))
        estimates = [one - other, found.slope("shift_1", "s0") - found.slope("shift_1", "s1"), one]
        truths = [0, 0, 0.9 * x - 0.3]
        low, high = found.uncertainty(estimates).interval(np.array([one.value for one in estimates]), 0.95)
        covered += (low <= truths) & (truths <= high)
    assert (np.abs(covered / runs - 0.95) < 3.3 * np.sqrt(0.95 * 0.05 / runs) + 0.01).all(), covered / runs


def test_lines_cross_where_both_have_models_or_not_at_all():
    lines = fit(points({"a": X, "b": 2 * X + 0.3, "parallel": X + 1, "far": 2 * X + 9}))
    assert lines.crossing("shift", "a", "b") == pytest.approx(-0.3, abs=1e-6)
    assert lines.crossing("shift", "b", "a") == pytest.approx(-0.3, abs=1e-6)
    assert np.isnan(lines.crossing("shift", "a", "far"))
    assert np.isnan(lines.crossing("shift", "a", "parallel"))
