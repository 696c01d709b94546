"""The table of dilution: heights and fractions of known lines, and intervals of both kinds."""

import numpy as np
import pytest
from scipy.special import expit

from example_claims import ENSEMBLE, MIX, SHIFTS, A, B, run
from example_evaluations import REFERENCE
from measure_dilution import DILUTION_COLUMNS, measure_dilution
from testbed.experiment.pools import ensemble_of
from testbed.statistics.settings import Settings


def test_dilution_is_measured_at_a_common_reference_accuracy():
    evaluations = run({"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5), "ens": (-0.4, 0.4)}, noise=0.001)
    dilution = measure_dilution(evaluations, [A, B, MIX, ENSEMBLE], REFERENCE, Settings())
    assert dilution.columns.tolist() == DILUTION_COLUMNS
    assert dilution["testset"].tolist() == SHIFTS
    one = dilution.iloc[0]
    x = np.log(one["reference_value"] / (1 - one["reference_value"]))
    assert (one["best"], one["worst"], one["ensemble"]) == ("a", "b", "ens")
    assert one["value"] == pytest.approx(expit(x - 0.5), abs=1e-3)
    assert one["below_best"] == pytest.approx(100 * (expit(x) - expit(x - 0.5)), abs=0.1)
    assert one["above_worst"] == pytest.approx(100 * (expit(x - 0.5) - expit(x - 1)), abs=0.1)
    # equal shares: the members' lines combined have their mean intercept, the mixture's
    assert one["combination"] == pytest.approx(expit(x - 0.5), abs=1e-3)
    assert one["above_combination_low"] < 0 < one["above_combination_high"]
    assert one["above_ensemble"] == pytest.approx(100 * (expit(x - 0.5) - expit(x - 0.4)), abs=0.1)
    assert one["below_best_low"] <= one["below_best"] <= one["below_best_high"]


def test_the_ensemble_is_told_by_each_average():
    """The probabilities' line is half a logit above that of the logits."""
    evaluations = run({"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5), "ens": (-0.4, 0.4)}, noise=0.001)
    higher = run({"ens": (0.1, 0.9)}, noise=0.001)
    by_average = {
        "logits": evaluations[evaluations["pool"] == "ens"],
        "probabilities": higher,
        "scaled_logits": higher[:0],
    }
    dilution = measure_dilution(evaluations, [A, B, MIX, ENSEMBLE], REFERENCE, Settings(), by_average=by_average)
    one = dilution.iloc[0]
    x = np.log(one["reference_value"] / (1 - one["reference_value"]))
    assert one["above_ensemble_by_logits"] == pytest.approx(one["above_ensemble"], abs=1e-9)
    expected = 100 * (expit(x - 0.5) - expit(x + 0.1))
    assert one["above_ensemble_by_probabilities"] == pytest.approx(expected, abs=0.1)
    assert np.isnan(one["above_ensemble_by_scaled_logits"])


def test_ensembles_below_the_minimum_are_left_out():
    evaluations = run({"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5), "ens": (0, 0)}, gain={"ens": -2})
    by_average = {"logits": evaluations[evaluations["pool"] == "ens"]}
    settings = Settings(minimum_reference=0.15)
    pools = [A, B, MIX, ENSEMBLE]
    one = measure_dilution(evaluations, pools, REFERENCE, settings, by_average=by_average).iloc[0]
    assert np.isfinite(one["fraction"])
    assert np.isnan(one["above_ensemble_by_logits"])


def test_mixtures_that_share_no_reference_accuracy_with_their_members_are_a_gap():
    evaluations = run({"a": (0, 0), "b": (-1, 1), "mix": (0, 0)}, gain={"mix": 5})
    dilution = measure_dilution(evaluations, [A, B, MIX], REFERENCE, Settings())
    assert len(dilution) == 2
    assert dilution[["value", "below_best", "combination"]].isna().all(axis=None)
    stated = measure_dilution(
        run({"a": (0, 0), "b": (0, 0), "mix": (0, 0)}), [A, B, MIX], REFERENCE, Settings(compare_at=0.3)
    )
    assert stated["reference_value"].tolist() == [0.3, 0.3]


def test_an_ensemble_belongs_to_the_mixture_of_the_same_shares():
    assert ensemble_of(MIX, [A, ENSEMBLE]) == "ens"
    assert ensemble_of(MIX | {"members": {"a": 1, "b": 2}}, [A, ENSEMBLE]) is None
