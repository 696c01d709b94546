"""The claim that compares a pool without near-duplicates of test images with its random control."""

import pytest

from check_claims import check_claims
from example_claims import SHIFTS, A, B, run
from example_evaluations import REFERENCE
from testbed.statistics.claim import Claim
from testbed.statistics.comparisons import CONTRADICTED, SUPPORTED, UNDECIDED
from testbed.statistics.settings import Settings

NAME = "not_from_duplicates"
DRAWN = {"name": "drawn", "kind": "filter", "of": "a"}


def apart(*shifts: str, name: str = "apart") -> dict:
    return {"name": name, "kind": "filter", "of": "a", "control": {"pool": "drawn", "shifts": [*shifts]}}


def claim_of(heights: dict, pools: list[dict], **noise) -> Claim | None:
    claims = check_claims(run(heights, **noise), pools, REFERENCE, (), Settings())
    return next((claim for claim in claims if claim.name == NAME), None)


@pytest.mark.parametrize(
    ("height", "verdict"), [(0, SUPPORTED), (1, SUPPORTED), (-0.02, SUPPORTED), (-0.5, CONTRADICTED)]
)
def test_a_pool_may_be_above_its_control_or_below_by_less_than_the_margin(height, verdict):
    claim = claim_of({"apart": (height, 0), "drawn": (0, 0)}, [apart("one"), DRAWN])
    assert claim.verdict == verdict
    assert claim.statistic == claim.comparisons[0]


def test_shifts_whose_near_duplicates_were_not_dropped_are_not_compared():
    claim = claim_of({"apart": (0, -3), "drawn": (0, 0)}, [apart("one"), DRAWN])
    assert [(one.pool, one.other, one.testset) for one in claim.comparisons] == [("apart", "drawn", "one")]
    assert claim.verdict == SUPPORTED
    assert claim_of({"apart": (0, -3), "drawn": (0, 0)}, [apart(*SHIFTS), DRAWN]).verdict == CONTRADICTED


def test_of_two_pools_each_is_compared_on_its_own_shifts():
    pools = [apart("one"), apart("two", name="other"), DRAWN]
    claim = claim_of({"apart": (0, -3), "other": (-3, 0), "drawn": (0, 0)}, pools)
    assert {(one.pool, one.testset) for one in claim.comparisons} == {("apart", "one"), ("other", "two")}
    assert claim.verdict == SUPPORTED


def test_what_noise_hides_or_a_missing_control_leaves_open_is_undecided():
    noisy = claim_of({"apart": (-0.05, 0), "drawn": (0, 0)}, [apart("one"), DRAWN], noise=0.4)
    assert noisy.verdict == UNDECIDED and noisy.comparisons[0].lacks
    assert claim_of({"apart": (0, 0)}, [apart("one")]).verdict == UNDECIDED


def test_without_a_control_there_is_no_claim():
    assert claim_of({"a": (0, 0), "b": (0, 0)}, [A, B]) is None
