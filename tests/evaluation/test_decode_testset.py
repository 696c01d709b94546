"""Decoded test sets hold the pictures that a model's own transform gives, whatever the number of processes."""

import io
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import open_clip
import pytest
from PIL import Image
from pyarrow import parquet

from decode_testset import preprocessing_of
from small_testsets import drawn, write_classification, write_testset
from testbed.evaluation.tasks import TestsetError as SetError
from testbed.evaluation.tasks import task_of
from testbed.evaluation.testsets import open_decoded, read_samples
from testbed.miniweb.scenes import draw
from testbed.miniweb.testsets import make_testset
from testbed.miniweb.world import CLASSES
from testbed.records.files import add_member
from testbed.records.manifest import problem, read_json

IMAGES = 30


@pytest.fixture(scope="module")
def testset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("testset")
    make_testset("imagenet", IMAGES, 0, folder)
    return folder


@pytest.fixture
def decode(run_model, model, tmp_path):
    """A function that decodes a test set for the trained model: the answer, and the folder of the decoded images."""

    def decode(testset, **more):
        folder = tmp_path / f"decoded{len(list(tmp_path.iterdir()))}"
        return run_model("decode", testset=testset, model=model, folder=folder, **more), folder

    return decode


def test_pictures_are_those_of_the_models_transform(model, testset, decode):
    answer, folder = decode(testset)
    decoded = open_decoded(folder)
    assert (answer["value"]["images"], decoded.task) == (IMAGES, "classification")
    assert decoded.preprocessing == preprocessing_of(str(model))
    transform = open_clip.create_model_and_transforms(f"local-dir:{model}")[2]
    *_, to_numbers, normalise = transform.transforms
    samples = [
        sample for shard in sorted((testset / "test").glob("*.tar")) for sample in read_samples(shard, decoded.task)
    ]
    assert decoded.keys == [key for key, _, _ in samples]
    assert decoded.targets == [int(label) for _, _, label in samples]
    assert len(decoded.images) == len(samples)
    for (_, content, _), pixels in zip(samples, decoded.images, strict=True):
        with Image.open(io.BytesIO(content)) as image:
            wanted = transform(image)
        assert normalise(to_numbers(Image.fromarray(pixels))).equal(wanted)


def test_colours_of_a_palette_are_resized_and_not_their_numbers(model, decode, tmp_path):
    """As in CLIP_benchmark, whose reader of images gives RGB."""
    file = io.BytesIO()
    draw("cat", "photo", 1, 96).convert("P", palette=Image.Palette.ADAPTIVE).save(file, "PNG")
    testset = write_classification(tmp_path / "palette", ["cat"], [0])
    shutil.rmtree(testset / "test")
    write_testset(tmp_path / "images", "classification", [(file.getvalue(), b"0")])
    (tmp_path / "images" / "test").rename(testset / "test")
    _, folder = decode(testset)
    wanted = preprocessing_of(str(model))(Image.open(file).convert("RGB"))
    assert (open_decoded(folder).images[0] == np.asarray(wanted)).all()


def test_decoding_needs_no_torch(model, testset, scripts_environment, tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom decode_testset import decode_testset, preprocessing_of\n"
        "testset, model, folder = sys.argv[1:]\n"
        "decode_testset(Path(testset), 'classification', preprocessing_of(model), Path(folder), 0)\n"
        "print(sorted({'pyarrow', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, testset, model, tmp_path]
    assert subprocess.run(command, env=scripts_environment, capture_output=True, text=True).stdout == "['pyarrow']\n"


def test_processes_change_no_byte(testset, decode):
    first, second = (decode(testset, workers=workers)[0]["value"] for workers in (0, 3))
    assert first["files"] == second["files"]


def test_the_manifest_records_what_is_there(testset, decode):
    answer, folder = decode(testset)
    assert [problem(folder, file) for file in answer["value"]["files"]] == [None, None]
    assert sorted(path.name for path in folder.iterdir()) == ["images.npy", "manifest.json", "samples.parquet"]
    assert read_json(folder / "manifest.json") == answer["value"]
    assert parquet.read_table(folder / "samples.parquet").column_names == ["key", "answer"]


def test_a_changed_file_is_refused(testset, decode):
    _, folder = decode(testset)
    with open(folder / "images.npy", "ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"images.npy: has .* to have it decoded again"):
        open_decoded(folder)


def broken(testset, folder, name, content):
    """A copy of a test set with one more file at the end of its last shard."""
    shutil.copytree(testset, folder)
    last = sorted((folder / "test").glob("*.tar"))[-1]
    with tarfile.open(last, "a") as archive:
        add_member(archive, name, content)
        add_member(archive, name.rpartition(".")[0] + ".cls", b"0")
    return folder


def test_an_image_that_cannot_be_decoded_is_named(testset, decode, tmp_path):
    answer, folder = decode(broken(testset, tmp_path / "broken", "x9.jpg", b"no image"))
    assert answer["error"] == "TestsetError"
    assert "image x9 cannot be decoded" in answer["message"]
    assert not (folder / "images.npy").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_label_without_a_class_name_is_named(testset, decode, tmp_path, workers):
    folder = shutil.copytree(testset, tmp_path / "copy")
    with tarfile.open(folder / "test/1.tar", "a") as archive:
        add_member(archive, "x9.png", drawn("cat", 0))
        add_member(archive, "x9.cls", str(len(CLASSES)).encode())
    answer, _ = decode(folder, workers=workers)
    assert answer["error"] == "TestsetError"
    assert f"test/1.tar: x9.cls: has '{len(CLASSES)}', which is not a label from 0 to" in answer["message"]


def test_a_template_without_the_class_name_is_named(testset, decode, tmp_path):
    folder = shutil.copytree(testset, tmp_path / "copy")
    (folder / "zeroshot_classification_templates.txt").write_text("a photo of a {}\n")
    answer, _ = decode(folder)
    assert answer["error"] == "TestsetError"
    assert "templates.txt, line 1: 'a photo of a {}' is not a template" in answer["message"]


def test_a_sample_without_an_answer_is_named(testset, tmp_path):
    folder = shutil.copytree(testset, tmp_path / "copy")
    shard = folder / "test" / "0.tar"
    with tarfile.open(shard, "a") as archive:
        add_member(archive, "x9.jpg", b"image")
    with pytest.raises(SetError, match=r"0.tar: sample x9 has jpg, and not an image and its .cls"):
        list(read_samples(shard, "classification"))


def test_a_cut_shard_is_named(testset, decode, tmp_path):
    folder = shutil.copytree(testset, tmp_path / "copy")
    shard = folder / "test" / "0.tar"
    shard.write_bytes(shard.read_bytes()[:-20_000])
    answer, _ = decode(folder)
    assert answer["error"] == "TestsetError"
    assert "0.tar: cannot be read" in answer["message"]


def test_another_task_than_the_experiments_is_an_error(testset, decode):
    answer, _ = decode(testset, task="retrieval")
    assert answer["error"] == "TestsetError"
    assert "its task is classification by its dataset_type.txt, and retrieval in the experiment" in answer["message"]


def test_an_unknown_task_is_an_error(tmp_path):
    (tmp_path / "dataset_type.txt").write_bytes(b"captioning\xff")
    with pytest.raises(SetError, match="'captioning.' is none of classification, multilabel, retrieval"):
        task_of(tmp_path)
