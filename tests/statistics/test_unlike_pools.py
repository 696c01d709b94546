"""Claims on pools that are unlike: trained at few sizes, at other sizes, or at other reference accuracies."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from check_claims import check_claims
from example_claims import FILTER, SIZES, A, N, run
from example_evaluations import REFERENCE
from testbed.statistics.comparisons import HEIGHT, SLOPE, SUPPORTED, UNDECIDED, Comparison, what_it_lacks
from testbed.statistics.settings import Settings

SIX = [{"name": name, "kind": "source"} for name in "abcdef"]


def claim_of(name: str, evaluations: pd.DataFrame, pools: list[dict]):
    claims = check_claims(evaluations, pools, REFERENCE, [], Settings())
    return next(claim for claim in claims if claim.name == name)


def without(evaluations: pd.DataFrame, pool: str, sizes: list[int]) -> pd.DataFrame:
    """The evaluations without models of `pool` at other sizes."""
    return evaluations[(evaluations["pool"] != pool) | evaluations["size"].isin(sizes)]


@pytest.mark.parametrize("few", ["a", "f"])
def test_a_pool_with_two_models_widens_no_interval_of_others(few):
    """Its line passes through both, so that it does not tell how much its models vary: they vary as those of others."""
    heights = {pool["name"]: (0.8 * (pool == SIX[0]), 0) for pool in SIX}
    evaluations = run(heights, noise=0.05)
    widths = {}
    for name, own in (("whole", evaluations), ("few", without(evaluations, few, [SIZES[0], SIZES[-1]]))):
        claim = claim_of("sources_differ", own, SIX)
        assert claim.verdict == SUPPORTED
        widths[name] = {
            frozenset((one.pool, one.other)): one.high - one.low
            for one in claim.comparisons
            if (one.testset, one.measure) == ("one", HEIGHT)
        }
    for pair, width in widths["few"].items():
        assert width < (2 if few in pair else 1.5) * widths["whole"][pair]


def curved(evaluations: pd.DataFrame, ranges: dict[str, tuple[float, float]], noise: float) -> pd.DataFrame:
    """The evaluations with each pool's models spread over its range, all on one curve that becomes steeper."""
    rng = np.random.default_rng(0)
    for (pool, size), rows in evaluations.groupby(["pool", "size"]):
        low, high = logit(ranges[pool])
        x = low + (high - low) * SIZES.index(size) / (len(SIZES) - 1) + rng.normal(0, 0.01)
        for row, testset in rows["testset"].items():
            y = x if testset == REFERENCE else 1.2 * x + 0.15 * x**2 + rng.normal(0, noise)
            correct = round(N * expit(y))
            evaluations.loc[row, ["correct", "value"]] = correct, correct / N
    return evaluations


def test_sources_of_other_accuracies_do_not_differ_because_a_curve_bends():
    """On the published models of low accuracy, lines differ in slope by where they are fitted (ObjectNet: 0.39, 0.68)."""
    ranges = {"a": (0.03, 0.15), "b": (0.03, 0.15), "c": (0.08, 0.42), "d": (0.08, 0.42)}
    evaluations = run(dict.fromkeys(ranges, (0, 0)))
    claim = claim_of("sources_differ", curved(evaluations, ranges, 0.02), SIX[:4])
    assert claim.verdict != SUPPORTED
    slopes = {one.pool + one.other: one for one in claim.comparisons if (one.measure, one.testset) == (SLOPE, "one")}
    assert {pair for pair, one in slopes.items() if np.isfinite(one.value)} == {"ab", "cd"}
    assert slopes["ac"].lacks == "models of both in one range of reference accuracies: other sizes"


def test_pools_without_a_common_range_need_other_sizes_not_more_models():
    one = Comparison("claim", "a", "b", "rn", "one", HEIGHT, np.nan, np.nan)
    assert what_it_lacks(one) == "models of both in one range of reference accuracies: other sizes"
    assert what_it_lacks(replace(one, value=1.0, images=0.5)) == "models to tell how much they vary"


def test_a_filter_without_a_size_of_its_origin_leaves_gains_undecided():
    """The other filter gains nothing. That says nothing of this one."""
    pools = [A, FILTER, {"name": "late", "kind": "filter", "of": "a"}]
    evaluations = run({"a": (0, 0), "kept": (0, 0), "late": (0, 0)}, noise=0.5)
    assert claim_of("filtering_moves_models_along", evaluations, pools).verdict != UNDECIDED
    late = evaluations["pool"] == "late"
    evaluations.loc[late, "size"] += 1
    assert claim_of("filtering_moves_models_along", evaluations, pools).verdict == UNDECIDED
