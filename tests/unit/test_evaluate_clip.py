"""Evaluation of a trained model agrees with CLIP_benchmark's own, and with the predictions that are kept."""

import csv
import shutil

import pytest
from pyarrow import parquet

from evaluate_clip import write_metrics, write_predictions
from make_testset import make_testset
from testbed.miniweb.world import CLASSES
from testbed.statistics import clopper_pearson

IMAGES = 40


@pytest.fixture(scope="module")
def testset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("testset")
    make_testset("imagenet", IMAGES, 0, folder)
    return folder


@pytest.fixture(scope="module")
def evaluated(run_model, model, testset):
    """Metric rows and predictions of the trained model on one test set under two names."""
    return run_model("evaluate", folder=model, testsets={"mine": testset, "again": testset})["value"]


def values_of(rows, testset="mine"):
    return {row["metric"]: row["value"] for row in rows if row["testset"] == testset}


def predictions_of(table, testset="mine"):
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    return [row for row in rows if row["testset"] == testset]


def test_metrics_are_clip_benchmarks(run_model, model, testset, evaluated):
    theirs = run_model("evaluate_with_clip_benchmark", folder=model, testset=str(testset))["value"]
    ours = values_of(evaluated[0])
    assert ours["top5"] > 0
    assert ours == {
        "top1": theirs["acc1"],
        "top5": theirs["acc5"],
        "mean_per_class_recall": theirs["mean_per_class_recall"],
    }


def test_metrics_are_those_of_the_predictions(evaluated):
    rows, table = evaluated
    predictions = predictions_of(table)
    assert len(predictions) == IMAGES
    hits = [row for row in predictions if row["label"] == row["prediction"]]
    assert hits == [row for row in predictions if row["rank"] == 0]
    near = [row for row in predictions if row["rank"] is not None]
    assert {row["rank"] for row in near} <= set(range(5))
    recalls = [
        sum(row["label"] == label for row in hits) / sum(row["label"] == label for row in predictions)
        for label in range(len(CLASSES))
    ]
    assert values_of(rows) == pytest.approx(
        {
            "top1": len(hits) / IMAGES,
            "top5": len(near) / IMAGES,
            "mean_per_class_recall": sum(recalls) / len(recalls),
        }
    )
    counts = {row["metric"]: (row["n"], row["correct"]) for row in rows}
    assert counts == {
        "top1": (IMAGES, len(hits)),
        "top5": (IMAGES, len(near)),
        "mean_per_class_recall": (IMAGES, None),
    }


def test_every_image_has_its_key_and_label(evaluated):
    predictions = predictions_of(evaluated[1])
    assert {row["key"]: row["label"] for row in predictions} == {
        f"{number:06d}": number % len(CLASSES) for number in range(IMAGES)
    }


def test_test_sets_follow_each_other_under_their_names(evaluated):
    rows, table = evaluated
    assert values_of(rows, "mine") == values_of(rows, "again")
    assert table["testset"] == ["mine"] * IMAGES + ["again"] * IMAGES
    assert {row["classes"] for row in rows} == {"all"}


def test_loading_processes_change_nothing_but_the_order(run_model, model, testset, evaluated):
    rows, table = run_model("evaluate", folder=model, testsets={"mine": testset}, workers=2)["value"]
    assert values_of(rows) == values_of(evaluated[0])

    def by_key(row):
        return row["key"]

    assert sorted(predictions_of(table), key=by_key) == sorted(predictions_of(evaluated[1]), key=by_key)


def test_a_label_without_a_class_name_is_an_error(run_model, model, testset, tmp_path):
    folder = shutil.copytree(testset, tmp_path / "testset")
    names = (folder / "classnames.txt").read_text().splitlines()
    (folder / "classnames.txt").write_text("\n".join(names[:-1]) + "\n")
    answer = run_model("evaluate", folder=model, testsets={"mine": folder})
    assert answer["error"] == "EvaluationError"
    last = len(CLASSES) - 1
    assert f"{folder}: an image has label {last}, and classnames.txt has {last} names" in answer["message"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damaged_weights_are_refused(run_model, model, testset, tmp_path, damage):
    folder = shutil.copytree(model, tmp_path / "model")
    weights = folder / "open_clip_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content[:-4] if damage == "cut" else content)
    if damage == "gone":
        weights.unlink()
    answer = run_model("evaluate", folder=folder, testsets={"mine": testset})
    assert answer["error"] == "EvaluationError"
    assert answer["message"].startswith(f"{weights}: ")
    assert answer["message"].endswith(f"Delete {folder}/manifest.json to train the model again.")


def test_ranks_are_places_among_the_five_best(run_model):
    logits = [[9, 8, 7, 6, 5, 4], [4, 5, 6, 7, 8, 9], [0, 1, 0, 0, 0, 0]]
    ranks, rows = run_model("score", logits=logits, labels=[2, 0, 1])["value"]
    assert ranks == [2, None, 0]
    assert values_of([{"testset": "mine", **row} for row in rows]) == {
        "top1": 1 / 3,
        "top5": 2 / 3,
        "mean_per_class_recall": 1 / 3,
    }


def test_a_test_set_of_few_classes_has_no_top5(run_model):
    ranks, rows = run_model("score", logits=[[1, 2, 3], [3, 2, 1]], labels=[2, 2])["value"]
    assert ranks == [0, 2]
    assert [row["metric"] for row in rows] == ["top1", "mean_per_class_recall"]


def test_accuracies_are_written_with_intervals_and_means_without(tmp_path):
    model = {"model": "a-b-1-0", "architecture": "b", "pool": "a", "size": 1, "seed": 0}
    rows = [
        {"testset": "mine", "classes": "all", "metric": "top1", "n": 40, "correct": 10, "value": 0.25},
        {
            "testset": "mine",
            "classes": "all",
            "metric": "mean_per_class_recall",
            "n": 40,
            "correct": None,
            "value": 0.2,
        },
    ]
    write_metrics(rows, model, 0.995, tmp_path / "metrics.csv")
    with open(tmp_path / "metrics.csv", newline="") as file:
        accuracy, mean = csv.DictReader(file)
    low, high = clopper_pearson(10, 40, 0.995)
    assert (float(accuracy["value_low"]), float(accuracy["value_high"])) == (pytest.approx(low), pytest.approx(high))
    assert accuracy["model"] == "a-b-1-0"
    assert (mean["correct"], mean["value_low"], mean["value_high"]) == ("", "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_predictions_are_written_as_they_are(tmp_path, evaluated):
    write_predictions(evaluated[1], tmp_path / "predictions.parquet")
    assert parquet.read_table(tmp_path / "predictions.parquet").to_pydict() == evaluated[1]
