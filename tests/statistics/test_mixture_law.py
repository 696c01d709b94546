"""The law of mixtures: known curves are found, a held-out share is predicted, and the figure shows both."""

import numpy as np
import pandas as pd
import pytest

from example_claims import A, B, run
from example_evaluations import REFERENCE
from example_figures import labels_of
from measure_dilution import measure_dilution
from plot_mixture_ratios import HELD_OUT, POINT, plot_mixture_ratios
from testbed.statistics.mixture_law import LAW_COLUMNS, fit_curvature, fit_mixture_law, fraction_at
from testbed.statistics.settings import Settings

SHARES = (0.25, 0.5, 0.75)
POOLS = [
    A,
    B,
    *({"name": f"m{share:g}", "kind": "mixture", "members": {"a": 1 - share, "b": share}} for share in SHARES),
    {"name": "three", "kind": "mixture", "members": {"a": 1, "b": 1, "c": 1}},
]


def world(curvature: float, noise: float = 0.002, gap: float = 1.0) -> pd.DataFrame:
    """The dilution of mixtures whose fractions follow the law; `b` is better on one shift and worse on two."""
    heights = {"a": (0.0, 0.0), "b": (gap, -gap)}
    for share in SHARES:
        # on the second shift a is better, with a share of 1 - share
        at = float(fraction_at(share, curvature)), float(fraction_at(1 - share, curvature))
        heights[f"m{share:g}"] = (gap * at[0], -gap * (1 - at[1]))
    return measure_dilution(run(heights, noise=noise), POOLS, REFERENCE, Settings())


def test_the_law_by_hand():
    assert fraction_at([0, 0.5, 1], 0.0).tolist() == [0, 0.5, 1]
    assert fraction_at([0, 0.5, 1], 2.0) == pytest.approx([0, 1 / (np.e + 1), 1])
    assert fraction_at(0.5, -2.0) == pytest.approx(np.e / (np.e + 1))
    assert fraction_at(0.3, 1e-7) == pytest.approx(fraction_at(0.3, 2e-6), abs=1e-5)


@pytest.mark.parametrize("curvature", [-6.0, -1.0, 0.0, 0.7, 5.0])
def test_curvature_is_found(curvature):
    exact = fit_curvature(SHARES, fraction_at(SHARES, curvature), [0.1, 0.2, 0.1])
    assert exact == pytest.approx(curvature, abs=1e-4)
    assert np.isnan(fit_curvature([], [], []))


def test_uncertain_fractions_count_less():
    fractions = [*fraction_at(SHARES[:2], -2.0), 0.1]
    assert fit_curvature(SHARES, fractions, [0.01, 0.01, 1.0]) == pytest.approx(-2.0, abs=0.05)


def test_each_share_is_predicted_from_the_others_whichever_member_is_better():
    law = fit_mixture_law(world(-2.0), POOLS)
    assert law.columns.tolist() == LAW_COLUMNS
    assert law[["testset", "better", "other"]].drop_duplicates().to_numpy().tolist() == [
        ["one", "b", "a"],
        ["two", "a", "b"],
    ]
    for _, own in law.groupby("testset"):
        assert own["share"].tolist() == [0.25, 0.5, 0.75]
        assert own["n"].tolist() == [3, 3, 3]
        assert own["curvature"].iloc[0] == pytest.approx(-2.0, abs=0.2)
        assert own["fraction"].to_numpy() == pytest.approx(fraction_at(SHARES, -2.0), abs=0.02)
        assert own["held_out"].to_numpy() == pytest.approx(fraction_at(SHARES, -2.0), abs=0.02)
        assert ((own["fraction_low"] < own["held_out"]) & (own["held_out"] < own["fraction_high"])).all()
    assert "three" not in set(law["mixture"])


def test_a_mixture_off_the_law_is_outside_of_its_prediction():
    """The half mixture is as good as the better member: the other two do not expect that."""
    dilution = world(0.0)
    one = (dilution["mixture"] == "m0.5") & (dilution["testset"] == "one")
    dilution.loc[one, ["fraction", "fraction_low", "fraction_high"]] = [1.0, 0.95, 1.05]
    law = fit_mixture_law(dilution, POOLS).query("testset == 'one' and mixture == 'm0.5'").iloc[0]
    assert law["held_out"] == pytest.approx(0.5, abs=0.05)
    assert law["fraction_low"] > law["held_out"]


def test_one_share_alone_has_no_prediction():
    dilution = world(0.0)
    law = fit_mixture_law(dilution[dilution["mixture"] == "m0.5"], POOLS)
    assert law["held_out"].isna().all()
    assert law["curvature"].notna().all()


def test_the_figure_has_points_a_curve_and_predictions():
    law = fit_mixture_law(world(-2.0), POOLS)
    figure = plot_mixture_ratios(law, ["one", "two"], POOLS, Settings())
    assert [axes.get_xlabel() for axes in figure.axes] == ["% b, rest a", "% a, rest b"]
    assert "predicted from the other shares" in labels_of(figure)
    axes = figure.axes[0]
    (points,) = [line for line in axes.lines if line.get_marker() == POINT["marker"]]
    (diamonds,) = [line for line in axes.lines if line.get_marker() == HELD_OUT["marker"]]
    assert points.get_xdata().tolist() == [25, 50, 75]
    assert points.get_ydata() == pytest.approx(law["fraction"].iloc[:3].to_numpy())
    assert diamonds.get_ydata() == pytest.approx(law["held_out"].iloc[:3].to_numpy())
    (curve,) = [line for line in axes.lines if len(line.get_xdata()) == 101]
    assert curve.get_ydata()[50] == pytest.approx(law["expected"].iloc[1])


def test_a_panel_without_an_interval_says_why():
    dilution = world(0.0)
    unbounded = dilution.copy()
    unbounded.loc[dilution["testset"] == "two", ["fraction_low", "fraction_high"]] = np.nan
    dilution.loc[dilution["testset"] == "two", ["fraction", "fraction_low", "fraction_high"]] = np.nan
    for table, reason in ((unbounded, "are not told apart"), (dilution, "no common reference")):
        figure = plot_mixture_ratios(fit_mixture_law(table, POOLS), ["one", "two"], POOLS, Settings())
        assert [len(axes.texts) for axes in figure.axes] == [0, 1]
        assert reason in figure.axes[1].texts[0].get_text()
    nothing = plot_mixture_ratios(fit_mixture_law(dilution, POOLS), ["fog"], POOLS, Settings())
    assert [text.get_text().partition(" has ")[0] for text in nothing.texts] == ["No mixture of two pools"]
