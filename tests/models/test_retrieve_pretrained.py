"""Published checkpoints become folders that are evaluated like those of trained models."""

import json

import pytest

from testbed.miniweb.testsets import make_testset
from testbed.models.networks import CONFIG_FILE, WEIGHTS_FILE
from testbed.records.manifest import problem, read_json


@pytest.fixture(scope="module")
def decoded(run_model, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("testset")
    make_testset("imagenet", 40, 0, folder)
    target = tmp_path_factory.mktemp("decoded")
    run_model("decode", testset=folder, model=model, folder=target)
    return [folder, target]


def test_a_checkpoint_of_ones_own_is_the_model(run_model, model, architecture, decoded, tmp_path):
    checkpoint = model / WEIGHTS_FILE
    folder = tmp_path / "own"
    entry = run_model("retrieve", model=architecture["model"], checkpoint=checkpoint, folder=folder)["value"]
    assert entry["checkpoint"] == str(checkpoint)
    assert entry["sha256"] == next(
        file["sha256"] for file in read_json(model / "record.json")["files"] if file["name"] == WEIGHTS_FILE
    )
    assert [problem(folder, file) for file in entry["files"]] == [None, None]
    answers = [run_model("evaluate", folder=place, testsets={"mine": decoded})["value"] for place in (model, folder)]
    assert answers[0] == answers[1]
    assert answers[0][0][0]["metric"] == "top1"


def test_the_configuration_says_how_images_are_normalised(run_model, model, architecture, tmp_path):
    run_model("retrieve", model=architecture["model"], checkpoint=model / WEIGHTS_FILE, folder=tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    assert config["preprocess_cfg"]["mean"] == [0.48145466, 0.4578275, 0.40821073]
    assert config["preprocess_cfg"]["size"] in (32, [32, 32])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"model": "RN50", "tag": "openia"}, "open_clip has no openia of RN50; it has openai, "),
        (
            {"model": "RN50", "tag": "openai"},
            "openai was trained with another activation than RN50. Write RN50-quickgelu.",
        ),
        ({"model": "RN51", "tag": "openai"}, "open_clip has no openai of RN51; it has none of this model."),
        ({"checkpoint": "nowhere.pt"}, "nowhere.pt is not a checkpoint of "),
    ],
)
def test_what_is_no_checkpoint_is_an_error(run_model, architecture, tmp_path, entry, words):
    answer = run_model("retrieve", folder=tmp_path, **{"model": architecture["model"], **entry})
    assert answer["error"] == "PretrainedError"
    assert words in answer["message"]
    assert not (tmp_path / WEIGHTS_FILE).exists()


def test_weights_of_another_model_are_an_error(run_model, model, tmp_path):
    config = json.loads((model / CONFIG_FILE).read_text())
    config["model_cfg"]["embed_dim"] *= 2
    (tmp_path / "wider").mkdir()
    (tmp_path / "wider" / CONFIG_FILE).write_text(json.dumps(config))
    answer = run_model("retrieve", model=tmp_path / "wider", checkpoint=model / WEIGHTS_FILE, folder=tmp_path / "out")
    assert answer["error"] == "PretrainedError"
    assert "is not a checkpoint of" in answer["message"]
