"""The figure of a pool's trainings shows what their curves hold."""

import math

import pandas as pd
import pytest

from plot_learning_curves import plot_learning_curves
from testbed.figures.style import FigureError, save_figure


def write_curve(path, steps, speed=100.0):
    rows = range(steps)
    curve = {"step": rows, "samples_seen": [(row + 1) * 32 for row in rows], "loss": [3 / (row + 1) for row in rows]}
    pd.DataFrame({**curve, "lr": [0.001] * steps, "samples_per_second": [speed] * steps}).to_csv(path, index=False)
    return path


def model(curve, size, **more):
    return {"curve": curve, "architecture": "mini_rn", "size": size, "seed": 0, "batch_size": 32, **more}


@pytest.fixture
def models(tmp_path):
    return [model(write_curve(tmp_path / f"{size}.csv", size // 100), size) for size in (500, 900, 1600, 2500, 4000)]


def test_a_panel_for_each_model(models, tmp_path):
    figure = plot_learning_curves("mini_yfcc", models)
    assert figure.legends[0].get_title().get_text() == "mini_yfcc"
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [
        f"{size} samples, seed 0\n100 samples/s" for size in ("500", "900", "1,600", "2,500", "4,000")
    ]
    loss, guessing = panels[1].lines
    assert list(loss.get_ydata()) == pytest.approx([3 / (step + 1) for step in range(9)], rel=1e-6)
    assert list(loss.get_xdata()) == [32 * (step + 1) for step in range(9)]
    assert guessing.get_ydata()[0] == math.log(32)
    outputs = [tmp_path / "a.pdf", tmp_path / "a.png", tmp_path / "b.pdf", tmp_path / "b.png"]
    save_figure(figure, *outputs[:2])
    save_figure(plot_learning_curves("mini_yfcc", models), *outputs[2:])
    assert outputs[0].read_bytes() == outputs[2].read_bytes()


def test_architectures_are_named_where_there_are_several(models):
    models[1]["architecture"] = "mini_vit"
    figure = plot_learning_curves("mini_yfcc", models[:2])
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == [
        "mini_rn, 500 samples, seed 0\n100 samples/s",
        "mini_vit, 900 samples, seed 0\n100 samples/s",
    ]


@pytest.mark.parametrize("content", [None, "", "step,loss\n"])
def test_a_curve_that_is_not_there_is_an_error(tmp_path, content):
    path = tmp_path / "training.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FigureError, match=r"training.csv: .* Force train_clip"):
        plot_learning_curves("mini_yfcc", [model(path, 500)])
