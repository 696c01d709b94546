"""Accuracy over a shift's own classes: open_clip's own with these classes alone, and a recount of what is kept."""

import json
from pathlib import Path

import clip_benchmark
import numpy as np
import pytest

from experiments import ROOT, changed, load
from small_testsets import write_classification
from testbed.evaluation.class_subsets import ClassesError, check_class_map, find_subsets, match_classes, read_class_map
from testbed.experiment.errors import ExperimentError
from testbed.miniweb.world import CLASSES

NAMES = [entry.name for entry in CLASSES]
# In another order than the reference has them.
FEW = ["snail", "cat", "mug", "airplane", "tree", "fish"]
ANIMALS = {"animal": ["cat", "bird", "snail"], "dish": ["mug", "18"], "boat": ["sailboat"], "tree": []}
MAP = "# Of tests.\nclass,reference\n" + "".join(f"{name},{one}\n" for name, ones in ANIMALS.items() for one in ones)
GROUPS = [[10, 11, 19], [3, 18], [9], [1]]
CLASSNAMES = Path(clip_benchmark.__file__).parent / "datasets" / "en_classnames.json"


@pytest.fixture(scope="module")
def imagenet():
    """CLIP_benchmark's names of ImageNet's classes."""
    return json.loads(CLASSNAMES.read_text(encoding="utf-8"))["imagenet1k"]


@pytest.fixture(scope="module")
def testsets(tmp_path_factory):
    """A reference of 20 classes, and shifts with some of them: under the same names, and under a map."""
    folder = tmp_path_factory.mktemp("testsets")
    few, animals = (
        [NAMES.index(name) for name in FEW],
        [NAMES.index(name) for name in ("bird", "mug", "sailboat", "tree")],
    )
    own = {
        "reference": write_classification(folder / "reference", NAMES, [*range(20)] * 5),
        "few": write_classification(folder / "few", FEW, [*range(len(few))] * 4, domain="sketch"),
        "animals": write_classification(
            folder / "animals", [NAMES[label] for label in animals], [0, 1, 2, 3] * 6, list(ANIMALS), "sketch"
        ),
        "same": write_classification(folder / "same", NAMES, [*range(20)], domain="sketch"),
        "other": write_classification(folder / "other", NAMES[:2], [0, 1], ["ghost", "tree"]),
    }
    (folder / "map.csv").write_text(MAP)
    return own | {"map": folder / "map.csv"}


@pytest.fixture(scope="module")
def learnt(run_model, architecture, trainset, tmp_path_factory):
    """A model that has learnt enough to tell classes apart."""
    folder = tmp_path_factory.mktemp("learnt")
    run_model("train", architecture=architecture | {"epochs": 20}, trainset=trainset, seed=0, folder=folder)
    return folder


@pytest.fixture(scope="module")
def evaluated(run_model, learnt, decode, testsets):
    names = ("reference", "few", "animals", "same", "other")
    decoded = {name: decode(testsets[name]) for name in names}
    answer = run_model("evaluate", folder=learnt, testsets=decoded, class_maps={"animals": str(testsets["map"])})
    return answer["value"]


def rows_of(evaluated, **wanted):
    """The kept predictions of a test set and classes."""
    table = evaluated[1]
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    return [row for row in rows if wanted.items() <= row.items()]


def metric_of(evaluated, testset, classes, metric="top1"):
    (row,) = [
        row for row in evaluated[0] if (row["testset"], row["classes"], row["metric"]) == (testset, classes, metric)
    ]
    return row["correct"], row["n"]


def test_the_reference_and_the_shift_are_scored_over_the_shifts_classes(evaluated):
    scored = {(row["testset"], row["classes"]) for row in evaluated[0]}
    every = {(name, "all") for name in ("reference", "few", "animals", "same", "other")}
    assert scored == every | {
        *(("reference", name) for name in ("few", "animals")),
        *((name, name) for name in ("few", "animals")),
    }
    assert {classes for testset, classes in scored if testset == "reference"} == {"all", "few", "animals"}


def test_accuracies_are_a_recount_of_the_kept_predictions(evaluated):
    # Only of photos: what 75 steps on photos teach of sketches depends on the processor's rounding.
    assert len({row["prediction"] for row in rows_of(evaluated, testset="reference", classes="all")}) > 5
    for testset, classes in {(row["testset"], row["classes"]) for row in evaluated[0]}:
        rows = rows_of(evaluated, testset=testset, classes=classes)
        hits = sum(row["label"] == row["prediction"] for row in rows)
        assert metric_of(evaluated, testset, classes) == (hits, len(rows))


@pytest.mark.parametrize("testset", ["reference", "few"])
def test_accuracies_are_open_clips_with_these_classes_alone(run_model, learnt, testsets, evaluated, testset):
    theirs = run_model("logits_with_open_clip", folder=learnt, testset=str(testsets[testset]), names=FEW)["value"]
    logits, labels = np.array(theirs["logits"]), np.array(theirs["labels"])
    if testset == "reference":
        places = np.array([FEW.index(name) if name in FEW else -1 for name in NAMES])[labels]
        logits, labels = logits[places >= 0], places[places >= 0]
    rows = rows_of(evaluated, testset=testset, classes="few")
    assert [row["label"] for row in rows] == labels.tolist()
    assert [row["prediction"] for row in rows] == logits.argmax(axis=1).tolist()
    assert metric_of(evaluated, testset, "few") == ((logits.argmax(axis=1) == labels).sum(), len(labels))


@pytest.mark.parametrize("testset", ["reference", "animals"])
def test_the_best_of_several_classes_counts_by_the_references_names(run_model, learnt, testsets, evaluated, testset):
    theirs = run_model("logits_with_open_clip", folder=learnt, testset=str(testsets[testset]), names=NAMES)["value"]
    best = [max(sum(GROUPS, []), key=row.__getitem__) for row in theirs["logits"]]
    owner = {label: place for place, group in enumerate(GROUPS) for label in group}
    labels = [owner.get(label) for label in theirs["labels"]] if testset == "reference" else theirs["labels"]
    expected = [(label, owner[one]) for label, one in zip(labels, best, strict=True) if label is not None]
    rows = rows_of(evaluated, testset=testset, classes="animals")
    assert [(row["label"], row["prediction"]) for row in rows] == expected
    assert metric_of(evaluated, testset, "animals")[1] == (35 if testset == "reference" else 24)


def test_all_classes_are_scored_as_before(run_model, learnt, testsets, evaluated):
    for testset in ("reference", "few", "animals"):
        theirs = run_model("evaluate_with_clip_benchmark", folder=learnt, testset=str(testsets[testset]))["value"]
        correct, n = metric_of(evaluated, testset, "all")
        assert theirs["acc1"] == correct / n


def test_a_shift_that_only_leaves_classes_out_has_one_accuracy(evaluated):
    assert metric_of(evaluated, "few", "few") == metric_of(evaluated, "few", "all")


@pytest.mark.parametrize(
    ("mapped", "names", "words"),
    [
        ({}, ["cat", "ghost"], ["ghost: ghost is none of the reference's 4 classes", "testsets.*.classes"]),
        ({}, ["cat", "missile"], ["missile is the name of several (1, 3)", "by label"]),
        ({"cat": ["7"]}, ["cat"], ["cat: 7 is none"]),
        ({"dog": ["cat"]}, ["cat"], ["dog: no such class in the shift's classnames.txt"]),
        ({"dog": ["cat"]}, ["cat", "dog"], ["cat (label 0) of the reference stands for cat and for dog"]),
        ({"dog": ["missile"]}, ["dog"], ["dog: missile is the name of several"]),
    ],
)
def test_classes_that_do_not_match_are_named(mapped, names, words):
    with pytest.raises(ClassesError) as caught:
        match_classes(names, ["cat", "missile", "tree", "missile"], mapped)
    assert all(word in str(caught.value) for word in words)


def test_a_map_tells_equal_names_apart():
    assert match_classes(["missile", "cat"], ["cat", "missile", "tree", "missile"], {"missile": ["3"]}) == [[3], [0]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["cannot be read", "Correct the path"]),
        ("", ["must have the columns class,reference"]),
        ("name,label\ncat,1\n", ["must have the columns class,reference", "name"]),
        ("class,reference\ncat\n", ["['cat'] is not a class and a class of the reference"]),
        ("class,reference\ncat,\n", ["is not a class and a class"]),
        ("class,reference\ncat,1\ncat,1\n", ["cat has 1 twice"]),
    ],
)
def test_a_file_that_is_no_map_is_named(tmp_path, content, words):
    path = tmp_path / "map.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ClassesError) as caught:
        read_class_map(path)
    assert all(word in str(caught.value) for word in [f"{path}: ", *words])


def test_a_map_is_checked_against_test_sets_that_are_there(tmp_path):
    for name, lines in {"map.csv": ["class,reference", "dog,cat"], "own": ["dgo"], "reference": ["cat"]}.items():
        (tmp_path / name).write_text("\n".join(lines))
    check_class_map(tmp_path / "map.csv", tmp_path / "own", tmp_path / "later")
    with pytest.raises(ClassesError, match=f"{tmp_path}/map.csv: dog: no such class"):
        check_class_map(tmp_path / "map.csv", tmp_path / "own", tmp_path / "reference")


def test_a_map_that_does_not_fit_is_an_error_and_missing_names_are_not(tmp_path, caplog):
    (tmp_path / "map.csv").write_text("class,reference\ndog,wolf\n")
    names = {"reference": ["cat", "tree", "mug"], "shift": ["dog", "cat"]}
    assert find_subsets(names, "reference", {}) == []
    assert "shift: reference is not scored over its classes. dog: dog is none" in caplog.text
    with pytest.raises(ClassesError, match=r"testsets.shift.classes: .*map.csv: dog: wolf is none"):
        find_subsets(names, "reference", {"shift": tmp_path / "map.csv"})


def test_the_map_of_objectnet_is_the_testbeds(imagenet):
    """113 classes for 125 of ImageNet's, 50 images each: the testbed's setting val-on-objectnet-classes has 6,250."""
    mapped = read_class_map(ROOT / "resources" / "objectnet_classes.csv")
    groups = dict(zip(mapped, match_classes(list(mapped), imagenet, mapped), strict=True))
    labels = {label for group in groups.values() for label in group}
    assert (len(groups), len(labels)) == (113, 125)
    assert groups["chair"] == [423, 559, 765]
    assert groups["sunglasses"] == [837]
    assert groups["alarm clock"] == [409, 530]


def test_imagenet_r_and_a_are_found_by_name(imagenet):
    """The testbed's lists begin and end so; missile is the one name of ImageNet-R that ImageNet has twice."""
    mapped = read_class_map(ROOT / "resources" / "imagenet-r_classes.csv")
    some = [1, 2, 4, 637, 657, 658, 983, 988]
    names = [imagenet[label] for label in some]
    assert match_classes(names, imagenet, mapped) == [[label] for label in some]
    with pytest.raises(ClassesError, match=r"missile is the name of several \(657, 744\)"):
        match_classes(names, imagenet, {})


@pytest.mark.parametrize("testset", ["mini_imagenet", "texts"])
def test_only_a_shift_has_a_map(testset):
    texts = {"path": "x", "task": "retrieval"}
    with pytest.raises(ExperimentError, match=rf"testsets\.{testset}\.classes: {testset} is the reference or has"):
        load(changed(testsets__texts=texts, **{f"testsets__{testset}__classes": "map.csv"}))
