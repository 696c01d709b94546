"""Test sets of the user: a mistake in their files is an error before any work, and the recipe of the documentation runs."""

import io
import tarfile

import numpy as np
import pytest

from pages import ROOT, blocks
from small_testsets import drawn
from testbed.evaluation import tasks
from testbed.evaluation.tasks import TestsetError as SetError
from testbed.evaluation.tasks import check_classes, check_testset
from testbed.evaluation.testsets import parse_target, read_samples, shards_of
from testbed.experiment.errors import ExperimentError
from testbed.records.files import add_member

TEMPLATES = "zeroshot_classification_templates.txt"


def write_labels(folder, shard, *labels):
    with tarfile.open(folder / f"test/{shard}.tar", "w") as archive:
        for number, label in enumerate(labels):
            add_member(archive, f"s{number}.cls", label)
            add_member(archive, f"s{number}.png", b"image")


@pytest.fixture
def testset(tmp_path):
    (tmp_path / "test").mkdir()
    for shard in (0, 1):
        write_labels(tmp_path, shard, b"0", b"1\n")
    (tmp_path / "classnames.txt").write_text("cat\ndog\n")
    (tmp_path / TEMPLATES).write_text("a photo of a {c}\n{c}, like a {c} {{sic}}\n")
    (tmp_path / "test/nshards.txt").write_text("2\n")
    check_testset("mine", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["classnames.txt", TEMPLATES, "test/nshards.txt", "test/0.tar", "test/1.tar"],
)
def test_a_missing_file_of_a_test_set_is_named(testset, name):
    (testset / name).unlink()
    with pytest.raises(ExperimentError, match=f"testsets.mine.path: {testset}/{name} is missing"):
        check_testset("mine", testset)


@pytest.mark.parametrize("text", ["", "two", "0", "-1"])
def test_a_test_set_says_how_many_shards_it_has(testset, text):
    (testset / "test/nshards.txt").write_text(text)
    with pytest.raises(ExperimentError, match=r"testsets\.mine\.path: .*nshards.txt says"):
        check_testset("mine", testset)


def test_a_test_set_without_a_folder_is_named(tmp_path):
    with pytest.raises(ExperimentError, match=f"testsets.mine.path: {tmp_path}/none is not a folder"):
        check_testset("mine", tmp_path / "none")


@pytest.mark.parametrize(
    "template",
    ["a photo", "a photo of a {}", "a {c} and {d}", "a {c} and {}", "a {0}", "a {c", "a c}", "{{c}}", "{c.name}"],
)
def test_a_template_without_the_class_name_is_an_error(testset, template):
    (testset / TEMPLATES).write_text(f"a photo of a {{c}}\n{template}\n")
    with pytest.raises(ExperimentError) as error:
        check_testset("mine", testset)
    start = f"testsets.mine.path: {testset}/{TEMPLATES}, line 2: {template!r} is not a template. Write {{c}} where"
    assert str(error.value).startswith(start)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("classnames.txt", b"", "classnames.txt: is empty"),
        (TEMPLATES, b"", f"{TEMPLATES}: is empty"),
        ("classnames.txt", b"cat\n\ndog\n", "classnames.txt, line 2: is empty"),
        (TEMPLATES, b"a {c}\n \n", f"{TEMPLATES}, line 2: is empty"),
        ("classnames.txt", b"chat\nch\xe2teau\n", "classnames.txt: is not UTF-8"),
    ],
)
def test_class_names_and_templates_are_lines_of_text(testset, name, content, words):
    (testset / name).write_bytes(content)
    with pytest.raises(ExperimentError, match=f"testsets.mine.path: {testset}/{words}"):
        check_testset("mine", testset)


@pytest.mark.parametrize("label", ["2", "-1", "cat", "", "1.0"])
def test_a_wrong_label_is_an_error(testset, label):
    write_labels(testset, 0, b"1", label.encode())
    with pytest.raises(ExperimentError) as error:
        check_testset("mine", testset)
    start = f"testsets.mine.path: {testset}/test/0.tar: s1.cls: has {label!r}, which is not a label from 0 to 1."
    assert str(error.value).startswith(start) and "classnames.txt, which has 2 names" in str(error.value)


def test_only_the_first_labels_are_read_before_any_work(testset, monkeypatch):
    write_labels(testset, 0, b"0", b"1", b"2")
    monkeypatch.setattr(tasks, "FIRST_LABELS", 2)
    check_testset("mine", testset)


@pytest.mark.parametrize(("content", "words"), [(None, "has no .cls file"), (b"no tar" * 200, "cannot be read")])
def test_a_first_shard_without_labels_is_an_error(testset, content, words):
    write_labels(testset, 0)
    if content:
        (testset / "test/0.tar").write_bytes(content)
    with pytest.raises(ExperimentError, match=f"testsets.mine.path: {testset}/test/0.tar: {words}"):
        check_testset("mine", testset)


def test_labels_of_other_tasks_are_checked():
    file = io.BytesIO()
    np.save(file, np.array([0, 1]))
    assert parse_target(file.getvalue(), "multilabel", "0.tar: s0.npy", 2) == [0, 1]
    with pytest.raises(SetError, match=r"0.tar: s0.npy: has 2 labels, and classnames.txt has 3 names"):
        parse_target(file.getvalue(), "multilabel", "0.tar: s0.npy", 3)
    with pytest.raises(SetError, match=r"0.tar: s0.npy: cannot be read"):
        parse_target(b"0 1", "multilabel", "0.tar: s0.npy", 2)
    with pytest.raises(SetError, match=r"0.tar: s0.txt: cannot be read .*utf-8"):
        parse_target(b"\xff", "retrieval", "0.tar: s0.txt", 0)


def test_the_documented_recipe_makes_a_test_set(tmp_path, monkeypatch):
    """Only the first and the third class of ImageNet have images here, but all have folders."""
    (recipe,) = blocks(ROOT / "docs/local.md", "python")
    monkeypatch.chdir(tmp_path)
    images = {
        "n01440764": ["ILSVRC2012_val_00000293", "ILSVRC2012_val_00002138"],
        "n01484850": ["ILSVRC2012_val_00002752"],
    }
    first = ["n01440764", "n01443537", "n01484850"]
    for number in range(1000):
        folder = tmp_path / "val" / (first[number] if number < len(first) else f"n{90000000 + number}")
        folder.mkdir(parents=True)
        for image in images.get(folder.name, []):
            (folder / f"{image}.JPEG").write_bytes(drawn("cat", 0))
    exec(compile(recipe, "docs/local.md", "exec"), {})
    folder = tmp_path / "data/imagenet_val"
    check_testset("mine", folder)
    assert check_classes(folder) == 1000
    assert (folder / "classnames.txt").read_text().splitlines()[:3] == ["tench", "goldfish", "great white shark"]
    samples = [sample for shard in shards_of(folder) for sample in read_samples(shard, "classification")]
    assert [(key, label) for key, _, label in samples] == [
        ("n01440764/ILSVRC2012_val_00000293", b"0"),
        ("n01440764/ILSVRC2012_val_00002138", b"0"),
        ("n01484850/ILSVRC2012_val_00002752", b"2"),
    ]
    assert {image for _, image, _ in samples} == {drawn("cat", 0)}
