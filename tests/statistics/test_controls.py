"""The claims on filters with a random control: they are about the control, not about the pool that both are taken from."""

import pytest

from check_claims import check_claims
from example_claims import CONTROL, FILTER, SHIFTS, A, B, run
from example_evaluations import REFERENCE
from testbed.statistics.claim import Claim
from testbed.statistics.comparisons import CONTRADICTED, SUPPORTED, UNDECIDED
from testbed.statistics.settings import Settings


def claims_on(heights: dict[str, tuple[float, float]], **options) -> dict[str, Claim]:
    evaluations = run(heights, **options)
    return {one.name: one for one in check_claims(evaluations, [A, FILTER, CONTROL], REFERENCE, (), Settings())}


def test_a_line_below_that_of_the_control_supports_the_claim():
    claim = claims_on({"a": (0, 0), "kept": (-0.5, 0), "drawn": (0, 0)})["selection_moves_the_line"]
    assert claim.verdict == SUPPORTED
    assert {(one.pool, one.other) for one in claim.comparisons} == {("kept", "drawn")}
    assert claim.statistic.testset == "one" and claim.statistic.high < 0


def test_a_filter_that_moves_the_line_as_its_control_does_contradicts_the_claim():
    """Fewer samples alone move it: the line differs from that of the pool, but what was kept does not matter."""
    claims = claims_on({"a": (0, 0), "kept": (-0.5, 0), "drawn": (-0.5, 0)})
    assert claims["selection_moves_the_line"].verdict == CONTRADICTED
    assert claims["filtering_moves_the_line"].verdict == SUPPORTED


def test_a_random_control_is_no_filter():
    """A control whose line differs by chance would support that filtering moves lines."""
    claims = claims_on({"a": (0, 0), "kept": (0, 0), "drawn": (-0.5, 0)})
    for name in ("filtering_moves_the_line", "filtering_moves_models_along"):
        assert {(one.pool, one.other) for one in claims[name].comparisons} == {("kept", "a")}
    assert claims["filtering_moves_the_line"].verdict == CONTRADICTED


def test_noise_decides_nothing():
    noisy = claims_on({"a": (0, 0), "kept": (0.1, 0), "drawn": (0, 0)}, noise=0.4)
    assert noisy["selection_moves_the_line"].verdict == UNDECIDED


def test_without_an_evaluated_control_there_is_no_claim():
    assert "selection_moves_the_line" not in claims_on({"a": (0, 0), "kept": (-0.5, 0)})
    assert "selection_moves_the_line" not in claims_on({"a": (0, 0), "drawn": (-0.5, 0)})


NAME = "not_from_duplicates"


def apart(*shifts: str, name: str = "apart") -> list[dict]:
    """A pool without near-duplicates of the images of `shifts`, and its control."""
    control = {"name": name.replace("apart", "drawn"), "kind": "filter", "of": "a", "control_of": name}
    return [{"name": name, "kind": "filter", "of": "a", "against": [*shifts]}, control]


def claim_of(heights: dict, pools: list[dict], **noise) -> Claim | None:
    claims = check_claims(run(heights, **noise), pools, REFERENCE, (), Settings())
    return next((claim for claim in claims if claim.name == NAME), None)


@pytest.mark.parametrize(
    ("height", "verdict"), [(0, SUPPORTED), (1, SUPPORTED), (-0.02, SUPPORTED), (-0.5, CONTRADICTED)]
)
def test_a_pool_may_be_above_its_control_or_below_by_less_than_the_margin(height, verdict):
    claim = claim_of({"apart": (height, 0), "drawn": (0, 0)}, apart("one"))
    assert claim.verdict == verdict
    assert claim.statistic == claim.comparisons[0]


def test_shifts_whose_near_duplicates_were_not_dropped_are_not_compared():
    claim = claim_of({"apart": (0, -3), "drawn": (0, 0)}, apart("one"))
    assert [(one.pool, one.other, one.testset) for one in claim.comparisons] == [("apart", "drawn", "one")]
    assert claim.verdict == SUPPORTED
    assert claim_of({"apart": (0, -3), "drawn": (0, 0)}, apart(*SHIFTS)).verdict == CONTRADICTED


def test_of_two_pools_each_is_compared_on_its_own_shifts():
    pools = apart("one") + apart("two", name="apart2")
    claim = claim_of({"apart": (0, -3), "apart2": (-3, 0), "drawn": (0, 0), "drawn2": (0, 0)}, pools)
    assert {(one.pool, one.testset) for one in claim.comparisons} == {("apart", "one"), ("apart2", "two")}
    assert claim.verdict == SUPPORTED


def test_what_noise_hides_is_undecided():
    noisy = claim_of({"apart": (-0.05, 0), "drawn": (0, 0)}, apart("one"), noise=0.4)
    assert noisy.verdict == UNDECIDED and noisy.comparisons[0].lacks


def test_without_an_evaluated_control_there_is_no_claim_on_near_duplicates():
    assert claim_of({"a": (0, 0), "b": (0, 0)}, [A, B]) is None
    assert claim_of({"apart": (0, 0)}, apart("one")) is None


def test_a_pool_without_near_duplicates_is_not_asked_whether_its_selection_moves_the_line():
    claims = check_claims(run({"apart": (0, 0), "drawn": (0, 0)}), apart("one"), REFERENCE, (), Settings())
    assert NAME in [claim.name for claim in claims]
    assert "selection_moves_the_line" not in [claim.name for claim in claims]
