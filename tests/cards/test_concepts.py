"""Accuracy of classes over how often captions name them, and the figures of pools."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from example_cards import CLASSES, describe, write_example
from measure_concepts import CLASS_COLUMNS, KEY, fit_concepts, measure_classes
from plot_concepts import plot_concepts
from plot_pools import cumulative, plot_pools, share
from testbed.figures.style import save_figure
from testbed.statistics.concepts import LogLinear, class_accuracies, fit_log_linear, labels_in_reference

NAMES = {"imagenet": ["a", "b", "c", "d", "e", "f"], "imagenet-r": ["c", "a", "unknown"]}
POOLS = [{"name": "mine", "kind": "source"}, {"name": "yours", "kind": "filter"}]


def test_a_log_linear_relation_is_found_with_its_interval():
    named = np.array([0, 1, 10, 100, 1000, 10_000])
    accuracy = np.array([0.9, 0.11, 0.19, 0.3, 0.42, 0.5])
    fit = fit_log_linear(named, accuracy, 0.95)
    expected = stats.linregress(np.arange(5), accuracy[1:])
    assert (fit.classes, fit.unnamed) == (5, 1)
    assert (fit.slope, fit.intercept, fit.correlation) == pytest.approx(
        (expected.slope, expected.intercept, expected.rvalue)
    )
    reach = stats.t.ppf(0.975, 3) * expected.stderr
    assert (fit.slope_low, fit.slope_high) == pytest.approx((fit.slope - reach, fit.slope + reach))
    interval = stats.pearsonr(np.arange(5), accuracy[1:]).confidence_interval(0.95)
    assert (fit.correlation_low, fit.correlation_high) == pytest.approx(tuple(interval))


def test_an_interval_covers_the_true_slope_as_often_as_it_says():
    random = np.random.default_rng(0)
    named = np.geomspace(1, 1000, 20)
    covered = 0
    for _ in range(400):
        accuracy = 0.2 + 0.1 * np.log10(named) + random.normal(0, 0.05, 20)
        fit = fit_log_linear(named, accuracy, 0.9)
        covered += fit.slope_low <= 0.1 <= fit.slope_high
    assert 0.86 <= covered / 400 <= 0.94


@pytest.mark.parametrize("named", [[0, 0, 0, 0, 0], [5, 5, 5, 5, 5], [1, 2, 3, 0, 0]])
def test_what_cannot_be_fitted_is_not_a_number(named):
    fit = fit_log_linear(np.array(named), np.linspace(0, 1, 5), 0.95)
    assert np.isnan(fit.slope) and np.isnan(fit.correlation)
    assert fit.classes + fit.unnamed == 5


def test_classes_of_a_shift_are_those_of_the_reference_with_its_name():
    assert labels_in_reference(["x", "x"], ["x", "x"]) == [0, 1]
    assert labels_in_reference(["c", "b", "twice"], ["twice", "b", "c", "twice"]) == [2, 1, None]


def predictions(seed: int) -> pd.DataFrame:
    """Of each class of ImageNet, as many of ten images are right as its label says, two more with another seed."""
    rows = [
        ("imagenet", "all", label, label if image < label + 2 * seed else (label + 1) % 6)
        for label in range(6)
        for image in range(10)
    ]
    rows += [("imagenet-r", "all", label, label) for label in range(3)]
    rows += [("imagenet-r", "imagenet-r", label, 0) for label in range(3)]
    return pd.DataFrame(rows, columns=["testset", "classes", "label", "prediction"])


@pytest.fixture
def measured(tmp_path):
    files = []
    for seed in range(2):
        files.append(str(tmp_path / f"{seed}.parquet"))
        predictions(seed).to_parquet(files[-1])
    description = {"samples": 400, "groups": [{"samples": 400, "named": [4, 8, 40, 80, 400, 0]}]}
    models = {"mine/rn/100": files, "yours/rn/200": files[:1]}
    return measure_classes(models, {"mine": description, "yours": description}, NAMES, "imagenet")


def test_accuracies_of_classes_are_over_all_seeds(measured):
    counted = class_accuracies(pd.concat([predictions(0), predictions(1)]))
    assert counted.loc[counted["testset"] == "imagenet", "correct"].tolist() == [2, 4, 6, 8, 10, 12]
    own = measured[(measured["pool"] == "mine") & (measured["testset"] == "imagenet")]
    assert list(measured) == CLASS_COLUMNS
    assert own["accuracy"].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    # A trainset of a quarter of the pool has a quarter of its captions.
    assert own["named"].tolist() == [1, 2, 10, 20, 100, 0]
    shift = measured[(measured["pool"] == "mine") & (measured["testset"] == "imagenet-r")]
    assert shift["class"].tolist() == ["c", "a"] and shift["label"].tolist() == [2, 0]


def test_fits_have_a_row_for_each_pool_and_test_set(measured, tmp_path):
    fits = fit_concepts(measured, 0.95)
    assert list(fits) == [*KEY, *LogLinear._fields]
    assert len(fits) == 4
    first = fits.iloc[0]
    assert first["slope"] > 0 and first["unnamed"] == 1
    figure = plot_concepts(fits, measured, ["imagenet", "imagenet-r"], POOLS, "imagenet")
    assert [axes.get_title() for axes in figure.axes] == ["mine", "yours"]
    for axes in figure.axes:
        # The whole range of an accuracy, with a place for the correlation above it.
        assert axes.get_ylim()[0] == 0 and [axes.get_yticks()[place] for place in (0, -1)] == [0, 100]
        assert len(axes.get_xticks()) >= 2
    for number in range(2):
        save_figure(figure, tmp_path / f"{number}.pdf", tmp_path / f"{number}.png")
    assert (tmp_path / "0.pdf").read_bytes() == (tmp_path / "1.pdf").read_bytes()


def test_no_models_give_a_note():
    figure = plot_concepts(
        pd.DataFrame(columns=[*KEY, *LogLinear._fields]), pd.DataFrame(columns=CLASS_COLUMNS), [], POOLS, "imagenet"
    )
    assert "No pool" in figure.texts[0].get_text()


def test_the_figure_of_pools_has_a_line_for_each_pool(tmp_path):
    samples, kept = write_example(tmp_path)
    descriptions = {"mine": describe(samples)[0], "yours": describe(kept, samples)[0]}
    figure = plot_pools(descriptions, [{"name": "none", "kind": "source"}, *POOLS], "ImageNet")
    words, sides, classes, shares = figure.axes
    assert len(words.lines) == len(sides.lines) == len(classes.lines) == 2
    assert len(shares.lines) == 10
    group = descriptions["mine"]["groups"][0]
    assert words.lines[0].get_ydata()[-1] == pytest.approx(100, abs=3)
    assert 0 < share(group, "naming") <= 1 and 0 < share(group, "grey_images") < 1
    edges, below = cumulative("words", group["measures"]["words"]["counts"])
    assert len(edges) == len(below) and (np.diff(below) >= 0).all()
    # Points are where the shares are, and classes that no caption names are left out.
    assert shares.lines[0].get_xdata()[0] == pytest.approx(100 * group["repeated_captions"])
    assert len(classes.lines[0].get_xdata()) == sum(count > 0 for count in group["named"]) < len(CLASSES)
    save_figure(figure, tmp_path / "pools.pdf", tmp_path / "pools.png")
