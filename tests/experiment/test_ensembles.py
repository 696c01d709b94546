"""Ensembles: what the experiment allows, averages of logits and of weights, and on which test sets they are scored."""

import json
import math
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import softmax

from experiments import changed, load, small
from small_testsets import drawn, write_classification, write_testset
from testbed.evaluation.averages import averages_of
from testbed.evaluation.class_subsets import Subset
from testbed.experiment.errors import ExperimentError
from testbed.experiment.experiment import Model
from testbed.miniweb.world import CLASSES
from testbed.records.manifest import read_json, write_json

NAMES = [entry.name for entry in CLASSES]
FEW = NAMES[5:12]


def ensemble(average=None, **shares):
    return {"shares": shares} | ({"average": average} if average else {})


def experiment_of(ensembles, **changes):
    return load(small(ensembles=ensembles, **changes))


def test_members_are_the_models_of_equal_size_architecture_and_seed():
    experiment = experiment_of(
        {"both": ensemble(a=1, b=3)}, sizes=[100, 200, 400], sources__b__sizes=[400, 100], seeds=[0, 1]
    )
    assert experiment.models(["both"]) == [
        Model("both", "mini_rn", size, seed) for size in (100, 400) for seed in (0, 1)
    ]
    assert experiment.members("both") == {"a": 0.25, "b": 0.75}
    assert experiment.evaluated() == [*experiment.models(), *experiment.models(["both"])]
    assert {model.pool for model in experiment.models()} == {"a", "b"}


def test_sizes_of_an_ensemble_may_be_some_of_its_members():
    ensembles = {"both": ensemble(a=1, b=1) | {"sizes": [200]}}
    assert experiment_of(ensembles, sizes=[100, 200]).sizes("both") == [200]


def test_plots_know_ensembles_and_their_members():
    mixture = {"m": {"shares": {"a": 1, "b": 1}}}
    pools = experiment_of({"e": ensemble(m=1, a=3)}, mixtures=mixture).plotted_pools()
    assert [(pool["name"], pool["kind"]) for pool in pools[-2:]] == [("m", "mixture"), ("e", "ensemble")]
    assert pools[-1]["members"] == {"m": 0.25, "a": 0.75}


def test_a_mixture_finds_the_ensemble_of_its_shares():
    mixtures = {
        "m": {"shares": {"a": 1, "b": 2}},
        "other": {"shares": {"a": 0.3, "b": 0.7}},
        "third": {"shares": {"a": 1, "b": 1}},
    }
    ensembles = {
        "weights": ensemble("weights", a=1, b=2),
        "turned": ensemble(a=2, b=1),
        "logits": ensemble(b=0.5, a=0.25),
        "tenths": ensemble(a=3, b=7),
    }
    experiment = experiment_of(ensembles, mixtures=mixtures)
    assert [experiment.ensemble_of(name) for name in mixtures] == ["logits", "tenths", None]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ensembles__x": ensemble(who=1, mini_wit=1)}, ["ensembles.x.shares: who is not a pool", "mini_yfcc"]),
        (
            {"ensembles__x": ensemble(mini_wit=1)},
            ["ensembles.x.shares: has mini_wit, and must have at least 2 entries"],
        ),
        ({"ensembles__x": ensemble(mini_wit=1, mini_yfcc=0)}, ["ensembles.x.shares.mini_yfcc: 0"]),
        ({"ensembles__x": ensemble("votes", mini_wit=1, mini_yfcc=1)}, ["ensembles.x.average: 'votes'", "logits"]),
        (
            {"ensembles__mini_wit": ensemble(mini_wit=1, mini_yfcc=1)},
            ["is also the name of one of the sources", "another name"],
        ),
        (
            {"ensembles__mini_yfcc_laion": ensemble(mini_wit=1, mini_yfcc=1)},
            ["is also the name of one of the mixtures"],
        ),
        ({"ensembles__mini_rn": ensemble(mini_wit=1, mini_yfcc=1)}, ["is also the name of one of the architectures"]),
        (
            {"ensembles__x": ensemble(mini_wit=1, mini_yfcc=1), "sources__mini_wit__sizes": [700]},
            ["ensembles.x.shares: the members have no size in common", "mini_wit has 700", "mini_yfcc has 600, 1200"],
        ),
        (
            {"ensembles__x": ensemble(mini_wit=1, mini_yfcc=1) | {"sizes": [600, 700]}},
            ["ensembles.x.sizes: mini_wit has no model of size 700, only of 600, 1200", "Remove it"],
        ),
    ],
)
def test_bad_ensembles_are_refused(changes, words):
    with pytest.raises(ExperimentError) as caught:
        load(changed(**changes))
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.fixture(scope="module")
def trained(run_model, architecture, trainset, tmp_path_factory):
    """A function that trains a model on all or the first shards of the trainset; the folder."""

    def train(shards=None, **changes):
        folder = tmp_path_factory.mktemp("member")
        part = tmp_path_factory.mktemp("part") / "trainset"
        shutil.copytree(trainset, part)
        manifest = read_json(part / "manifest.json")
        files = manifest["files"][:shards]
        write_json(part / "manifest.json", manifest | {"files": files, "samples": sum(f["samples"] for f in files)})
        answer = run_model("train", architecture=architecture | changes, trainset=part, seed=0, folder=folder)
        assert "value" in answer, answer
        return str(folder)

    return train


@pytest.fixture(scope="module")
def members(trained):
    """Two models of the same seed that learnt from different data."""
    return [trained(epochs=20), trained(shards=2, epochs=10)]


@pytest.fixture(scope="module")
def testsets(decode, tmp_path_factory):
    folder = tmp_path_factory.mktemp("testsets")
    captions = [(drawn(name, place), f"a {name}".encode()) for place, name in enumerate(NAMES)]
    own = {
        "reference": write_classification(folder / "reference", NAMES, [*range(20)] * 4),
        "few": write_classification(folder / "few", FEW, [*range(len(FEW))] * 3, domain="sketch"),
        "texts": write_testset(folder / "texts", "retrieval", captions),
    }
    tasks = {"texts": "retrieval"}
    return {name: decode(path, task=tasks.get(name, "classification")) for name, path in own.items()}


def scored(table, testset, classes="all"):
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    return [(row["label"], row["prediction"]) for row in rows if (row["testset"], row["classes"]) == (testset, classes)]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.8)])
def test_logits_are_the_weighted_mean_of_open_clips(run_model, members, testsets, shares):
    rows, table = run_model("evaluate", folder=dict(zip(members, shares, strict=True)), testsets=testsets)["value"]
    for testset, names in {"reference": NAMES, "few": FEW}.items():
        asked = {"testset": testsets[testset][0], "names": names}
        theirs = [run_model("logits_with_open_clip", folder=folder, **asked)["value"] for folder in members]
        own = [np.array(one["logits"]) for one in theirs]
        assert (own[0].argmax(axis=1) != own[1].argmax(axis=1)).any()
        best = sum(share * logits for share, logits in zip(shares, own, strict=True)).argmax(axis=1)
        assert scored(table, testset) == list(zip(theirs[0]["labels"], best.tolist(), strict=True))
        (top1,) = [row for row in rows if (row["testset"], row["classes"], row["metric"]) == (testset, "all", "top1")]
        assert top1["correct"] == (best == theirs[0]["labels"]).sum()
    assert len(scored(table, "reference", "few")) == 4 * len(FEW)


def test_all_three_averages_are_reported_and_any_can_be_chosen(run_model, members, testsets):
    """Computed here from open_clip's logits (cosines times 100) and the scales in the members' files."""
    shares = dict(zip(members, (0.3, 0.7), strict=True))
    asked = {"testset": testsets["reference"][0], "names": NAMES}
    theirs = [run_model("logits_with_open_clip", folder=folder, **asked)["value"] for folder in members]
    scales = [np.exp(float(load_file(f"{folder}/open_clip_model.safetensors")["logit_scale"])) for folder in members]
    plain = [np.array(one["logits"]) for one in theirs]
    scaled = [one / 100 * scale for one, scale in zip(plain, scales, strict=True)]
    expected = {
        average: sum(share * one for share, one in zip(shares.values(), outputs, strict=True)).argmax(axis=1)
        for average, outputs in {
            "logits": plain,
            "scaled_logits": scaled,
            "probabilities": [softmax(one, axis=1) for one in scaled],
        }.items()
    }
    assert (expected["logits"] != expected["probabilities"]).any()
    for average, best in expected.items():
        rows, table = run_model("evaluate", folder=shares, testsets=testsets, average=average)["value"]
        assert [prediction for _, prediction in scored(table, "reference")] == best.tolist()
        found = {row["metric"]: row for row in rows if (row["testset"], row["classes"]) == ("reference", "all")}
        assert found["top1"]["value"] == found[f"top1_{average}"]["value"]
        for other, predicted in expected.items():
            assert found[f"top1_{other}"]["correct"] == (predicted == theirs[0]["labels"]).sum()
    few = {row["metric"] for row in rows if (row["testset"], row["classes"]) == ("reference", "few")}
    assert {"top1_logits", "top1_scaled_logits", "top1_probabilities"} < few


def test_probabilities_are_of_the_classes_that_are_scored():
    """By hand: of three classes the last would take most of the first model's probability, but it is not scored."""
    import torch

    subset = Subset("shift", [[0], [1]])
    one, other = torch.tensor([[1.0, 0.0, 9.0]]), torch.tensor([[0.0, 2.0, 0.0]])
    network = SimpleNamespace(logit_scale=torch.tensor(100.0).log())
    averages = averages_of([subset.without_others(x) for x in (one, other)], [(network, 0.5)] * 2, "probabilities")
    p = [math.e / (math.e + 1), 1 / (1 + math.e**2)]
    expected = [sum(p) / 2, 1 - sum(p) / 2]
    assert subset.restrict(averages["probabilities"]).tolist()[0] == pytest.approx(expected, rel=1e-6)
    assert subset.restrict(averages["logits"]).tolist() == [[0.5, 1.0]]


def test_a_model_with_itself_is_the_model(run_model, members, testsets, tmp_path):
    again = shutil.copytree(members[0], tmp_path / "again")
    alone = run_model("evaluate", folder=members[0], testsets=testsets)["value"]
    for average in ("logits", "weights"):
        both = {members[0]: 0.5, str(again): 0.5}
        rows, table = run_model("evaluate", folder=both, testsets=testsets, average=average)["value"]
        kept = alone[0] if average == "weights" else [row for row in alone[0] if row["testset"] != "texts"]
        assert [row for row in rows if not row["metric"].startswith("top1_")] == kept
        averages = [row["value"] for row in rows if row["metric"].startswith("top1_")]
        top1 = [row["value"] for row in kept if row["metric"] == "top1"]
        assert averages == ([] if average == "weights" else [value for value in top1 for _ in range(3)])
        assert table == alone[1]


def test_a_retrieval_has_no_logits_to_average_and_weights_have_a_model(run_model, members, testsets):
    shares = dict.fromkeys(members, 0.5)
    for average, expected in {"logits": {"reference", "few"}, "weights": {"reference", "few", "texts"}}.items():
        rows, _ = run_model("evaluate", folder=shares, testsets=testsets, average=average)["value"]
        assert {row["testset"] for row in rows} == expected


def test_averaged_weights_are_the_mean_of_the_files(run_model, members):
    averaged = run_model("weights_of", folder=dict(zip(members, (0.25, 0.75), strict=True)), average="weights")["value"]
    one, other = (load_file(f"{folder}/open_clip_model.safetensors") for folder in members)
    moved = set()
    for name, values in averaged.items():
        if np.issubdtype(one[name].dtype, np.floating):
            expected = 0.25 * one[name].astype(float) + 0.75 * other[name].astype(float)
            np.testing.assert_allclose(np.reshape(values, expected.shape), expected, rtol=1e-5, atol=1e-7)
            moved |= {name} if np.any(one[name] != other[name]) else set()
    assert {"logit_scale"} < moved
    assert any(name.endswith("running_var") for name in moved)


def test_equal_seeds_begin_with_equal_weights_whatever_the_data(run_model, trained):
    """A learning rate too small to change a 32-bit number leaves what the trainer drew at the beginning."""
    still = {"learning_rate": 1e-30, "weight_decay": 0.0, "warmup": 0}
    one, other = (
        load_file(f"{folder}/open_clip_model.safetensors")
        for folder in (trained(**still), trained(shards=2, epochs=4, **still))
    )
    weights = [name for name in one if "running" not in name and not name.endswith("num_batches_tracked")]
    assert len(weights) > 20
    for name in weights:
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=1e-20)
    assert np.std(one["visual.conv1.weight"]) > 0.01
    assert any(np.any(one[name] != other[name]) for name in one if "running" in name)


def test_weights_that_began_elsewhere_are_not_averaged(run_model, members, testsets, tmp_path):
    other = shutil.copytree(members[1], tmp_path / "other")
    manifest = read_json(other / "manifest.json")
    write_json(other / "manifest.json", manifest | {"versions": manifest["versions"] | {"torch": "1.0"}})
    shares = {members[0]: 0.5, str(other): 0.5}
    answer = run_model("evaluate", folder=shares, testsets=testsets, average="weights")
    assert answer["error"] == "EvaluationError"
    assert f"{other}: versions is" in answer["message"]
    assert "value" in run_model("evaluate", folder=shares, testsets={"few": testsets["few"]})


def test_models_of_different_architectures_are_not_averaged(run_model, members, testsets, tmp_path):
    other = shutil.copytree(members[1], tmp_path / "other")
    config = json.loads((other / "open_clip_config.json").read_text())
    config["model_cfg"]["embed_dim"] += 1
    (other / "open_clip_config.json").write_text(json.dumps(config))
    answer = run_model("evaluate", folder={members[0]: 0.5, str(other): 0.5}, testsets=testsets)
    assert answer["error"] == "EvaluationError"
    assert f"{other}: open_clip_config.json is" in answer["message"]
