"""Baselines of standard ImageNet models, against the ImageNet testbed's own table and an independent fit."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import linregress, norm

from experiments import ROOT
from fit_baselines import fit_baselines
from measure_reference_models import ReferenceError, measure_reference_models, read_published
from testbed.statistics.baselines import (
    BASELINE_COLUMNS,
    NO_BASELINE,
    SHIFT_COLUMNS,
    STANDARD_BASELINES,
    BaselineError,
    find_baseline,
    read_baselines,
    standard_points,
)
from testbed.statistics.lines import line_band
from testbed.statistics.robustness import ROBUSTNESS_COLUMNS
from testbed.statistics.settings import Settings

DATA = ROOT / "../shared/data"
RESULTS, PUBLISHED = DATA / "imagenet_testbed_robustness_top1s.csv", DATA / "openclip_results.csv"
TYPED = DATA / "imagenet_testbed_natural_shifts.csv"
TYPES, COMMITTED = ROOT / "resources/standard_models.csv", ROOT / "resources/baselines.csv"
needs_tables = pytest.mark.skipif(not RESULTS.is_file(), reason="the published tables are not beside the checkout")
SCALED = {"logit": (logit, expit), "probit": (norm.ppf, norm.cdf), "linear": (np.asarray, np.asarray)}


def independent_fit(baseline: str, testset: str, scale: str) -> tuple[float, float, int]:
    """Slope, intercept and n over all classes, from the table with types and by other code."""
    table = pd.read_csv(TYPED)
    keep = []
    for _, row in table.iterrows():
        name = row["model"].lower()
        standard = row["type"] == "STANDARD" and row["val"] >= 55
        standard &= not any(part in name for part in ("aws", "batch64", "subsample"))
        low = row["type"] == "LOW_ACCURACY_CNN" and "classes" not in name and row["val"] > 1
        keep.append(standard or (baseline == "standard_extended" and low))
    points = table[keep].dropna(subset=["val", SHIFT_COLUMNS[testset]])
    x, y = (SCALED[scale][0](points[column] / 100) for column in ("val", SHIFT_COLUMNS[testset]))
    fit = linregress(x, y)
    return fit.slope, fit.intercept, len(points)


@needs_tables
@pytest.mark.parametrize("baseline", STANDARD_BASELINES)
@pytest.mark.parametrize("testset", SHIFT_COLUMNS)
@pytest.mark.parametrize("scale", SCALED)
def test_lines_are_those_of_an_independent_fit(baseline, testset, scale):
    table = read_baselines(COMMITTED)
    found = find_baseline(table, baseline, testset, "all", scale)
    slope, intercept, n = independent_fit(baseline, testset, scale)
    assert found.line.n == n
    assert (found.line.slope, found.line.intercept) == pytest.approx((slope, intercept), abs=1e-6)


def test_the_line_that_is_known_beforehand():
    row = read_baselines(COMMITTED).set_index(["baseline", "testset", "classes", "scale"])
    row = row.loc[("standard_extended", "imagenet-v2", "all", "logit")]
    assert row["n"] == 196
    assert row[["slope", "slope_low", "slope_high"]].tolist() == pytest.approx([0.9306, 0.9265, 0.9342], abs=5e-5)
    ends = row[["intercept", "intercept_low", "intercept_high"]].tolist()
    assert ends == pytest.approx([-0.4963, -0.5002, -0.4921], abs=5e-5)
    assert row["r2"] == pytest.approx(0.9995, abs=5e-5)


@needs_tables
def test_committed_lines_are_those_of_the_rule(tmp_path):
    fit_baselines(RESULTS, TYPES, tmp_path / "baselines.csv")
    assert (tmp_path / "baselines.csv").read_bytes() == COMMITTED.read_bytes()


@needs_tables
def test_types_are_those_of_the_testbed():
    types = pd.read_csv(TYPES).set_index("model")["type"]
    theirs = pd.read_csv(TYPED).set_index("model")["type"]
    theirs = theirs.map({"STANDARD": "standard", "LOW_ACCURACY_CNN": "low_accuracy"}).dropna()
    assert types.to_dict() == theirs.to_dict()


@needs_tables
def test_classes_of_the_shift_take_the_testbeds_threshold():
    results, types = pd.read_csv(RESULTS), pd.read_csv(TYPES)
    points = standard_points(results, types, "standard", "imagenet-r", "imagenet-r")
    theirs = results.set_index("model").loc[points["model"]]
    assert points["reference_value"].min() >= 0.75
    assert points["reference_value"].tolist() == (theirs["val-on-imagenet-r-classes"] / 100).tolist()
    assert points["value"].tolist() == (theirs["imagenet-r"] / 100).tolist()
    with pytest.raises(BaselineError, match="'imagenet-a'"):
        standard_points(results, types, "standard", "imagenet-a")


@needs_tables
def test_a_damaged_table_is_named():
    results = pd.read_csv(RESULTS).drop(columns="imagenet-r")
    with pytest.raises(BaselineError, match="lacks the column imagenet-r"):
        standard_points(results, pd.read_csv(TYPES), "standard", "imagenet-r")


@needs_tables
@pytest.mark.parametrize("testset", SHIFT_COLUMNS)
def test_drawn_lines_give_the_bootstraps_band(testset):
    """Normal draws stand for the bootstrap's lines: their band is as wide, to a tenth, where models are."""
    from testbed.statistics.lines import bootstrap_lines
    from testbed.statistics.scales import transform

    points = standard_points(pd.read_csv(RESULTS), pd.read_csv(TYPES), "standard_extended", testset)
    x, y = (transform(points[name]) for name in ("reference_value", "value"))
    grid = transform([0.05, 0.2, 0.4, 0.6, 0.8])
    drawn = find_baseline(read_baselines(COMMITTED), "standard_extended", testset, "all", "logit", 10_000)
    bands = [line_band(lines, grid) for lines in (bootstrap_lines(x, y, 10_000), drawn.lines)]
    (low, high), (drawn_low, drawn_high) = bands
    assert drawn_low == pytest.approx(low, abs=0.1 * (high - low).max())
    assert drawn_high == pytest.approx(high, abs=0.1 * (high - low).max())


def test_a_shift_without_a_line_is_a_gap():
    assert find_baseline(read_baselines(COMMITTED), "standard", "imagenet-a", "all", "logit") is NO_BASELINE


def test_table_without_a_column_is_named(tmp_path):
    pd.read_csv(COMMITTED).drop(columns="covariance").to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(BaselineError, match=r"b\.csv: lacks the column covariance"):
        read_baselines(tmp_path / "b.csv")


def test_every_committed_line_says_where_it_comes_from():
    table = read_baselines(COMMITTED)
    assert table.columns.tolist() == BASELINE_COLUMNS
    assert table["origin"].str.contains("imagenet-testbed@0170eec").all()
    assert not table.isna().any(axis=None)


@needs_tables
@pytest.mark.parametrize("baseline", STANDARD_BASELINES)
@pytest.mark.parametrize("scale", ["logit", "probit"])
def test_effective_robustness_of_every_public_model(baseline, scale):
    """Of each row of OpenCLIP's table: 100 (acc - T^-1(b + s T(ImageNet))), the line by other code."""
    published = read_published(PUBLISHED, ROOT / "resources/testsets.csv")
    measured = measure_reference_models(published, read_baselines(COMMITTED), Settings(scale, baseline))
    assert measured.columns.tolist() == ROBUSTNESS_COLUMNS
    columns = {"imagenet-v2": "ImageNet v2", "imagenet-r": "ImageNet-R", "imagenet-sketch": "ImageNet Sketch"}
    theirs = pd.read_csv(PUBLISHED)
    theirs.index = theirs["name"] + " " + theirs["pretrained"]
    to, back = SCALED[scale]
    for testset, column in (columns | {"objectnet": "ObjectNet"}).items():
        rows = measured[measured["testset"] == testset].set_index("model")
        assert len(rows) > 100
        slope, intercept, _ = independent_fit(baseline, testset, scale)
        own = theirs.loc[rows.index]
        expected = 100 * (own[column] - back(intercept + slope * to(own["ImageNet 1k"])))
        assert rows["effective_robustness"].tolist() == pytest.approx(expected.tolist(), abs=0.001)
        assert (rows["effective_robustness_low"] < rows["effective_robustness"]).all()
    # ImageNet-A has no line of standard models: marked gaps
    assert measured.loc[measured["testset"] == "imagenet-a", "effective_robustness"].isna().all()


@needs_tables
def test_repeated_models_and_models_at_chance_are_left_out(caplog):
    caplog.set_level("INFO")
    models = read_published(PUBLISHED, ROOT / "resources/testsets.csv")
    once = models[models["testset"] == "imagenet-v2"]
    assert once["model"].is_unique
    assert "RN50 openai" in set(once["model"]) or "RN50-quickgelu openai" in set(once["model"])
    assert not {"RN50 openai", "RN50-quickgelu openai"} <= set(once["model"])
    assert "mscoco_finetuned_laion2b_s13b_b90k: is at chance" in caplog.text
    assert "RN50, yfcc15m: was trained with QuickGELU and evaluated without" in caplog.text
    assert {name for name in once["model"] if "yfcc15m" in name and name.startswith("RN50")} == {
        "RN50-quickgelu yfcc15m"
    }


@needs_tables
def test_a_changed_table_of_public_models_is_named(tmp_path):
    pd.read_csv(PUBLISHED).drop(columns="ObjectNet").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ReferenceError, match="lacks the column ObjectNet"):
        read_published(tmp_path / "t.csv", Path(ROOT / "resources/testsets.csv"))


@needs_tables
def test_the_page_says_how_far_standard_models_are_from_their_own_line():
    """Mean 100 (acc - T^-1(b + s T(ImageNet))) of the standard models in each range of accuracies."""
    page = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(standard\w*)` \| `([\w-]+)` \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == len(STANDARD_BASELINES) * len(SHIFT_COLUMNS)
    results, types = pd.read_csv(RESULTS), pd.read_csv(TYPES, comment="#")
    limits = [0.01, 0.05, 0.2, 0.45, 0.65, 0.75, 0.9]
    for baseline, testset, cells in rows:
        slope, intercept, _ = independent_fit(baseline, testset, "logit")
        models = standard_points(results, types, "standard_extended", testset)
        robustness = 100 * (models["value"] - expit(intercept + slope * logit(models["reference_value"])))
        means = robustness.groupby(pd.cut(models["reference_value"], limits), observed=True).mean()
        assert [float(cell) for cell in cells.split(" | ")] == pytest.approx(means.tolist(), abs=0.051)
