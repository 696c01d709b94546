"""The figures of mixtures: the mixture stands between its members, and nothing else is needed."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from example_evaluations import LINES, POOLS, REFERENCE, example
from example_figures import BASELINE, SERIES, SHIFTS, fitted_lines, labels_of
from fit_trends import fit_trends
from plot_mixture import combine_lines, plot_mixture
from testbed.figures.background import COMBINED
from testbed.figures.style import FigureError
from testbed.statistics.scales import transform
from testbed.statistics.settings import Settings

MEMBERS = {"photos": 0.5, "drawings": 0.5}


def mixture_figure(evaluations: pd.DataFrame, pools=None, baseline: str = "none") -> Figure:
    return plot_mixture(evaluations, "both", MEMBERS, REFERENCE, SHIFTS, Settings(baseline=baseline), pools)


def test_mixture_stands_between_its_members():
    figure = mixture_figure(example(n=2000), POOLS, "pool:labels")
    assert labels_of(figure)[:4] == ["photos", "drawings", "50 % photos + 50 % drawings", "labels (baseline)"]
    sketch = figure.axes[SHIFTS.index("mini_sketch")]
    heights = [fitted_lines(sketch, SERIES[pool].colour)[0].get_ydata()[0] for pool in ("photos", "drawings", "both")]
    assert heights[0] < heights[2] < heights[1]
    assert fitted_lines(sketch, SERIES["both"].colour)[0].get_linestyle() == "--"
    assert fitted_lines(sketch, SERIES["photos"].colour)[0].get_linestyle() == "-"


def test_members_foretell_a_line_between_theirs():
    trends, _ = fit_trends(example(), REFERENCE, BASELINE)
    combined = combine_lines(trends, "both", {"photos": 1, "drawings": 3}).set_index("testset")
    (slope_a, intercept_a), (slope_b, intercept_b) = (LINES["mini_sketch"][pool] for pool in ("photos", "drawings"))
    expected = (0.25 * slope_a + 0.75 * slope_b, 0.25 * intercept_a + 0.75 * intercept_b)
    assert tuple(combined.loc["mini_sketch", ["slope", "intercept"]]) == pytest.approx(expected, abs=1e-3)
    figure = mixture_figure(example())
    assert "members' lines, combined by share" in labels_of(figure)
    (line,) = [one for one in fitted_lines(figure.axes[0], COMBINED["color"]) if one.get_linewidth() == 0.8]
    mixture = trends[(trends["pool"] == "both") & (trends["testset"] == "mini_sketch")].iloc[0]
    assert line.get_xdata() == pytest.approx(transform(mixture[["reference_min", "reference_max"]].astype(float)))


def test_mixture_figure_needs_no_other_pool():
    evaluations = example(n=2000)
    figure = mixture_figure(evaluations[evaluations["pool"] != "labels"])
    assert labels_of(figure)[:4] == ["photos", "drawings", "50 % photos + 50 % drawings", "y = x"]
    assert labels_of(mixture_figure(evaluations, baseline="pool:labels"))[3] == "labels (baseline)"


def test_mixture_without_a_member_is_named():
    evaluations = example(n=2000)
    with pytest.raises(FigureError, match="mixture both: pool 'drawings' has no evaluated model"):
        mixture_figure(evaluations[evaluations["pool"] != "drawings"])
    with pytest.raises(FigureError, match="mixture both: 'both' is not a pool of the experiment"):
        mixture_figure(evaluations, POOLS[:2])


def test_a_pool_below_the_minimum_is_said_to_be():
    evaluations = example(n=2000)
    on_reference = evaluations[evaluations["testset"] == REFERENCE].groupby("pool")["value"].max()
    low = min(("photos", "drawings", "both"), key=on_reference.get)
    settings = Settings(minimum_reference=float(on_reference[low]) + 1e-6)
    figure = plot_mixture(evaluations, "both", MEMBERS, REFERENCE, SHIFTS, settings)
    assert [text.get_text() for text in figure.texts] == [
        f"both: no model of {low} reaches statistics.minimum_reference."
    ]
    assert not figure.axes


def test_a_filter_is_drawn_beside_its_origin_without_a_combined_line():
    evaluations = example(n=2000).replace({"pool": {"both": "kept"}})
    pools = [*POOLS[:2], {"name": "kept", "kind": "filter", "of": "photos"}]
    figure = plot_mixture(evaluations, "kept", {"photos": 1.0}, REFERENCE, SHIFTS, Settings(), pools)
    labels = labels_of(figure)
    assert labels[:2] == ["photos", "kept"]
    assert "drawings" not in labels
    assert "members' lines, combined by share" not in labels
    with pytest.raises(FigureError, match="filter kept: pool 'photos' has no evaluated model"):
        evaluations = evaluations[evaluations["pool"] != "photos"]
        plot_mixture(evaluations, "kept", {"photos": 1.0}, REFERENCE, SHIFTS, Settings(), pools)


def test_an_ensemble_is_drawn_with_the_mixture_of_its_shares():
    evaluations = example(n=2000)
    average = evaluations[evaluations["pool"] == "both"].replace({"pool": {"both": "average"}})
    average = average.assign(model=average["model"].str.replace("both", "average"))
    ensemble = {"name": "average", "kind": "ensemble", "members": MEMBERS}
    pools = [pool | ({"members": MEMBERS} if pool["name"] == "both" else {}) for pool in POOLS] + [ensemble]
    figure = plot_mixture(pd.concat([evaluations, average]), "average", MEMBERS, REFERENCE, SHIFTS, Settings(), pools)
    assert labels_of(figure)[:4] == ["photos", "drawings", "both", "average"]
