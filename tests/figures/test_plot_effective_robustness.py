"""The main figure: it is written, complete, equal on each run, and honest about what it shows."""

import logging

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure

from example_evaluations import LINES, POOLS, REFERENCE, example, row, table
from example_figures import BASELINE, SERIES, SHIFTS, boxes_of, fitted_lines, labels_of, main_figure, points_drawn
from experiments import ROOT
from fit_trends import fit_trends
from plot_effective_robustness import plot_effective_robustness
from testbed.figures.layout import COLUMN_WIDTH, WIDTH
from testbed.figures.style import BASELINE as BASELINE_COLOUR
from testbed.figures.style import FigureError, save_figure
from testbed.statistics.baselines import read_baselines
from testbed.statistics.scales import SCALES, transform
from testbed.statistics.settings import Settings
from testbed.statistics.tables import EvaluationsError


def test_main_figure_is_complete():
    figure = main_figure(example(n=2000))
    assert [axes.get_title() for axes in figure.axes] == ["Mini-Sketch", "Mini-V2"]
    assert labels_of(figure)[:5] == ["photos", "drawings", "both", "labels (baseline)", "y = x"]
    assert {"95 % interval of a line", "99.5 % interval of a model"} < set(labels_of(figure))
    assert {"600 training samples", "9,600 training samples"} < set(labels_of(figure))
    for axes in figure.axes:
        assert len([area for area in axes.collections if isinstance(area, FillBetweenPolyCollection)]) == len(POOLS)
        assert [points_drawn(axes, SERIES[pool["name"]].marker) for pool in POOLS] == [5, 5, 5, 5]


@pytest.mark.parametrize("scale", SCALES)
def test_figures_are_written_and_equal_on_each_run(tmp_path, scale):
    written = []
    for run in ("first", "second"):
        pdf, png = (tmp_path / f"{run}.{kind}" for kind in ("pdf", "png"))
        save_figure(main_figure(example(n=2000), Settings(scale, "pool:labels")), pdf, png)
        written.append((pdf.read_bytes(), png.read_bytes()))
    assert written[0] == written[1]
    pdf, png = written[0]
    assert pdf.startswith(b"%PDF") and png.startswith(b"\x89PNG")
    assert b"CreationDate" not in pdf
    # TrueType, embedded: what fonttype 42 means
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


def test_line_in_the_figure_is_that_of_the_table():
    figure = main_figure(example())
    for axes, shift in zip(figure.axes, SHIFTS, strict=True):
        (line,) = fitted_lines(axes, SERIES["photos"].colour)
        x, y = (np.asarray(ends) for ends in line.get_data())
        slope, intercept = LINES[shift]["photos"]
        assert y == pytest.approx(slope * x + intercept, abs=1e-3)
        # over the pool's own models and little more, not over the whole axis
        width = np.ptp(axes.get_xlim())
        assert -1 - 0.03 * width < x[0] < -1
        assert 1.8 < x[1] < 1.8 + 0.03 * width


def test_units_are_equally_long_on_all_axes():
    figure = main_figure(example(n=2000))
    shapes = []
    for axes in figure.axes:
        box = axes.get_window_extent()
        shapes.append((box.width / np.ptp(axes.get_xlim()), box.height / np.ptp(axes.get_ylim())))
    assert np.ptp(np.array(shapes)) == pytest.approx(0, abs=1e-6)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


def test_pool_with_one_model_has_a_point_and_no_line():
    evaluations = example(n=2000)
    evaluations = evaluations[(evaluations["pool"] != "drawings") | (evaluations["size"] == 2400)]
    figure = main_figure(evaluations)
    assert "drawings" in labels_of(figure)
    for axes in figure.axes:
        assert points_drawn(axes, SERIES["drawings"].marker) == 1
        assert fitted_lines(axes, SERIES["drawings"].colour) == []
        assert len(fitted_lines(axes, SERIES["photos"].colour)) == 1


def test_model_at_zero_stands_on_the_frame():
    evaluations = example(n=2000)
    at_zero = (evaluations["model"] == "photos-mini_rn-600-0") & (evaluations["testset"] == "mini_sketch")
    evaluations.loc[at_zero, ["correct", "value"]] = 0
    axes = main_figure(evaluations).axes[0]
    heights = np.concatenate([line.get_ydata() for line in axes.lines if line.get_marker() == SERIES["photos"].marker])
    assert heights.min() == axes.get_ylim()[0]
    assert len(heights) == 5


def test_pools_that_differ_are_told(caplog):
    with caplog.at_level(logging.WARNING):
        figure = main_figure(example(n=2000), pools=[POOLS[0], {"name": "absent", "kind": "source"}])
    assert "pool absent: no model was evaluated" in caplog.text
    assert "pool drawings: was evaluated, but" in caplog.text
    assert labels_of(figure)[:2] == ["photos", "y = x"]


def test_errors_of_the_figures():
    evaluations, settings = example(n=2000), Settings()
    trends, _ = fit_trends(evaluations, REFERENCE, settings)
    with pytest.raises(FigureError, match="no model was evaluated on 'objectnet'"):
        plot_effective_robustness(evaluations, trends, REFERENCE, ["objectnet"], POOLS, settings)
    with pytest.raises(FigureError, match="0 rows for pool photos, .* scale probit; run fit_trends"):
        plot_effective_robustness(evaluations, trends, REFERENCE, SHIFTS, POOLS, Settings("probit"))
    with pytest.raises(FigureError, match="no model of the pools absent"):
        plot_effective_robustness(
            evaluations, trends, REFERENCE, SHIFTS, [{"name": "absent", "kind": "source"}], settings
        )
    with pytest.raises(EvaluationsError, match="'imagenet'"):
        plot_effective_robustness(evaluations, trends, "imagenet", SHIFTS, POOLS, settings)


@pytest.mark.parametrize(("count", "width"), [*((count, WIDTH) for count in (1, 2, 3, 4, 5)), (1, COLUMN_WIDTH)])
def test_nothing_overlaps_and_nothing_leaves_the_page(count, width):
    evaluations = example(n=2000).replace({"both": "a_mixture_with_a_long_name_of_forty_one_l"})
    parts = [evaluations]
    for place in range(count):
        parts.append(evaluations[evaluations["testset"] == "mini_sketch"].assign(testset=f"shift_{place}"))
    evaluations, settings = pd.concat(parts), Settings()
    pools = [{"name": name, "kind": "source"} for name in evaluations["pool"].unique()]
    trends, _ = fit_trends(evaluations, REFERENCE, settings)
    shifts = [f"shift_{place}" for place in range(count)]
    figure = plot_effective_robustness(evaluations, trends, REFERENCE, shifts, pools, settings, total_width=width)
    assert figure.get_figwidth() == width
    boxes = boxes_of(figure)
    assert len(boxes) == count + len(figure.texts) + 1
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])


def test_a_figure_of_one_column_has_short_pools_in_two_columns():
    evaluations = example(n=2000)
    trends, _ = fit_trends(evaluations, REFERENCE, BASELINE)
    arguments = evaluations, trends, REFERENCE, SHIFTS[:1], POOLS, BASELINE
    wide = plot_effective_robustness(*arguments)
    narrow = plot_effective_robustness(*arguments, total_width=COLUMN_WIDTH)
    assert labels_of(narrow) == labels_of(wide)
    boxes_of(narrow)
    middles = {round(text.get_window_extent().x0) for text in narrow.legends[0].get_texts()}
    assert len(middles) == 2
    assert narrow.texts[0].get_text() == "Mini-ImageNet accuracy (%), logit scale"


def test_published_checkpoints_are_crosses_and_part_of_no_trend(tmp_path):
    evaluations = example(n=2000)
    trends, _ = fit_trends(evaluations, REFERENCE, BASELINE)
    published = evaluations[evaluations["model"].isin(evaluations["model"].unique()[:2])].copy()
    names = dict(zip(published["model"].unique(), ["early", "late"], strict=True))
    published["model"] = published["model"].map(names)
    # Far beyond the models of the experiment, which the axes have to take in.
    published["correct"] = published["n"] * 98 // 100
    published["value"] = published["correct"] / published["n"]
    plain = main_figure(evaluations)
    figure = plot_effective_robustness(evaluations, trends, REFERENCE, SHIFTS, POOLS, BASELINE, published)
    assert labels_of(figure) == [*labels_of(plain), "published checkpoint"]
    for axes, before in zip(figure.axes, plain.axes, strict=True):
        assert points_drawn(axes, "x") == 2
        named, named_before = ({text.get_text() for text in one.texts} for one in (axes, before))
        assert {"early", "late"} <= named and not {"early", "late"} & named_before
        assert points_drawn(before, "x") == 0
        (cross, _) = [line for line in axes.lines if line.get_marker() == "x"]
        assert cross.get_xdata()[0] == pytest.approx(transform(0.98, BASELINE.scale))
        assert axes.get_xlim()[0] < cross.get_xdata()[0] < axes.get_xlim()[1]
        assert (
            len(fitted_lines(axes, SERIES["photos"].colour)) == len(fitted_lines(before, SERIES["photos"].colour)) == 1
        )
    save_figure(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def backdrop_figure(classes: str) -> Figure:
    """ImageNet-R over all classes and over its own, on which the same models stand further right."""
    pool, rows = "photos", []
    for size, correct in zip([600, 1200, 2400], [10_000, 16_000, 22_000], strict=True):
        rows.append(row(pool, size, "imagenet", correct, 50_000))
        rows.append(row(pool, size, "imagenet-r", correct // 3, 30_000))
        for testset, n in (("imagenet", 50_000), ("imagenet-r", 30_000)):
            entry = row(pool, size, testset, correct + 20_000 if testset == "imagenet" else correct // 3, n)
            entry[6] = "imagenet-r"
            rows.append(entry)
    models = pd.DataFrame(
        {"testset": "imagenet-r", "classes": "all", "reference_value": [0.3, 0.31, 0.9], "value": [0.2, 0.22, 0.8]}
    )
    settings = Settings(baseline="standard_extended", classes=classes)
    baselines = read_baselines(ROOT / "resources" / "baselines.csv")
    evaluations = table(rows)
    trends, _ = fit_trends(evaluations, "imagenet", settings, baselines)
    pools = [{"name": pool, "kind": "source"}]
    arguments = (evaluations, trends, "imagenet", ["imagenet-r"], pools, settings, None, baselines, models)
    return plot_effective_robustness(*arguments)


def test_standard_models_and_public_models_stand_behind():
    figure = backdrop_figure("all")
    assert {"standard models, extended (baseline)", "public CLIP model"} <= set(labels_of(figure))
    axes = figure.axes[0]
    (drawn,) = [line for line in axes.lines if line.get_marker() == "."]
    # the third is far outside of the experiment's own range, and is not moved onto the frame
    assert drawn.get_xdata() == pytest.approx(transform([0.3, 0.31]))
    solid = next(line for line in fitted_lines(axes, BASELINE_COLOUR) if line.get_linewidth() == 1.3)
    slope = np.diff(solid.get_ydata()) / np.diff(solid.get_xdata())
    assert slope == pytest.approx(0.7059, abs=1e-4)


def test_x_is_over_the_classes_of_the_shift_where_that_is_asked():
    whole, own = backdrop_figure("all").axes[0], backdrop_figure("shift").axes[0]
    assert (whole.get_title(), own.get_title()) == ("ImageNet-R", "ImageNet-R (x: its classes)")
    highest = [
        max(line.get_xdata().max() for line in axes.lines if line.get_marker() == SERIES["photos"].marker)
        for axes in (whole, own)
    ]
    assert highest == pytest.approx(transform([22 / 50, 42 / 50]))
