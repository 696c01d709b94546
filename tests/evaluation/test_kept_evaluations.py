"""What was found on a test set is kept until something that it depends on changes."""

import pytest

from evaluate_clip import keep_evaluations, request_of
from small_testsets import write_classification
from testbed.evaluation.class_subsets import Subset
from testbed.evaluation.metrics import PREDICTION_COLUMNS
from testbed.records.manifest import write_json


def found(testset: str) -> tuple[list[dict], dict[str, list]]:
    """Rows and predictions on two images; of one, the label is not among the best. Multi-label sets have none."""
    row = {"testset": testset, "classes": "all", "metric": "top1", "n": 2, "correct": 1, "value": 1 / 3}
    mean = {**row, "metric": "mean_per_class_recall", "correct": None}
    if testset == "voc":
        return [mean], {name: [] for name in PREDICTION_COLUMNS}
    values = [[testset] * 2, ["all"] * 2, ["a", "b"], [0, 1], [0, 0], [0, None]]
    return [row, mean], dict(zip(PREDICTION_COLUMNS, values, strict=True))


def test_only_what_is_new_or_changed_is_evaluated(tmp_path):
    asked = []

    def evaluate(testset: str) -> tuple[list[dict], dict[str, list]]:
        asked.append(testset)
        return found(testset)

    runs: dict[str, dict] = {}

    def kept(code: str = "first", **requests: object) -> tuple[list[dict], dict[str, list]]:
        asked.clear()
        rows, table, found = keep_evaluations(tmp_path / "testsets", requests, evaluate, {"code": code})
        runs.clear()
        runs.update(found)
        return rows, table

    rows, table = kept(one=[1], voc=[1])
    assert asked == ["one", "voc"]
    assert rows == found("one")[0] + found("voc")[0] and table == found("one")[1]
    rows, table = kept("second", two=[1], one=[1], voc=[1])
    assert asked == ["two"]
    assert runs == {"two": {"code": "second"}, "one": {"code": "first"}, "voc": {"code": "first"}}
    assert [row["testset"] for row in rows] == ["two", "two", "one", "one", "voc"]
    assert table["testset"] == ["two", "two", "one", "one"] and table["rank"] == [0, None] * 2
    kept(two=[1], one=[2])
    assert asked == ["one"]
    assert {path.stem for path in (tmp_path / "testsets").iterdir()} == {"one", "two"}
    (tmp_path / "testsets" / "two.parquet").unlink()
    assert kept(two=[1], one=[2])[0] == found("two")[0] + found("one")[0]
    assert asked == ["two"]


@pytest.fixture
def testsets(tmp_path) -> dict:
    """A reference and two shifts with their folders, and those of decoded images."""
    sets = {}
    for name in ("reference", "shift", "other"):
        folder = write_classification(tmp_path / name, ["cat", "bird"], [0, 1])
        (tmp_path / name / "decoded").mkdir()
        write_json(folder / "decoded" / "manifest.json", {"preprocessing": {"size": 8}, "files": [{"sha256": name}]})
        sets[name] = folder, folder / "decoded"
    return sets


def test_an_evaluation_depends_on_images_texts_and_subsets(testsets):
    subset = Subset("shift", [[0], [1]])

    def requests(*subsets: Subset) -> dict[str, list]:
        return {name: request_of(name, testsets, "reference", subsets) for name in testsets}

    def changed(before: dict, after: dict) -> set[str]:
        return {name for name in before if before[name] != after[name]}

    plain, whole = requests(), requests(subset)
    assert changed(plain, whole) == {"reference", "shift"}
    assert changed(whole, requests(Subset("shift", [[0, 1]]))) == {"reference", "shift"}
    write_json(testsets["other"][1] / "manifest.json", {"preprocessing": {"size": 8}, "files": [{"sha256": "new"}]})
    assert changed(whole, requests(subset)) == {"other"}
    whole = requests(subset)
    (testsets["reference"][0] / "zeroshot_classification_templates.txt").write_text("one {c}\n")
    # The shift is scored with the reference's texts, too.
    assert changed(whole, requests(subset)) == {"reference", "shift"}
