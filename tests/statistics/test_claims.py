"""Claims: tables in which each is true, false, or beyond what can be told give the verdict that fits."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from check_claims import (
    CLAIM_COLUMNS,
    check_claims,
    claims_page,
    claims_table,
    comparisons_table,
    difference_in_words,
)
from example_claims import ENSEMBLE, FILTER, MIX, SHIFTS, SIZES, A, B, N, run
from example_evaluations import REFERENCE
from testbed.statistics.comparisons import CONTRADICTED, HEIGHT, SLOPE, SUPPORTED, UNDECIDED, Comparison
from testbed.statistics.settings import Settings


def verdicts(evaluations: pd.DataFrame, pools: list[dict], named=()) -> dict[str, str]:
    return {claim.name: claim.verdict for claim in check_claims(evaluations, pools, REFERENCE, named, Settings())}


@pytest.mark.parametrize(
    ("claim", "pools", "true", "false", "unclear"),
    [
        (
            "sources_differ",
            [A, B],
            {"a": (0, 0), "b": (-1, 0)},
            {"a": (0, 0), "b": (0, 0)},
            {"a": (0, 0), "b": (0.1, 0)},
        ),
        (
            "no_best_source",
            [A, B],
            {"a": (0, 0), "b": (-1, 1)},
            {"a": (0, 0), "b": (-1, -1)},
            {"a": (0, 0), "b": (0, -1)},
        ),
        (
            "mixing_dilutes",
            [A, B, MIX],
            {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5)},
            {"a": (0, 0), "b": (-1, 1), "mix": (0.5, 1.5)},
            {"a": (0, 0), "b": (0, 0), "mix": (-0.5, 0.5)},
        ),
        (
            "mixing_beats_the_worst",
            [A, B, MIX],
            {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5)},
            {"a": (0, 0), "b": (-1, 1), "mix": (-2, -0.5)},
            {"a": (0, 0), "b": (0, 0), "mix": (-0.5, 0.5)},
        ),
        (
            "output_mixing_predicts",
            [A, B, MIX, ENSEMBLE],
            {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5), "ens": (-0.5, 0.5)},
            {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5), "ens": (-0.9, 0.1)},
            {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5)},
        ),
        (
            "filtering_moves_the_line",
            [A, FILTER],
            {"a": (0, 0), "kept": (0.5, 0)},
            {"a": (0, 0), "kept": (0, 0)},
            {"a": (0, 0)},
        ),
    ],
)
def test_each_claim_can_be_true_false_and_unclear(claim, pools, true, false, unclear):
    assert verdicts(run(true), pools)[claim] == SUPPORTED
    assert verdicts(run(false), pools)[claim] == CONTRADICTED
    noisy = run(unclear, noise=0.4) if claim in ("sources_differ", "no_best_source") else run(unclear)
    assert verdicts(noisy, pools)[claim] == UNDECIDED


def test_families_are_as_large_as_what_is_chosen_from():
    pools = [A, B, {"name": "c", "kind": "source"}]
    evaluations = run({"a": (0, 0), "b": (-1, 1), "c": (0.5, -0.5)})
    named = [{"best": ["c"], "shift": "one"}]
    claims = {claim.name: claim for claim in check_claims(evaluations, pools, REFERENCE, named, Settings())}
    # Three pairs of sources on two shifts, in height and slope.
    assert [one.tests for one in claims["sources_differ"].comparisons] == [12] * 12
    assert {one.measure for one in claims["sources_differ"].comparisons} == {HEIGHT, SLOPE}
    # What beats one source: any of two others on any of two shifts.
    assert [one.tests for one in claims["no_best_source"].comparisons] == [4] * 12
    # All must hold: each alone.
    assert [one.tests for one in claims["best_on_one"].comparisons] == [1, 1]


def test_more_parts_do_not_widen_the_intervals_of_what_must_hold_in_all():
    """Adding sources far below changes nothing about the comparison with the nearest one."""
    named = [{"best": ["a"], "shift": "one"}]
    heights = {"a": (0, 0), "b": (-0.2, 0), **dict.fromkeys("cdef", (-2, 0))}
    found = []
    for names in ("ab", "abcdef"):
        pools = [{"name": name, "kind": "source"} for name in names]
        evaluations = run(heights)
        claims = check_claims(evaluations, pools, REFERENCE, named, Settings())
        (claim,) = [claim for claim in claims if claim.name == "best_on_one"]
        found.append(claim.statistic)
    assert found[0].other == found[1].other == "b"
    assert (found[0].low, found[0].high) == (found[1].low, found[1].high)


def test_lines_that_cross_differ():
    """Equal heights in the middle of the common range, and slopes of 0.5 and 1.5."""
    evaluations = run({"a": (0, 0), "b": (0, 0)})
    middle = -1.5 + 0.9
    shifted = evaluations["testset"] != REFERENCE
    for pool, slope in (("a", 0.5), ("b", 1.5)):
        own = shifted & (evaluations["pool"] == pool)
        x = logit(evaluations.loc[own, "value"])
        correct = np.round(N * expit(middle + slope * (x - middle))).astype(int)
        evaluations.loc[own, "correct"], evaluations.loc[own, "value"] = correct, correct / N
    claim = check_claims(evaluations, [A, B], REFERENCE, (), Settings())[0]
    assert claim.verdict == SUPPORTED
    assert SLOPE in {one.measure for one in claim.comparisons if one.verdict == SUPPORTED}
    assert claim.statistic.measure == SLOPE
    crossing = comparisons_table([claim], Settings())["crossing"]
    assert crossing.to_numpy() == pytest.approx(np.full(len(crossing), expit(middle)), abs=0.01)
    assert f"lines cross at {100 * crossing[1]:.1f} %" in claims_page([claim], Settings())


def test_a_difference_near_zero_contradicts_no_direction():
    """A fraction of a point ahead, not certainly: undecided, where a tie within the margin once counted against it."""
    named = [{"best": ["a"], "shift": "one"}]
    claims = check_claims(run({"a": (0, 0), "b": (-0.004, 0)}), [A, B], REFERENCE, named, Settings())
    (claim,) = [claim for claim in claims if claim.name == "best_on_one"]
    assert -Settings().margin < claim.statistic.low < 0 < claim.statistic.high < Settings().margin
    assert claim.verdict == UNDECIDED


def test_a_source_that_is_best_for_every_architecture_contradicts():
    evaluations = run({"a": (0, 0), "b": (-1, -1)})
    other = evaluations.assign(architecture="vit", model=evaluations["model"].str.replace("-rn-", "-vit-"))
    both = pd.concat([evaluations, other], ignore_index=True)
    assert verdicts(both, [A, B])["no_best_source"] == CONTRADICTED


def test_which_source_is_best_everywhere_is_not_told_by_one_shift():
    evaluations = run({"a": (0, 0), "b": (-1, -1)})
    alone = evaluations[evaluations["testset"] != SHIFTS[1]]
    assert verdicts(alone, [A, B])["sources_differ"] == SUPPORTED
    assert verdicts(alone, [A, B])["no_best_source"] == UNDECIDED


def test_mixing_is_one_number_for_all_mixtures_and_shifts():
    """Two mixtures at 0.3 of the members' distance, on two shifts: one fraction decides both claims."""
    heights = {"a": (0, 0), "b": (-0.5, 0.5), "mix": (-0.35, 0.15), "more": (-0.35, 0.15)}
    pools = [A, B, MIX, MIX | {"name": "more"}]
    claims = {claim.name: claim for claim in check_claims(run(heights), pools, REFERENCE, [], Settings())}
    for name in ("mixing_dilutes", "mixing_beats_the_worst"):
        assert claims[name].verdict == SUPPORTED
        statistic, *rows = claims[name].comparisons
        assert statistic is claims[name].statistic
        assert statistic.low < 0.3 < statistic.high and statistic.high - statistic.low < 0.2
        assert len(rows) == 4 and all(row.low > 0 for row in rows)


def test_a_source_without_a_line_may_differ():
    """Two sources are equal on both shifts; a third one has one model."""
    evaluations = run({"a": (0, 0), "b": (0, 0), "c": (0, 0)})
    single = evaluations[(evaluations["pool"] != "c") | (evaluations["size"] == SIZES[0])]
    pools = [A, B, {"name": "c", "kind": "source"}]
    assert verdicts(single[single["pool"] != "c"], pools)["sources_differ"] == CONTRADICTED
    assert verdicts(single, pools)["sources_differ"] == UNDECIDED


@pytest.mark.parametrize(("second", "one_for_all"), [((-0.35, 0.15), True), ((-0.05, 0.45), False)])
def test_fractions_that_differ_are_told(second, one_for_all):
    """Two mixtures at 0.3 of the members' distance, or one at 0.3 and one at 0.9."""
    heights = {"a": (0, 0), "b": (-0.5, 0.5), "mix": (-0.35, 0.15), "more": second}
    pools = [A, B, MIX, MIX | {"name": "more"}]
    found = []
    for seed in range(11):
        claims = check_claims(run(heights, seed=seed), pools, REFERENCE, [], Settings())
        found.append(claims_table(claims, Settings()).set_index("claim").loc["mixing_dilutes", "heterogeneity"])
    assert (np.median(found) > 0.05) == one_for_all


def test_a_small_dilution_is_one():
    """A mixture half a point below its best member, for certain: small beside the margin, and still diluted."""
    heights = {"a": (0, 0), "b": (-0.2, -0.2), "mix": (-0.03, -0.03)}
    (claim,) = [
        claim
        for claim in check_claims(run(heights, noise=0.001), [A, B, MIX], REFERENCE, [], Settings())
        if claim.name == "mixing_dilutes"
    ]
    assert claim.verdict == SUPPORTED
    assert all(0 < one.low < one.high < Settings().margin for one in claim.comparisons[1:])


def test_filtering_moves_models_along_their_line():
    pools = [A, FILTER]
    same = {"a": (0, 0), "kept": (0, 0)}
    assert verdicts(run(same, gain={"kept": 0.4}), pools)["filtering_moves_models_along"] == SUPPORTED
    moved = run({"a": (0, 0), "kept": (0.5, 0.5)}, gain={"kept": 0.4})
    assert verdicts(moved, pools)["filtering_moves_models_along"] == CONTRADICTED
    assert verdicts(run(same, gain={"kept": 0.4}, noise=0.5), pools)["filtering_moves_models_along"] == UNDECIDED
    assert verdicts(run(same, noise=0.5), pools)["filtering_moves_models_along"] == CONTRADICTED


@pytest.mark.parametrize(
    ("heights", "expected"),
    [({"a": (0, 0), "b": (-1, 1)}, SUPPORTED), ({"a": (0, 0), "b": (1, 1)}, CONTRADICTED), ({"a": (0, 0)}, UNDECIDED)],
)
def test_claims_of_the_experiment(heights, expected):
    assert verdicts(run(heights), [A, B], [{"best": ["a"], "shift": "one"}])["best_on_one"] == expected


def test_nothing_is_supported_without_models_to_tell():
    """Two models per pool have lines and no spread; one has no line: all is undecided, and the table has marked gaps."""
    for sizes in (SIZES[:1], SIZES[:2]):
        evaluations = run({"a": (0, 0), "b": (-1, 1), "mix": (0, 0), "ens": (0, 0), "kept": (0, 0)})
        evaluations = evaluations[evaluations["size"].isin(sizes)]
        claims = check_claims(evaluations, [A, B, MIX, ENSEMBLE, FILTER], REFERENCE, [], Settings())
        rows = claims_table(claims, Settings())
        if len(sizes) == 1:
            assert set(rows["verdict"]) == {UNDECIDED}
        assert set(rows.loc[rows["claim"] != "filtering_moves_models_along", "verdict"]) == {UNDECIDED}
        assert rows["difference_low"].isna().sum() >= len(rows) - 1


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_promised():
    """Of 300 runs in which six sources are all alike, at most about 5 % may say that some differ."""
    heights = {f"s{number}": (0, 0) for number in range(6)}
    pools = [{"name": name, "kind": "source"} for name in heights]
    settings = Settings(margin=0.0)
    alarms = 0
    for seed in range(300):
        claims = check_claims(run(heights, noise=0.05, seed=seed), pools, REFERENCE, [], settings)
        alarms += claims[0].verdict == SUPPORTED
    assert alarms / 300 <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 300)


def test_tables_and_page_hold_every_claim_and_comparison():
    claims = check_claims(
        run({"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5)}),
        [A, B, MIX],
        REFERENCE,
        [{"best": ["a"], "shift": "one"}],
        Settings(),
    )
    rows, comparisons = claims_table(claims, Settings()), comparisons_table(claims, Settings())
    assert rows.columns.tolist() == CLAIM_COLUMNS
    assert rows["claim"].is_unique
    counted = comparisons.groupby("claim").size()
    assert rows.set_index("claim").loc[counted.index, "comparisons"].tolist() == counted.tolist()
    decided = rows[[SUPPORTED, CONTRADICTED, UNDECIDED]].sum(axis=1)
    assert decided.tolist() == rows["comparisons"].tolist()
    page = claims_page(claims, Settings())
    assert page.count("<section") == len(claims)
    first = rows.iloc[0]
    assert first["subject"] == "a minus b" and first["measure"] == HEIGHT
    way = "above" if first["difference"] > 0 else "below"
    assert f"Decisive: a {way} b on {first['testset']} by {abs(first['difference']):.1f} points" in page
    assert page.count("<tr><td>") == len(comparisons)
    assert all(statement in page.replace("&#x27;", "'") for statement in rows["statement"])


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (30.24, 25.0, 35.0, "a above b on one by 30.2 points (25.0 to 35.0)"),
        (-30.24, -35.0, -25.0, "a below b on one by 30.2 points (25.0 to 35.0)"),
        (-0.4, -2.0, 1.2, "no certain difference between a and b on one, −0.4 points (−2.0 to +1.2)"),
        (0.0, -1.0, 1.0, "no certain difference between a and b on one, +0.0 points (−1.0 to +1.0)"),
    ],
)
def test_differences_are_told_by_their_direction(value, low, high, words):
    one = Comparison("claim", "a", "b", "rn", "one", HEIGHT, 0.3, value, 1.0, 1.0, 9, low, high)
    assert difference_in_words(one) == words


def test_a_source_that_is_not_the_best_is_told_as_below():
    """As of the experiment's own claims: the source is far below another one, and nothing is above by a negative number."""
    claims = check_claims(
        run({"a": (0, 0), "b": (1, 1)}), [A, B], REFERENCE, [{"best": ["a"], "shift": "one"}], Settings()
    )
    page = claims_page(claims, Settings())
    assert "Decisive: a below b on one by " in page
    assert "by -" not in page and "above b" not in page
    assert claims_table(claims, Settings()).set_index("claim").loc["best_on_one", "difference"] < 0


def test_names_cannot_break_the_page():
    hostile = "<script>alert(1)</script>"
    evaluations = run({hostile: (0, 0), "b": (-1, 1)})
    claims = check_claims(evaluations, [{"name": hostile, "kind": "source"}, B], REFERENCE, [], Settings())
    assert "<script" not in claims_page(claims, Settings())
