"""Reading evaluations, and the tables of trends and effective robustness."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from example_evaluations import LINES, POOLS, REFERENCE, SIZES, example, row, table
from fit_trends import ROBUSTNESS_COLUMNS, fit_trends
from testbed.statistics.settings import Settings, TrendError
from testbed.statistics.tables import EvaluationsError, pair_with_reference, read_evaluations
from testbed.statistics.trends import TREND_COLUMNS, read_trends

BASELINE = Settings(baseline="pool:labels")


def written(tmp_path, evaluations: pd.DataFrame, name: str = "evaluations.csv"):
    path = tmp_path / name
    evaluations.to_csv(path, index=False)
    return path


def test_columns_are_those_of_the_interface():
    trends, robustness = fit_trends(example(), REFERENCE, BASELINE)
    assert ",".join(trends.columns) == (
        "pool,architecture,testset,classes,scale,n,left_out,slope,slope_low,slope_high,intercept,intercept_low,intercept_high,"
        "r2,reference_min,reference_max"
    )
    assert ",".join(robustness.columns) == (
        "model,testset,classes,scale,baseline,pool,architecture,size,seed,reference_value,value,effective_robustness,"
        "effective_robustness_low,effective_robustness_high"
    )


# Points on a line: the bootstrap sees no error, the parts that of 10 million images.
@pytest.mark.parametrize(("intervals", "widest"), [("bootstrap", 1e-3), ("parts", 3e-3)])
def test_known_lines_are_found(intervals, widest):
    trends, _ = fit_trends(example(), REFERENCE, replace(BASELINE, intervals=intervals))
    assert len(trends) == len(LINES) * len(POOLS)
    for trend in trends.itertuples():
        slope, intercept = LINES[trend.testset][trend.pool]
        assert (trend.slope, trend.intercept) == pytest.approx((slope, intercept), abs=1e-4)
        assert trend.slope_low <= trend.slope <= trend.slope_high
        assert trend.intercept_low <= trend.intercept <= trend.intercept_high
        assert trend.slope_high - trend.slope_low < widest
        assert trend.r2 == pytest.approx(1, abs=1e-6)
        assert (trend.n, trend.scale) == (len(SIZES), "logit")
    photos = trends[trends["pool"] == "photos"].iloc[0]
    assert (photos["reference_min"], photos["reference_max"]) == pytest.approx((expit(-1), expit(1.8)), abs=1e-6)


def test_effective_robustness_is_the_distance_from_the_baseline():
    _, robustness = fit_trends(example(), REFERENCE, BASELINE)
    assert len(robustness) == len(LINES) * len(POOLS) * len(SIZES)
    assert set(robustness["baseline"]) == {"pool:labels"}
    for model in robustness.itertuples():
        slope, intercept = LINES[model.testset]["labels"]
        expected = 100 * (model.value - expit(slope * logit(model.reference_value) + intercept))
        assert model.effective_robustness == pytest.approx(expected, abs=0.01)
        assert model.effective_robustness_low < model.effective_robustness < model.effective_robustness_high
    own = robustness[robustness["pool"] == "labels"]["effective_robustness"]
    assert own.abs().max() < 0.01


def test_order_of_evaluations_changes_nothing():
    evaluations = example(n=500)
    shuffled = evaluations.sample(frac=1, random_state=3, ignore_index=True)
    for one, other in zip(
        fit_trends(evaluations, REFERENCE, BASELINE), fit_trends(shuffled, REFERENCE, BASELINE), strict=True
    ):
        pd.testing.assert_frame_equal(one, other)


def test_without_a_baseline_there_is_no_effective_robustness():
    trends, robustness = fit_trends(example(), REFERENCE, Settings(baseline="none"))
    assert len(trends) == len(LINES) * len(POOLS)
    assert (len(robustness), list(robustness.columns)) == (0, ROBUSTNESS_COLUMNS)


def test_baseline_that_was_not_evaluated_is_named():
    with pytest.raises(TrendError, match="'pool:nobody': no model of this pool was evaluated, only of both, drawings"):
        fit_trends(example(), REFERENCE, Settings(baseline="pool:nobody"))


@pytest.mark.parametrize(
    "wrong", [{"scale": "log"}, {"baseline": "pool:"}, {"baseline": "standart"}, {"classes": "some"}]
)
def test_unknown_settings_are_named(wrong):
    (value,) = wrong.values()
    with pytest.raises(TrendError, match=f"'{value}' is unknown; use"):
        Settings(**wrong)


def test_models_at_zero_are_left_out_and_named(caplog):
    evaluations = example()
    at_zero = (evaluations["model"] == "photos-mini_rn-600-0") & (evaluations["testset"] == "mini_sketch")
    evaluations.loc[at_zero, ["correct", "value"]] = 0
    with caplog.at_level(logging.WARNING):
        trends, robustness = fit_trends(evaluations, REFERENCE, BASELINE)
    assert "photos-mini_rn-600-0: left out of its trend, 0 and 1 have no logit" in caplog.text
    trend = trends[(trends["pool"] == "photos") & (trends["testset"] == "mini_sketch")].iloc[0]
    assert (trend["n"], trend["left_out"]) == (len(SIZES) - 1, 1)
    assert trends["left_out"].sum() == 1
    assert trend["slope"] == pytest.approx(0.9, abs=1e-4)
    assert trend["reference_min"] > expit(-1) + 0.01
    # the model is still below the baseline by all that the baseline expects
    measured = robustness[(robustness["model"] == "photos-mini_rn-600-0") & (robustness["testset"] == "mini_sketch")]
    assert measured["effective_robustness"].item() == pytest.approx(-100 * expit(-1.1 - 1.6), abs=0.01)


@pytest.mark.parametrize(
    ("sizes", "line", "interval"), [([600], False, False), ([600, 1200], True, False), ([600, 1200, 2400], True, True)]
)
def test_few_models_leave_marked_gaps(sizes, line, interval, tmp_path):
    trends, robustness = fit_trends(example(sizes), REFERENCE, BASELINE)
    assert trends["slope"].notna().all() == trends["intercept"].notna().all() == line
    assert trends["slope_low"].notna().all() == interval
    assert trends["slope"].isna().all() == (not line)
    assert trends["slope_low"].isna().all() == (not interval)
    assert robustness["effective_robustness"].notna().all() == line
    assert robustness["effective_robustness_high"].notna().all() == interval
    text = written(tmp_path, trends).read_text()
    assert (",,,,,,," in text) == (not line)


def test_extrapolated_baseline_is_told(caplog):
    evaluations = example()
    evaluations = evaluations[(evaluations["pool"] != "labels") | (evaluations["size"] > 600)]
    with caplog.at_level(logging.WARNING):
        fit_trends(evaluations, REFERENCE, BASELINE)
    assert "6 of 19 models lie outside" in caplog.text
    assert "photos-mini_rn-600-0" in caplog.text


def test_architecture_without_a_baseline_is_a_gap(caplog):
    evaluations = example()
    other = evaluations[evaluations["pool"] == "photos"].assign(architecture="vit")
    other["model"] = other["model"].str.replace("mini_rn", "vit")
    with caplog.at_level(logging.WARNING):
        trends, robustness = fit_trends(pd.concat([evaluations, other]), REFERENCE, BASELINE)
    assert len(trends[trends["architecture"] == "vit"]) == len(LINES)
    assert robustness.loc[robustness["architecture"] == "vit", "effective_robustness"].isna().all()
    assert robustness.loc[robustness["architecture"] == "mini_rn", "effective_robustness"].notna().all()
    assert "vit: pool:labels has no line here" in caplog.text


def test_classes_are_fitted_apart():
    evaluations = example()
    halved = evaluations.assign(classes="mini_sketch", correct=evaluations["correct"] // 2)
    halved["value"] = halved["correct"] / halved["n"]
    trends, _ = fit_trends(pd.concat([evaluations, halved]), REFERENCE, Settings())
    both = trends.pivot(index=["pool", "testset"], columns="classes", values="slope")
    assert both["all"].tolist() == pytest.approx([LINES[testset][pool][0] for pool, testset in both.index], abs=1e-4)
    assert (both["all"] - both["mini_sketch"]).abs().min() > 0.01


def test_trends_can_be_read_again(tmp_path):
    trends, _ = fit_trends(example([600]).replace("photos", "null"), REFERENCE, Settings())
    again = read_trends(written(tmp_path, trends))
    pd.testing.assert_frame_equal(trends, again, check_dtype=False)
    with pytest.raises(TrendError, match="lacks the column r2; run fit_trends"):
        read_trends(written(tmp_path, trends.drop(columns="r2")))
    assert list(again.columns) == TREND_COLUMNS


def test_reading_keeps_numbers_and_drops_other_metrics(tmp_path):
    evaluations = example(n=1000)
    # a metric that counts no images has no `correct`
    recall = evaluations.astype({"correct": object}).assign(metric="mean_per_class_recall", correct="")
    read = read_evaluations([written(tmp_path, evaluations), written(tmp_path, recall, "recall.csv")][:1])
    pd.testing.assert_frame_equal(read, evaluations)
    both = read_evaluations(written(tmp_path, pd.concat([evaluations, recall])))
    pd.testing.assert_frame_equal(both, evaluations)


def test_several_files_are_one_table(tmp_path):
    evaluations = example(n=1000)
    parts = [evaluations.iloc[:7], evaluations.iloc[7:]]
    paths = [written(tmp_path, part, f"{place}.csv") for place, part in enumerate(parts)]
    pd.testing.assert_frame_equal(read_evaluations(paths), evaluations)
    with pytest.raises(EvaluationsError, match=r"0\.csv, line 2, .*0\.csv, line 2: 2 rows for model photos"):
        read_evaluations([paths[0], paths[0]])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("n", 0, "n '0' is not above 0"),
        ("size", -5, "size '-5' is below 0"),
        ("correct", 1001, "correct '1001' is outside of 0 to n"),
        ("correct", -1, "correct '-1' is outside of 0 to n"),
        ("correct", 12.5, "correct '12.5' is not whole"),
        ("correct", "", "correct '' is not a finite number"),
        ("value", "nan", "value 'nan' is not a finite number"),
        ("value", 63.3, "value '63.3' is not correct / n as a fraction"),
        ("value_low", "inf", "value_low 'inf' is not a finite number"),
        ("seed", "zero", "seed 'zero' is not a finite number"),
        ("pool", " ", "pool ' ' is empty"),
    ],
)
def test_impossible_cells_are_named(tmp_path, column, value, message):
    evaluations = example(n=1000).astype({column: object})
    evaluations.loc[3, column] = value
    where = r"evaluations\.csv, line 5: model photos-mini_rn-1200-0, test set mini_imagenet: "
    with pytest.raises(EvaluationsError, match=where + message + ".*; evaluate this model again"):
        read_evaluations(written(tmp_path, evaluations))


@pytest.mark.parametrize("column", ["model", "testset", "correct", "value_high"])
def test_missing_column_is_named(tmp_path, column):
    with pytest.raises(EvaluationsError, match=rf"evaluations\.csv: lacks the column {column}; delete"):
        read_evaluations(written(tmp_path, example().drop(columns=column)))


def test_files_that_hold_nothing(tmp_path):
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    with pytest.raises(EvaluationsError, match=r"empty\.csv: is not a CSV table"):
        read_evaluations(empty)
    empty.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EvaluationsError, match=r"empty\.csv: is not a CSV table"):
        read_evaluations(empty)
    with pytest.raises(EvaluationsError, match=r"absent\.csv: is missing"):
        read_evaluations(tmp_path / "absent.csv")
    with pytest.raises(EvaluationsError, match=r"evaluations\.csv: no evaluation"):
        read_evaluations(written(tmp_path, example().iloc[:0]))
    with pytest.raises(EvaluationsError, match="no row with metric 'top1'"):
        read_evaluations(written(tmp_path, example().assign(metric="top5")))


def test_shift_without_the_reference_is_named():
    evaluations = table([row("photos", 600, "mini_v2", 5, 10), row("photos", 600, REFERENCE, 5, 10)])
    alone = table([row("drawings", 600, "mini_v2", 5, 10)])
    with pytest.raises(
        EvaluationsError, match="model drawings-mini_rn-600-0: was evaluated on 'mini_v2' .* but not on"
    ):
        pair_with_reference(pd.concat([evaluations, alone]), REFERENCE)
    with pytest.raises(EvaluationsError, match="reference test set 'imagenet', only on mini_v2, mini_imagenet"):
        pair_with_reference(evaluations, "imagenet")


def test_reference_without_a_shift_is_told(caplog):
    evaluations = table(
        [row("photos", size, REFERENCE, 5, 10) for size in (600, 1200)] + [row("photos", 600, "mini_v2", 4, 10)]
    )
    with caplog.at_level(logging.WARNING):
        pairs = pair_with_reference(evaluations, REFERENCE)
    assert pairs["model"].tolist() == ["photos-mini_rn-600-0"]
    assert "photos-mini_rn-1200-0" in caplog.text
    assert "photos-mini_rn-600-0" not in caplog.text
    assert np.allclose(pairs[["reference_value", "value"]], [[0.5, 0.4]])


def test_model_without_a_shift_is_told_and_left_out_there(caplog):
    evaluations = example()
    gone = (evaluations["model"] == "photos-mini_rn-600-0") & (evaluations["testset"] == "mini_sketch")
    trends, _ = fit_trends(evaluations[~gone], REFERENCE, BASELINE)
    assert "mini_sketch: has no evaluation of 1 of 20 models: photos-mini_rn-600-0" in caplog.text
    counts = trends[trends["pool"] == "photos"].set_index("testset")["n"]
    assert counts.to_dict() == {"mini_sketch": len(SIZES) - 1, "mini_v2": len(SIZES)}


def test_models_near_chance_are_left_out_and_named(caplog):
    caplog.set_level("INFO")
    evaluations = example()
    on_reference = evaluations[(evaluations["testset"] == REFERENCE) & (evaluations["classes"] == "all")]
    limit = on_reference["value"].median()
    weak = set(on_reference[on_reference["value"] < limit]["model"])
    pairs = pair_with_reference(evaluations, REFERENCE, limit)
    assert weak
    assert set(pairs["model"]) == set(on_reference["model"]) - weak
    assert all(model in caplog.text for model in weak)
    with pytest.raises(EvaluationsError, match=r"minimum_reference: 0.99 is above .* lower it"):
        pair_with_reference(evaluations, REFERENCE, 0.99)
