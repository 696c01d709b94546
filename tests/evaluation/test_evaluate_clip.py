"""Evaluation of a trained model agrees with CLIP_benchmark's own, and with the predictions that are kept."""

import csv
import io
import random
import shutil

import numpy as np
import pytest
from pyarrow import parquet

from evaluate_clip import write_metrics, write_predictions
from small_testsets import drawn, write_testset
from testbed.miniweb.testsets import make_testset
from testbed.miniweb.world import CLASSES
from testbed.records.manifest import read_json, write_json
from testbed.statistics.lines import clopper_pearson

IMAGES = 40


@pytest.fixture(scope="module")
def testset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("testset")
    make_testset("imagenet", IMAGES, 0, folder)
    return folder


@pytest.fixture(scope="module")
def evaluated(run_model, model, testset, decode):
    """Metric rows and predictions of the trained model on one test set under two names."""
    decoded = decode(testset)
    return run_model("evaluate", folder=model, testsets={"mine": decoded, "again": decoded})["value"]


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


@pytest.mark.parametrize("batch_size", [7, 40, 100])
def test_batches_change_nothing(run_model, model, testset, decode, evaluated, batch_size):
    answer = run_model("evaluate", folder=model, testsets={"mine": decode(testset)}, batch_size=batch_size)
    rows, table = answer["value"]
    assert values_of(rows) == values_of(evaluated[0])
    assert predictions_of(table) == predictions_of(evaluated[1])


def test_text_heads_are_shared_by_test_sets_of_the_same_classes(run_model, model, testset, decode, tmp_path):
    other = shutil.copytree(testset, tmp_path / "other")
    (other / "zeroshot_classification_templates.txt").write_text("a {c}\n")
    again = shutil.copytree(testset, tmp_path / "again")
    testsets = [decode(folder) for folder in (testset, other, again)]
    assert run_model("heads_of", folder=model, testsets=testsets)["value"] == 2


def test_images_decoded_for_another_framing_are_refused(run_model, model, testset, decode, tmp_path):
    folder, decoded = decode(testset)
    manifest = read_json(decoded / "manifest.json")
    write_json(decoded / "manifest.json", manifest | {"preprocessing": {"size": [7, 7]}})
    answer = run_model("evaluate", folder=model, testsets={"mine": [folder, decoded]})
    assert answer["error"] == "EvaluationError"
    assert "was decoded with Preprocessing(size=(7, 7), " in answer["message"]


def test_retrieval_is_clip_benchmarks(run_model, model, decode, tmp_path):
    names = [CLASSES[number % len(CLASSES)].name for number in range(31)]
    captions = [f"a photo of a {name}\n{name} number {place}" for place, name in enumerate(names)]
    # One image has one text, as few do.
    captions[3] = "something else"
    samples = [
        (drawn(name, place), text.encode()) for place, (name, text) in enumerate(zip(names, captions, strict=True))
    ]
    testset = write_testset(tmp_path / "retrieval", "retrieval", samples)
    rows, table = run_model("evaluate", folder=model, testsets={"mine": decode(testset, task="retrieval")})["value"]
    theirs = run_model("evaluate_with_clip_benchmark", folder=model, testset=testset)["value"]
    assert len(theirs) == 6
    assert values_of(rows) == {name.replace("_retrieval", ""): value for name, value in theirs.items()}
    assert {row["metric"]: row["n"] for row in rows} == {
        **{f"image_recall@{k}": 61 for k in (1, 5, 10)},
        **{f"text_recall@{k}": 31 for k in (1, 5, 10)},
    }
    assert all(row["correct"] == round(row["value"] * row["n"]) for row in rows)
    assert table["key"] == []


def test_multi_label_classification_is_clip_benchmarks(run_model, model, testset, decode, tmp_path):
    chosen = random.Random(0)
    samples = []
    for number in range(24):
        labels = np.array([chosen.random() < 0.3 for _ in CLASSES], dtype=np.int64)
        file = io.BytesIO()
        np.save(file, labels)
        samples.append((drawn(CLASSES[number % len(CLASSES)].name, number), file.getvalue()))
    folder = write_testset(tmp_path / "multilabel", "multilabel", samples)
    for name in ("classnames.txt", "zeroshot_classification_templates.txt"):
        shutil.copy(testset / name, folder)
    rows, table = run_model("evaluate", folder=model, testsets={"mine": decode(folder, task="multilabel")})["value"]
    theirs = run_model("evaluate_with_clip_benchmark", folder=model, testset=folder)["value"]
    assert values_of(rows) == theirs
    assert 0.1 < theirs["mean_average_precision"] < 0.9
    assert [(row["n"], row["correct"]) for row in rows] == [(24, None)]
    assert table["key"] == []


def test_a_label_without_a_class_name_is_an_error(run_model, model, testset, decode, tmp_path):
    folder = shutil.copytree(testset, tmp_path / "testset")
    decoded = decode(folder)
    names = (folder / "classnames.txt").read_text().splitlines()
    (folder / "classnames.txt").write_text("\n".join(names[:-1]) + "\n")
    answer = run_model("evaluate", folder=model, testsets={"mine": decoded})
    assert answer["error"] == "EvaluationError"
    last = len(CLASSES) - 1
    assert f"{folder}: an image has label {last}, and classnames.txt has {last} names" in answer["message"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damaged_weights_are_refused(run_model, model, tmp_path, damage):
    folder = shutil.copytree(model, tmp_path / "model")
    weights = folder / "open_clip_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content[:-4] if damage == "cut" else content)
    if damage == "gone":
        weights.unlink()
    answer = run_model("evaluate", folder=folder, testsets={})
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
