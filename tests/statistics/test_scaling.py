"""Accuracy over samples: power laws are found, extrapolations marked, gaps left where models are few."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from example_evaluations import POOLS, REFERENCE, example, row, table
from plot_data_efficiency import plot_data_efficiency
from testbed.figures.style import FigureError
from testbed.statistics.scaling import SCALING_COLUMNS, fit_scaling
from testbed.statistics.settings import Settings

N = 10_000_000


def grown(sizes, exponent=0.2, coefficient=3.0, seeds=1, noise=0.0):
    rng = np.random.default_rng(0)
    rows = []
    for size in sizes:
        for seed in range(seeds):
            error = coefficient * size**-exponent * np.exp(rng.normal(0, noise))
            entry = row("photos", size, REFERENCE, round(N * (1 - error)), N)
            entry[0], entry[4] = f"photos-mini_rn-{size}-{seed}", seed
            rows.append(entry)
    return table(rows)


def test_intervals_do_not_depend_on_the_order_of_models():
    models = grown([1000, 2000, 4000, 8000], seeds=2, noise=0.05)
    pd.testing.assert_frame_equal(fit_scaling(models, Settings()), fit_scaling(models[::-1], Settings()))


def test_a_power_law_is_found_and_extrapolated():
    (found,) = fit_scaling(grown([1000, 2000, 4000, 8000]), Settings()).itertuples()
    assert found.exponent == pytest.approx(0.2, abs=1e-5)
    assert found.coefficient == pytest.approx(3.0, rel=1e-4)
    assert (found.size_min, found.size_max, found.extrapolated_size) == (1000, 8000, 16000)
    assert found.extrapolated == pytest.approx(1 - 3 * 16000**-0.2, abs=1e-5)
    assert found.r2 == pytest.approx(1)


def test_the_interval_holds_the_exponent_and_narrows_with_models():
    few = fit_scaling(grown([1000, 2000, 4000, 8000], seeds=2, noise=0.02), Settings()).iloc[0]
    many = fit_scaling(grown([1000, 2000, 4000, 8000], seeds=20, noise=0.02), Settings()).iloc[0]
    for found in (few, many):
        assert found["exponent_low"] < 0.2 < found["exponent_high"]
    assert many["exponent_high"] - many["exponent_low"] < 0.75 * (few["exponent_high"] - few["exponent_low"])


def test_gaps_where_models_are_few_or_perfect():
    single = fit_scaling(grown([1000]), Settings()).iloc[0]
    assert single[["exponent", "exponent_low", "extrapolated"]].isna().all()
    two = fit_scaling(grown([1000, 2000]), Settings()).iloc[0]
    assert two["exponent"] == pytest.approx(0.2, abs=1e-4)
    assert np.isnan(two["exponent_low"])
    perfect = table([row("photos", size, REFERENCE, 10 if size == 400 else 5, 10) for size in (100, 200, 400)])
    found = fit_scaling(perfect, Settings()).iloc[0]
    assert (found["n"], found["left_out"]) == (2, 1)


def test_published_checkpoints_of_unknown_size_take_no_part():
    evaluations = grown([1000, 2000])
    evaluations.loc[0, "size"] = 0
    assert fit_scaling(evaluations, Settings())["n"].tolist() == [1]
    assert fit_scaling(evaluations, Settings()).columns.tolist() == SCALING_COLUMNS


def test_an_ensemble_saw_more_samples_than_its_size_and_takes_no_part():
    evaluations = pd.concat([grown([1000, 2000]), grown([1000, 2000]).assign(pool="both")])
    assert fit_scaling(evaluations, Settings(), ["both"])["pool"].tolist() == ["photos"]
    pools = [*POOLS[:1], {"name": "both", "kind": "ensemble", "members": {"photos": 1, "maps": 1}}]
    figure = plot_data_efficiency(evaluations, [REFERENCE], pools)
    assert "both" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_figure_shows_seeds_and_marks_what_is_extrapolated():
    figure = plot_data_efficiency(grown([1000, 4000], seeds=3, noise=0.05), [REFERENCE], POOLS[:1])
    (axes,) = figure.axes
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"photos", "extrapolated", "worst to best seed"} <= set(labels)
    (dots,) = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert len(dots.get_xdata()) == 2
    thick, thin = sorted((line for line in axes.lines if line is not dots), key=lambda line: -line.get_linewidth())
    assert thick.get_xdata().max() == pytest.approx(4000)
    assert (thin.get_xdata().min(), thin.get_xdata().max()) == pytest.approx((4000, 8000))
    # the mean of the seeds, and not one of them
    first = grown([1000, 4000], seeds=3, noise=0.05).query("size == 1000")["value"].mean()
    assert dots.get_ydata()[0] == pytest.approx(100 * first)


def test_sizes_below_the_axis_do_not_touch():
    evaluations = grown([250, 500, 900, 1500, 1600, 2500])
    many = pd.concat([evaluations.assign(testset=name) for name in ("one", "two", "three", "four", "five")])
    figure = plot_data_efficiency(many, ["one", "two", "three", "four", "five"], POOLS[:1])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        boxes = sorted((label.get_window_extent() for label in axes.get_xticklabels()), key=lambda box: box.x0)
        assert len(boxes) >= 3
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


def test_a_test_set_that_nobody_was_evaluated_on_is_named():
    with pytest.raises(FigureError, match="'mini_fog'"):
        plot_data_efficiency(example(), ["mini_fog"], POOLS)
