"""Families of comparisons, what an undecided one lacks, and the dilution fraction."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import norm

from check_claims import check_claims
from example_claims import ENSEMBLE, MIX, A, B, run
from example_evaluations import REFERENCE
from testbed.statistics.comparisons import (
    HEIGHT,
    UNDECIDED,
    Comparison,
    critical_value,
    joint_critical_value,
    student,
    what_it_lacks,
)
from testbed.statistics.mixing import fieller
from testbed.statistics.settings import Settings

ONE = Comparison("claim", "a", "b", "rn", "shift", HEIGHT, 0.3, 1.0, 0.6, 0.3, 50.0)


def test_critical_values_of_independent_and_of_equal_numbers():
    assert critical_value(0.95) == pytest.approx(1.959964, abs=1e-6)
    # Of k independent numbers: the k-th root of the level.
    for count, sides in ((5, 2), (40, 2), (10, 1)):
        level = 0.95 if sides == 2 else 0.975
        tail = (1 - level ** (1 / count)) / sides
        found = joint_critical_value(np.eye(count), 0.95, sides)
        assert found == pytest.approx(norm.isf(tail), abs=0.03)
    assert joint_critical_value(np.ones((8, 8)), 0.95) == pytest.approx(1.96, abs=0.03)
    # More comparisons never make an interval narrower, and equal input gives equal numbers.
    assert joint_critical_value(np.eye(6), 0.95) > joint_critical_value(np.eye(5), 0.95)
    assert joint_critical_value(np.eye(6), 0.95) == joint_critical_value(np.eye(6), 0.95)


def test_students_quantile_of_a_normal_one():
    assert student(ndtri(0.975), 10) == pytest.approx(2.228139, abs=1e-5)
    assert student(1.96, np.inf) == 1.96
    assert np.isnan(student(1.96, np.nan))


def test_what_is_lacking_is_the_larger_part():
    undecided = ONE.within(critical_value(0.95))
    assert undecided.low < 0 < undecided.high
    assert what_it_lacks(undecided) == "about 2.3 times as many images"
    turned = replace(undecided, images=undecided.models, models=undecided.images)
    assert what_it_lacks(turned) == "about 2.3 times as many models"
    assert what_it_lacks(replace(undecided, images=0.5, models=0.5, value=0.9)).endswith("images and models")
    assert what_it_lacks(replace(undecided, value=0.01)) == "more than 30 times as many images and models"
    assert what_it_lacks(replace(undecided, low=np.nan)) == "models to tell how much they vary"
    # With so many more it is decided.
    enough = replace(ONE, images=ONE.images / np.sqrt(2.35)).within(critical_value(0.95))
    assert enough.low > 0


def test_fiellers_interval_is_where_the_test_does_not_reject():
    covariance, reach = np.array([[0.04, 0.01], [0.01, 0.09]]), 2.1
    low, high = fieller(1.0, 2.0, covariance, reach)
    assert low < 0.5 < high
    for end in (low, high):
        direction = np.array([1, -end])
        assert abs(1.0 - end * 2.0) == pytest.approx(reach * np.sqrt(direction @ covariance @ direction))
    assert np.isnan(fieller(1.0, 0.5, covariance, reach)).all()


def test_an_undecided_equivalence_needs_what_takes_its_interval_off_the_margin():
    """Mixtures are 0.2 of the members' distance above their ensembles, which is surely not 0 and perhaps within 0.25."""
    heights = {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5), "ens": (-0.7, 0.3)}
    claims = check_claims(run(heights, noise=0.1, seed=2), [A, B, MIX, ENSEMBLE], REFERENCE, [], Settings())
    claim = next(one for one in claims if one.name == "output_mixing_predicts")
    assert claim.verdict == UNDECIDED and claim.statistic.low > 0
    assert claim.statistic.low < Settings().fraction_margin < claim.statistic.high
    assert re.fullmatch(r"about [\d.]+ times as many models", claim.statistic.lacks)
