"""Every kind of model goes the whole way, and gives what open_clip alone gives: trained, decoded for, evaluated, as a
teacher, in an ensemble; as a checkpoint file and as published weights from a stand-in for the Hub.

A kind is a folder or a name of open_clip. Its training has one step, because only the way counts here.
"""

import io
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from experiments import ROOT
from filter_tables import write_pool
from hub import serve_hub, write_siglip_tokenizer
from link_trainset import link_trainset
from mini_parts import write_shards
from processes import helper
from small_testsets import write_testset
from testbed.miniweb.scenes import draw
from testbed.miniweb.world import CLASSES
from testbed.models.networks import CONFIG_FILE, WEIGHTS_FILE
from testbed.records.manifest import read_json, write_json

pytestmark = pytest.mark.slow

NAMES = [entry.name for entry in CLASSES[:3]]
LABELS, SAMPLES, SCORED = [0, 2, 1], 4, 2
TEXTS = ["A Photo, of a Cat", "a photo of a cat", "photo " * 100]
SIGLIP, FOLDER = "ViT-B-16-SigLIP", "resources/architectures/mini_rn"

OPENAI = {"image_mean": (0.48145466, 0.4578275, 0.40821073), "image_std": (0.26862954, 0.26130258, 0.27577711)}
HALF = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5), "image_resize_mode": "squash"}
KINDS = {
    FOLDER: {"side": 32, "context": 16, "preprocessing": OPENAI},
    "RN50": {"side": 224, "context": 77, "preprocessing": OPENAI},
    "ViT-B-32": {"side": 224, "context": 77, "preprocessing": OPENAI},
    SIGLIP: {"side": 224, "context": 64, "preprocessing": HALF, "extra": {"siglip": True}},
}
TAGS = {"RN50-quickgelu": ("RN50", "openai", "timm/resnet50_clip.openai"), SIGLIP: (SIGLIP, "webli", f"timm/{SIGLIP}")}
"""Published weights: by model, the kind whose weights stand for them, their tag and their repository."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with serve_hub(tmp_path_factory.mktemp("hub")) as hub:
        write_siglip_tokenizer(hub.folder / "timm" / SIGLIP, f"a photo of the cat {' '.join(NAMES)}".split())
        yield hub


@pytest.fixture(scope="module")
def environment(hub, scripts_environment, tmp_path_factory):
    """An environment whose Hub is the stand-in, with a cache of its own that is empty at first."""
    return scripts_environment | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module")
def ask(environment):
    """A function that runs one of model_runs.py; returns its answer, which is an error where it gives one."""
    with helper("model_runs.py", environment) as ask:
        yield lambda name, /, **arguments: ask([name, arguments])


@pytest.fixture(scope="module")
def run(ask):
    """The same, for what has to succeed."""

    def run(name, /, **arguments):
        answer = ask(name, **arguments)
        assert "value" in answer, answer
        return answer["value"]

    return run


def picture(number):
    """An image file that is wider than high, of which resizing and cropping make different pictures."""
    file = io.BytesIO()
    draw(NAMES[number % 3], "photo", number, 96).crop((0, 16, 96, 80)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Samples as a trainset and as a pool to score, and a test set of three classes."""
    folder = tmp_path_factory.mktemp("data")
    captions = [f"A Photo, of a {NAMES[number % 3]}!" for number in range(SAMPLES)]
    images = [picture(number) for number in range(SAMPLES)]
    samples = [
        {"jpg": image, "json": b"{}", "txt": caption.encode()} for image, caption in zip(images, captions, strict=True)
    ]
    write_shards(folder / "shards", "mine", samples, SAMPLES)
    (folder / "trainset").mkdir()
    manifest = link_trainset({"mine": SAMPLES}, {"mine": folder / "shards"}, folder / "trainset")
    write_json(folder / "trainset" / "manifest.json", manifest)
    answers = [(picture(label), str(label).encode()) for label in LABELS]
    testset = write_testset(folder / "testset", "classification", answers)
    (testset / "classnames.txt").write_text("\n".join(NAMES) + "\n")
    # Few, because text towers take most of the time.
    (testset / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\na sketch of a {c}.\n")
    pool = write_pool(folder / "pool", captions[:SCORED], 1, images[:SCORED])
    shown = {"testset": testset, "samples": pool, "shards": pool.parent / "shards"}
    return {"trainset": folder / "trainset", "shown": shown}


@pytest.fixture(scope="module")
def recipe(architecture):
    """A function from a kind to an architecture of the experiment."""

    def recipe(kind, **changes):
        extra = KINDS[kind].get("extra", {})
        options = {"model": kind, "batch_size": 4, "epochs": 1, "learning_rate": 1e-4, "extra": extra}
        return architecture | options | changes

    return recipe


@pytest.fixture(scope="module")
def tokenizer(ask, recipe, data, environment, tmp_path_factory):
    """The tokenizer of SigLIP, fetched by the command that a training without it names; the training's message."""
    folder = tmp_path_factory.mktemp("without")
    answer = ask("train", architecture=recipe(SIGLIP), trainset=data["trainset"], seed=0, folder=folder)
    assert answer["error"] == "NetworkError" and not (folder / WEIGHTS_FILE).exists()
    command = re.search(r"uv run python (-c \".*?\")", answer["message"])[1]
    subprocess.run([sys.executable, *shlex.split(command)], env=environment, cwd=ROOT, check=True)
    return answer["message"]


@pytest.fixture(scope="module")
def make(request, run, recipe, data, hub, tmp_path_factory):
    """A function that trains a model of a kind, once, and decodes the test set for it; the folder of both."""
    folders = {}

    def make(kind):
        if kind not in folders:
            if kind == SIGLIP:
                request.getfixturevalue("tokenizer")
            asked, folder = len(hub.asked), tmp_path_factory.mktemp("model")
            train = {"architecture": recipe(kind), "trainset": data["trainset"], "seed": 0}
            assert run("train", **train, folder=folder / "trained")["samples_seen"] == SAMPLES
            run("decode", testset=data["shown"]["testset"], model=kind, folder=folder / "decoded")
            assert hub.asked[asked:] == []
            folders[kind] = folder
        return folders[kind]

    yield make
    for folder in folders.values():
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=KINDS)
def answered(request, run, make, data, hub):
    """Of each kind its folder, what the rules compute with it, and what open_clip alone does."""
    kind = request.param
    folder = make(kind)
    asked = len(hub.asked)
    own = run("answer_as_rules", folder=folder / "trained", decoded=folder / "decoded", **data["shown"], texts=TEXTS)
    assert hub.asked[asked:] == []
    # open_clip takes its default for a name without a tag, and would take it for SigLIP's too.
    options = {"pretrained": str(folder / "trained" / WEIGHTS_FILE), **KINDS[kind]["preprocessing"]}
    name, options = (f"local-dir:{folder / 'trained'}", {}) if kind == FOLDER else (kind, options)
    return kind, folder, own, run("answer_with_open_clip", name=name, **data["shown"], **options)


def test_sizes_and_tokens_are_the_networks(answered):
    kind, folder, own, _ = answered
    side, tokens = KINDS[kind]["side"], own["tokens"]
    assert np.load(folder / "decoded" / "images.npy", mmap_mode="r").shape == (len(LABELS), side, side, 3)
    assert {len(row) for row in tokens} == {KINDS[kind]["context"]}
    plain = [token for token in tokens[1] if token not in (0, 1)]
    if kind == SIGLIP:
        # Without capitals and punctuation, and filled up with the token that ends a text.
        assert tokens[0] == tokens[1] and tokens[1] == plain + [1] * (64 - len(plain))
        assert tokens[2][-1] == 1 and 1 not in tokens[2][:-1]
    elif kind != FOLDER:
        assert plain == [49406, 320, 1125, 539, 320, 2368, 49407] and tokens[2][-1] == 49407
        assert 267 in tokens[0], "the comma is a token of its own"


def test_evaluations_are_open_clips(answered):
    _, _, own, theirs = answered
    np.testing.assert_allclose(own["logits"], theirs["logits"], atol=2e-3)
    best = np.argmax(theirs["logits"], axis=1)
    assert own["table"]["prediction"] == best.tolist() and own["table"]["label"] == theirs["labels"] == LABELS
    assert own["rows"][0]["metric"] == "top1" and own["rows"][0]["value"] == (best == LABELS).mean()


def test_scores_are_open_clips(answered):
    _, _, own, theirs = answered
    assert len(own["scores"]) == SCORED
    np.testing.assert_allclose(own["scores"], theirs["scores"], atol=2e-5)


def test_an_ensemble_averages_cosines(answered, run, data):
    """Whatever scales and biases of logits its members have."""
    _, folder, own, _ = answered
    run("copy_changed", folder=folder / "trained", target=folder / "other")
    other = run("logits_with_open_clip", folder=folder / "other", testset=data["shown"]["testset"], names=NAMES)[
        "logits"
    ]
    shares = {str(folder / "trained"): 0.25, str(folder / "other"): 0.75}
    average = run("answer_as_rules", folder=shares, testset=data["shown"]["testset"], decoded=folder / "decoded")
    assert np.abs(np.subtract(own["logits"], other)).max() > 0.1
    np.testing.assert_allclose(average["logits"], 0.25 * np.array(own["logits"]) + 0.75 * np.array(other), atol=2e-3)
    shutil.rmtree(folder / "other")


def test_a_checkpoint_file_is_the_model(answered, run, ask, hub):
    kind, folder, _, _ = answered
    asked, trained, again = len(hub.asked), folder / "trained", folder / "again"
    run("retrieve", model=kind, checkpoint=trained / WEIGHTS_FILE, folder=again)
    assert hub.asked[asked:] == []
    files = {file["name"]: file["sha256"] for file in read_json(again / "manifest.json")["files"]}
    of_training = {file["name"]: file["sha256"] for file in read_json(trained / "manifest.json")["files"]}
    assert files.keys() == of_training.keys()
    assert {name for name in files if files[name] != of_training[name]} <= {CONFIG_FILE}
    preprocessing = read_json(again / CONFIG_FILE)["preprocess_cfg"]
    assert preprocessing["mean"] == list(KINDS[kind]["preprocessing"]["image_mean"])
    assert preprocessing["std"] == list(KINDS[kind]["preprocessing"]["image_std"])
    shutil.rmtree(again)


def test_ensembles_have_one_kind_of_models(make, ask):
    folders = {str(make(kind) / "trained"): 0.5 for kind in (FOLDER, "RN50")}
    answer = ask("evaluate", folder=folders, testsets={})
    assert answer["error"] == "EvaluationError" and "cannot be averaged" in answer["message"]


@pytest.mark.parametrize("model", TAGS)
def test_published_weights_are_open_clips(model, run, make, data, hub, tmp_path):
    kind, tag, repository = TAGS[model]
    run("publish_halves", folder=make(kind) / "trained", path=hub.folder / repository / WEIGHTS_FILE)
    run("retrieve", model=model, tag=tag, folder=tmp_path / "model")
    preprocessing = read_json(tmp_path / "model" / CONFIG_FILE)["preprocess_cfg"]
    assert preprocessing["mean"] == list(KINDS[kind]["preprocessing"]["image_mean"])
    assert preprocessing["resize_mode"] == ("squash" if kind == SIGLIP else "shortest")
    run("decode", testset=data["shown"]["testset"], model=model, tag=tag, folder=tmp_path / "decoded")
    own = run("answer_as_rules", folder=tmp_path / "model", decoded=tmp_path / "decoded", **data["shown"])
    theirs = run("answer_with_open_clip", name=model, pretrained=tag, **data["shown"])
    np.testing.assert_allclose(own["logits"], theirs["logits"], atol=2e-3)
    np.testing.assert_allclose(own["scores"], theirs["scores"], atol=2e-5)
    shutil.rmtree(tmp_path / "model")


def test_a_tokenizer_that_is_not_at_hand_is_named(tokenizer, environment):
    assert f"{SIGLIP} takes its tokenizer from timm/{SIGLIP} on the Hugging Face Hub" in tokenizer
    assert f"{environment['HF_HOME']}/hub" in tokenizer


def test_a_model_that_begins_with_weights_of_another_is_refused(ask, recipe, data, tmp_path):
    architecture = recipe(FOLDER, model="roberta-ViT-B-32")
    answer = ask("train", architecture=architecture, trainset=data["trainset"], seed=0, folder=tmp_path)
    for words in ("text tower of roberta-base", "start from random weights"):
        assert words in answer.get("message", ""), answer


def test_any_network_can_have_either_loss(run, recipe, data, tmp_path):
    """With SigLIP's, its logits have a bias, and a network that has one can be trained with CLIP's too."""
    train = {"trainset": data["trainset"], "seed": 0}
    run("train", architecture=recipe(FOLDER, extra={"siglip": True}), **train, folder=tmp_path / "siglip")
    assert "logit_bias" in run("weights_of", folder=tmp_path / "siglip")
    run("train", architecture=recipe(FOLDER, model=str(tmp_path / "siglip")), **train, folder=tmp_path / "clip")
    assert run("weights_of", folder=tmp_path / "clip")["logit_bias"] == pytest.approx([-10.0], abs=1e-3)


def test_weights_that_cannot_be_fetched_are_an_error(ask, tmp_path):
    answer = ask("retrieve", model="ViT-B-32", tag="laion2b_s34b_b79k", folder=tmp_path)
    assert answer["error"] == "PretrainedError" and not list(tmp_path.iterdir())
    for words in ("laion2b_s34b_b79k of ViT-B-32 cannot be loaded", "HF_HOME", "open_clip.create_model('ViT-B-32'"):
        assert words in answer["message"]
