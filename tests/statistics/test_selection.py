"""The claim on filters with a random control: it is about the control, not about the pool that both are taken from."""

from check_claims import check_claims
from example_claims import CONTROL, FILTER, A, run
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


def test_noise_decides_nothing():
    noisy = claims_on({"a": (0, 0), "kept": (0.1, 0), "drawn": (0, 0)}, noise=0.4)
    assert noisy["selection_moves_the_line"].verdict == UNDECIDED


def test_without_an_evaluated_control_there_is_no_claim():
    assert "selection_moves_the_line" not in claims_on({"a": (0, 0), "kept": (-0.5, 0)})
    assert "selection_moves_the_line" not in claims_on({"a": (0, 0), "drawn": (-0.5, 0)})
