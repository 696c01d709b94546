"""Axes, colours, markers and names that figures share: told apart, round and readable."""

import numpy as np
import pandas as pd
import pytest

from example_evaluations import REFERENCE, example
from example_figures import SERIES, fitted_lines, labels_of, main_figure
from testbed.experiment.titles import title_of
from testbed.figures.axes import panel_limits, percent_ticks
from testbed.figures.style import BASELINE, COLOURS, MARKERS, PAPER, make_series, marker_areas, mixture_label
from testbed.statistics.scales import SCALES, transform
from testbed.statistics.tables import pair_with_reference


def test_larger_trainsets_have_larger_markers():
    areas = marker_areas([1_000_000, 15_000_000, 4_000_000, 1_000_000])
    assert list(areas) == [1_000_000, 4_000_000, 15_000_000]
    assert list(areas.values()) == sorted(set(areas.values()))
    axes = main_figure(example(n=2000)).axes[0]
    drawn = [line.get_markersize() for line in axes.lines if line.get_marker() == SERIES["photos"].marker]
    assert drawn == sorted(set(drawn)) and len(drawn) == 5


def test_looks_are_unique_and_stay_with_the_pool():
    pairs = pair_with_reference(example([600]), REFERENCE)
    pools = [{"name": f"pool{place}", "kind": "source"} for place in range(30)]
    many = pd.concat([pairs.assign(pool=pool["name"], architecture="rn") for pool in pools])
    series = make_series(many, pools)
    assert len({(one.colour, one.marker) for one in series}) == 30
    fewer = make_series(many[many["pool"] != "pool3"], pools)
    assert [one for one in series if one.pool != "pool3"] == fewer


def test_the_papers_sources_look_alike_in_every_experiment_and_others_do_not_look_like_them():
    pairs = pair_with_reference(example([600]), REFERENCE)
    names = ["mine", "wit", "mini_yfcc", "labels", "another", "shutterstock"]
    many = pd.concat([pairs.assign(pool=name) for name in names])
    pools = [{"name": name, "kind": "baseline" if name == "labels" else "source"} for name in names]
    looks = {one.pool: (one.colour, one.marker) for one in make_series(many, pools)}
    markers = list(MARKERS)
    assert looks["mini_yfcc"] == (COLOURS[0], markers[0])
    assert looks["wit"] == (COLOURS[PAPER.index("wit")], markers[PAPER.index("wit")])
    assert looks["labels"][0] == BASELINE
    assert not {looks["mine"][0], looks["another"][0]} & set(COLOURS[: len(PAPER)])
    # A pool more, before or after, leaves the others as they are.
    fewer = make_series(many, [pool for pool in pools if pool["name"] != "wit"])
    assert {one.pool: (one.colour, one.marker) for one in fewer} == {
        name: looks[name] for name in names if name != "wit"
    }


def test_architectures_are_told_apart():
    evaluations = example(n=2000)
    other = evaluations[evaluations["pool"] == "photos"].assign(architecture="vit")
    other["model"] = other["model"].str.replace("mini_rn", "vit")
    figure = main_figure(pd.concat([evaluations, other]))
    assert labels_of(figure)[:2] == ["photos, mini_rn", "photos, vit"]
    for axes in figure.axes:
        assert len(fitted_lines(axes, SERIES["photos"].colour)) == 2


@pytest.mark.parametrize("scale", SCALES)
def test_ticks_are_round_and_apart(scale):
    low, high = transform([0.08, 0.9], scale)
    ticks = percent_ticks(low, high, scale, (high - low) / 9)
    assert 50 in ticks and len(ticks) >= 4
    assert np.diff(transform(np.array(ticks) / 100, scale)).min() >= (high - low) / 9
    assert ticks[0] >= 8 and ticks[-1] <= 90


def test_narrow_axes_still_have_ticks():
    low, high = transform([0.621, 0.663], "logit")
    assert len(percent_ticks(low, high, "logit", (high - low) / 9)) >= 3


def test_limits_of_models_that_are_all_alike():
    points = pd.DataFrame({"reference_value": [0.5], "value": [0.0]})
    x, (y,) = panel_limits([points], "logit")
    assert x[0] < 0 < x[1]
    assert np.isfinite(y).all() and y[0] < y[1]


def test_names_and_shares_are_readable():
    assert (title_of("imagenet-v2"), title_of("my_own_shift")) == ("ImageNet-V2", "my own shift")
    assert mixture_label({"a": 1, "b": 2}) == "33.3 % a + 66.7 % b"
