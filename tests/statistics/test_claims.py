"""Claims: tables in which each is true, false, or beyond what can be told give the verdict that fits."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from check_claims import (
    CLAIM_COLUMNS,
    check_claims,
    claims_page,
    claims_table,
    comparisons_table,
    difference_in_words,
)
from example_evaluations import REFERENCE, table
from measure_dilution import DILUTION_COLUMNS, measure_dilution
from testbed.experiment.pools import ensemble_of
from testbed.statistics.comparison import Difference
from testbed.statistics.lines import clopper_pearson
from testbed.statistics.trends import Settings
from testbed.statistics.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, Comparison

SHIFTS = ["one", "two"]
SIZES = [600, 1200, 2400, 4800]
N = 1_000_000
PAIR = {"a": 0.5, "b": 0.5}
A, B = {"name": "a", "kind": "source"}, {"name": "b", "kind": "source"}
MIX = {"name": "mix", "kind": "mixture", "members": PAIR}
ENSEMBLE = {"name": "ens", "kind": "ensemble", "members": {"a": 2, "b": 2}}
FILTER = {"name": "kept", "kind": "filter", "of": "a"}


def run(heights: dict[str, tuple[float, float]], gain: dict[str, float] | None = None, noise: float = 0.01, seed=0):
    """Evaluations of pools whose lines have slope 1 and these intercepts on the two shifts; `gain` moves x of a pool."""
    rng = np.random.default_rng(seed)
    rows = []
    for pool, intercepts in heights.items():
        for place, size in enumerate(SIZES):
            x = -1.5 + 0.6 * place + (gain or {}).get(pool, 0.0) + rng.normal(0, 0.01)
            for testset, y in [
                (REFERENCE, x),
                *((name, x + b + rng.normal(0, noise)) for name, b in zip(SHIFTS, intercepts, strict=True)),
            ]:
                correct = round(N * expit(y))
                low, high = clopper_pearson(correct, N)
                model = [f"{pool}-rn-{size}-0", "rn", pool, size, 0, testset, "all", "top1"]
                rows.append([*model, N, correct, correct / N, float(low), float(high)])
    return table(rows)


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
            {"a": (0, 0), "b": (-1, 1), "mix": (0.5, 0.5)},
            {"a": (0, 0), "b": (0, 0), "mix": (-0.5, 0.5)},
        ),
        (
            "mixing_beats_the_worst",
            [A, B, MIX],
            {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5)},
            {"a": (0, 0), "b": (-1, 1), "mix": (-2, 0.5)},
            {"a": (0, 0), "b": (0, 0), "mix": (-0.5, 0.5)},
        ),
        (
            "output_mixing_predicts",
            [A, B, MIX, ENSEMBLE],
            {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5), "ens": (-0.5, 0.5)},
            {"a": (0, 0), "b": (-1, 1), "mix": (-0.5, 0.5), "ens": (-0.5, 0.1)},
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


def test_a_difference_and_its_opposite_are_one_test():
    pools = [A, B, {"name": "c", "kind": "source"}]
    evaluations = run({"a": (0, 0), "b": (-1, 1), "c": (0.5, -0.5)})
    claims = {claim.name: claim for claim in check_claims(evaluations, pools, REFERENCE, (), Settings())}
    # Three pairs of sources on two shifts; who is best is asked of each pair in both directions.
    for name, comparisons in {"sources_differ": 6, "no_best_source": 12}.items():
        assert len(claims[name].comparisons) == comparisons
        assert {one.tests for one in claims[name].comparisons} == {6}


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


def test_a_small_dilution_is_one():
    """A mixture half a point below its best member, for certain: small beside the margin, and still diluted."""
    heights = {"a": (0, 0), "b": (-0.2, -0.2), "mix": (-0.03, -0.03)}
    (claim,) = [
        claim
        for claim in check_claims(run(heights, noise=0.001), [A, B, MIX], REFERENCE, [], Settings())
        if claim.name == "mixing_dilutes"
    ]
    assert claim.verdict == SUPPORTED
    assert all(0 < one.low < one.high < Settings().margin for one in claim.comparisons)


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
    assert first["subject"] == "a minus b" and first["difference"] < 0
    assert f"Decisive: a below b on {first['testset']} by {-first['difference']:.1f} points" in page
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
    one = Comparison("claim", "a", "b", "rn", "one", Difference(0.3, value, 1.0, 9), low, high)
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
