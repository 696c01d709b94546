"""CLIP scores: open_clip's own similarities, whatever the batches; a killed job goes on where it was."""

import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from experiments import ROOT
from filter_tables import table_of, write_pool
from small_testsets import write_testset
from testbed.filtering.embeddings import Nearest, embeddings_of
from testbed.miniweb.scenes import draw
from testbed.miniweb.world import CLASSES
from testbed.records.manifest import read_json
from testbed.records.parts import read_parts

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "tests" / "support" / "score_runs.py"
PAIRS, SHARD = 40, 9


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """A pool of images of the mini-web whose captions are right for every other, in five parts."""
    images, captions = [], []
    for number in range(PAIRS):
        file, label = io.BytesIO(), CLASSES[number % len(CLASSES)].name
        draw(label, "photo", number, 40).save(file, "JPEG")
        images.append(file.getvalue())
        captions.append(f"a photo of a {label if number % 2 else CLASSES[-1 - number % len(CLASSES)].name}")
    folder = tmp_path_factory.mktemp("pool")
    return write_pool(folder, captions, SHARD, images)


@pytest.fixture(scope="module")
def run(pool, model, scripts_environment):
    """A function that runs score_runs.py; returns the exit status and what it said."""

    def run(**asked) -> tuple[int, object]:
        asked = {"samples": pool, "shards": pool.parent / "shards", "teacher": model} | asked
        if "folder" in asked:
            asked = {"device": "cpu", "batch_size": 16, "workers": 1} | asked
        command = [sys.executable, SCRIPT, json.dumps(asked, default=str)]
        done = subprocess.run(command, env=scripts_environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        return done.returncode, json.loads(done.stdout or "null")

    return run


def images_of(shards: Path) -> dict[str, bytes]:
    """By uid, the images in the shards of a folder."""
    found = {}
    for shard in sorted(shards.glob("*.tar")):
        with tarfile.open(shard) as archive:
            for member in archive:
                if member.name.endswith(".jpg"):
                    found[member.name.removesuffix(".jpg")] = archive.extractfile(member).read()
    return found


def bytes_of(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("[0-9]*.parquet"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def scores(run, tmp_path_factory):
    """The scores of an undisturbed job."""
    folder = tmp_path_factory.mktemp("scores")
    assert run(folder=folder) == (0, [9, 9, 9, 9, 4])
    return folder


@pytest.fixture(scope="module")
def own(run):
    """open_clip's own similarities, of pairs and of images with "a photo of a ..." of each class."""
    status, found = run(own=[f"a photo of a {entry.name}" for entry in CLASSES])
    assert status == 0
    return {name: np.array(values) for name, values in found.items()}


def test_scores_are_open_clips_own_similarities(own, scores):
    found = table_of(scores)["clip_score"].to_numpy()
    assert found.shape == own["pairs"].shape == (PAIRS,)
    assert np.abs(found - own["pairs"]).max() < 1e-5
    # Unequal pairs: with all of them alike, any order would do.
    assert np.std(found) > 0.01


def test_other_batches_and_threads_give_the_same_scores(run, scores, tmp_path):
    assert run(folder=tmp_path / "other", batch_size=5, workers=3)[0] == 0
    other = table_of(tmp_path / "other")["clip_score"].to_numpy()
    assert np.abs(table_of(scores)["clip_score"].to_numpy() - other).max() < 1e-5


@pytest.fixture(scope="module")
def coarse(run, tmp_path_factory):
    """The scores of the same pairs, computed in bfloat16."""
    folder = tmp_path_factory.mktemp("coarse")
    assert run(folder=folder, precision="bf16")[0] == 0
    return folder


def test_bfloat16_moves_scores_by_less_than_it_rounds(scores, coarse):
    exact, moved = (table_of(folder)["clip_score"].to_numpy() for folder in (scores, coarse))
    # Two steps of bfloat16, which has 8 bits, for a similarity near 1.
    assert 1e-5 < np.abs(moved - exact).max() < 2 / 256
    # Only embeddings are rounded: scores of three digits would often be equal, and a fraction of them not what was asked.
    assert len(set(moved)) == len(set(exact))
    assert read_json(scores / "manifest.json")["precision"] == "fp32"
    assert read_json(coarse / "manifest.json")["precision"] == "bf16"


def test_another_precision_scores_again_and_the_same_one_does_not(run, scores, coarse, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(scores, folder)
    assert run(folder=folder) == (0, [])
    assert run(folder=folder, precision="bf16") == (0, [9, 9, 9, 9, 4])
    assert run(folder=folder, precision="bf16") == (0, [])
    assert bytes_of(folder) == bytes_of(coarse)


def test_a_killed_job_scores_no_finished_part_again(run, scores, tmp_path):
    folder = tmp_path / "killed"
    assert run(folder=folder, die_in=2)[0] == -signal.SIGKILL
    assert len(list(folder.glob("[0-9]*.json"))) == 2 and not (folder / "manifest.json").exists()
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    assert run(folder=folder) == (0, [9, 9, 4])
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert bytes_of(folder) == bytes_of(scores)
    assert (folder / "manifest.json").read_bytes() == (scores / "manifest.json").read_bytes()


def test_the_class_of_an_image_is_the_one_most_like_it(run, own, tmp_path):
    """Of two classes between which the images are divided, because a model that is hardly trained takes all for one."""
    nearer = own["classes"][:, :, None] > own["classes"][:, None, :]
    first, second = np.unravel_index(np.argmin(np.abs(nearer.mean(axis=0) - 0.5)), nearer.shape[1:])
    reference, folder = tmp_path / "reference", tmp_path / "classes"
    reference.mkdir()
    names = [CLASSES[first].name, CLASSES[second].name]
    (reference / "classnames.txt").write_text("\n".join(names))
    (reference / "zeroshot_classification_templates.txt").write_text("a photo of a {c}\n")
    assert run(folder=folder, reference=reference)[0] == 0
    wanted = [names[0] if is_first else names[1] for is_first in nearer[:, first, second]]
    assert len(set(wanted)) == 2
    assert table_of(folder)["reference_class"].to_pylist() == wanted


def test_embeddings_are_those_of_open_clip_of_a_pool_and_of_a_test_set(run, pool, own, tmp_path):
    """The images of the pool are those of the test set, too, so each is the nearest to itself."""
    labelled = [(jpeg, b"0") for _, jpeg in sorted(images_of(pool.parent / "shards").items())]
    testset = write_testset(tmp_path / "testset", "classification", labelled)
    assert run(testset=testset, embedded=tmp_path / "made") == (0, "embedded")
    tables = {name: table_of(tmp_path / "made" / name) for name in ("images", "testset")}
    found = {name: embeddings_of(table) for name, table in tables.items()}
    assert np.abs(found["images"] - own["images"]).max() < 1e-3
    uids = tables["images"]["uid"].to_pylist()
    assert uids == [uid for table in read_parts(pool, ["uid"]) for uid in table["uid"].to_pylist()]
    order = np.argsort(uids)
    assert np.abs(found["testset"] - own["images"][order]).max() < 1e-3
    nearest = Nearest(found["testset"])
    nearest.add(tables["images"])
    assert nearest.uid.tolist() == sorted(uids)
    assert np.abs(nearest.similarity - 1).max() < 1e-5


def test_the_manifest_has_the_histogram_of_all_scores(scores):
    manifest, found = read_json(scores / "manifest.json"), table_of(scores)["clip_score"].to_numpy()
    counts = np.histogram(found, 400, (-1, 1))[0]
    assert manifest["samples"] == sum(manifest["histogram"]) == PAIRS
    assert manifest["histogram"] == counts.tolist()
