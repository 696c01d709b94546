"""Training with the real trainer: reproducible, resumable, checked; and the arithmetic of its command line."""

import shutil
import signal
from pathlib import Path

import pytest
from open_clip_train.params import parse_args
from safetensors import safe_open

from processes import helper
from testbed.manifest import ManifestError, problem, read_json
from train_clip import (
    RUN,
    WEIGHTS_FILE,
    TrainingError,
    batches_per_epoch,
    finished,
    loading_processes,
    optimiser_steps,
    train_clip,
    trainer_arguments,
    warmup_steps,
)

PLAIN = {"batch_size": 64, "epochs": 8, "workers": 0, "extra": {}}


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS_FILE).read_bytes()


@pytest.mark.parametrize(
    ("changes", "size", "batches", "steps"),
    [
        ({}, 640, 10, 80),
        ({}, 641, 11, 88),
        ({"workers": 1}, 641, 11, 88),
        # Each of four processes gives as many batches.
        ({"workers": 4}, 640, 12, 96),
        # Four batches of 16 make a step of 64 pairs; one that is left over makes none.
        ({"extra": {"accum-freq": 4}}, 11 * 64, 44, 11 * 8),
        ({"extra": {"accum-freq": 4}}, 11 * 64 + 1, 45, 11 * 8),
        ({"batch_size": 1024, "epochs": 32, "workers": 4}, 15_000_000, 14652, 14652 * 32),
    ],
)
def test_batches_and_steps_are_those_of_the_trainer(changes, size, batches, steps):
    assert batches_per_epoch(PLAIN | changes, size) == batches
    assert optimiser_steps(PLAIN | changes, size) == steps


def test_a_batch_that_cannot_be_cut_is_refused():
    with pytest.raises(TrainingError, match=r"batch_size: 64 is no multiple of extra.accum-freq, 3"):
        optimiser_steps(PLAIN | {"extra": {"accum-freq": 3}}, 640)


@pytest.mark.parametrize(("warmup", "steps"), [(0, 0), (0.5, 40), (0.25, 20), (0.99, 79), (1, 1), (500, 500)])
def test_warmup_is_a_share_of_all_steps_or_a_number_of_steps(warmup, steps):
    assert warmup_steps(PLAIN | {"warmup": warmup}, 640) == steps


@pytest.mark.parametrize(
    ("wanted", "shards", "processes"),
    [
        (0, [10, 10], 0),
        (1, [10], 1),
        (4, [250] * 8, 4),
        # open_clip refuses more processes than shards, and hangs in one that never has a batch of 64.
        (4, [250] * 3, 3),
        (4, [250, 250, 250, 20], 2),
        (4, [30] * 4, 1),
        (2, [40, 40, 40], 1),
        (3, [100, 100, 40], 1),
    ],
)
def test_every_loading_process_can_fill_a_batch(wanted, shards, processes):
    assert loading_processes(wanted, shards, 64) == processes


def test_the_trainers_command_line(architecture, trainset, tmp_path):
    extra = {"grad-clip-norm": 1.0, "lock-image": True, "torchcompile": False}
    arguments = trainer_arguments(architecture | {"extra": extra}, trainset, 60, 3, tmp_path)
    assert {
        f"--model=local-dir:{tmp_path}",
        f"--train-data={trainset}/{{000000..000003}}.tar",
        "--train-num-samples=60",
        "--batch-size=16",
        "--warmup=4",
        "--lr=0.003",
        "--seed=3",
        "--precision=fp32",
        "--grad-clip-norm=1.0",
        "--lock-image",
        "--save-most-recent",
        "--resume=latest",
    } <= set(arguments)
    assert not any("torchcompile" in argument for argument in arguments)


def test_open_clip_understands_the_command_line(architecture, trainset, tmp_path):
    options = parse_args(trainer_arguments(architecture, trainset, 60, 3, tmp_path))
    assert (options.lr, options.beta2, options.eps, options.wd) == (0.003, 0.98, 1e-8, 0.1)
    assert (options.epochs, options.workers, options.device, options.name) == (2, 0, "cpu", RUN)
    assert (options.save_most_recent, options.save_frequency) == (True, 0)


def test_a_trained_model_is_recorded(model, architecture):
    entry = read_json(model / "record.json")
    assert {name: entry[name] for name in ("samples", "epochs", "samples_seen")} == {
        "samples": 60,
        "epochs": 2,
        "samples_seen": 128,
    }
    assert set(entry["versions"]) == {"torch", "open_clip_torch"}
    assert [problem(model, file) for file in entry["files"]] == [None, None]
    assert not (model / RUN).exists()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(run_model, model, architecture, trainset, tmp_path):
    for seed in (1, 0):
        folder = tmp_path / str(seed)
        answer = run_model("train", architecture=architecture, trainset=trainset, seed=seed, folder=folder)
        assert answer["epochs"] == [0, 1]
    assert weights(tmp_path / "0") == weights(model)
    assert weights(tmp_path / "1") != weights(model)


@pytest.fixture(scope="module")
def killed(scripts_environment, architecture, trainset, tmp_path_factory):
    """The folder of a training like the model's that was killed in its second epoch."""
    folder = tmp_path_factory.mktemp("killed")
    request = {"architecture": architecture, "trainset": trainset, "seed": 0, "folder": folder, "die_in": 1}
    with helper("model_runs.py", scripts_environment) as ask:
        assert ask(["train", request]) == {"ended": -signal.SIGKILL}
    assert not (folder / WEIGHTS_FILE).exists()
    return folder


@pytest.mark.parametrize(("damage", "epochs"), [("none", [1]), ("cut", [0, 1]), ("other bytes", [0, 1])])
def test_a_killed_training_ends_in_the_same_bytes(
    run_model, killed, model, architecture, trainset, tmp_path, damage, epochs
):
    """It goes on after the last whole epoch, or starts over where the checkpoint does not load."""
    folder = shutil.copytree(killed, tmp_path / "model")
    checkpoint = folder / RUN / "checkpoints" / "epoch_latest.pt"
    content = checkpoint.read_bytes()
    checkpoint.write_bytes({"none": content, "cut": content[:-1000]}.get(damage, b"no checkpoint"))
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=folder)
    assert answer["epochs"] == epochs
    assert weights(folder) == weights(model)
    assert answer["value"] == read_json(model / "record.json")
    assert not (folder / RUN).exists()


@pytest.fixture
def copied(model, tmp_path):
    """A copy of the trained model that a test may change."""
    return shutil.copytree(model, tmp_path / "model")


def test_a_complete_training_is_left_alone(run_model, model, copied, architecture, trainset):
    before = (copied / WEIGHTS_FILE).stat().st_mtime_ns
    resources = {"gpus": 1, "memory_mb": 1, "runtime": 1}
    answer = run_model("train", architecture=architecture | resources, trainset=trainset, seed=0, folder=copied)
    assert answer == {"value": read_json(model / "record.json"), "epochs": []}
    assert (copied / WEIGHTS_FILE).stat().st_mtime_ns == before


def test_a_forced_training_starts_over(run_model, model, copied, architecture, trainset):
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=copied, start_over=True)
    assert answer["epochs"] == [0, 1]
    assert weights(copied) == weights(model)


def test_a_forced_training_that_was_killed_goes_on(run_model, killed, architecture, trainset, tmp_path):
    """A cluster job that is put back to the queue starts with the same command, forced rules included."""
    request = {"architecture": architecture, "trainset": trainset, "seed": 0, "start_over": True}
    folder = shutil.copytree(killed, tmp_path / "model")
    assert run_model("train", folder=folder, **request)["epochs"] == [1]


def test_damaged_weights_are_no_finished_training(copied):
    request = read_json(copied / "record.json")["request"]
    assert finished(copied, request)
    assert finished(copied, "another request") is None
    content = bytearray(weights(copied))
    content[-1] ^= 1
    (copied / WEIGHTS_FILE).write_bytes(content)
    assert finished(copied, request) is None


def test_another_recipe_does_not_go_on_from_what_was_left(run_model, killed, architecture, trainset, tmp_path):
    folder = shutil.copytree(killed, tmp_path / "model")
    changed = architecture | {"learning_rate": 0.001}
    assert run_model("train", architecture=changed, trainset=trainset, seed=0, folder=folder)["epochs"] == [0, 1]


def test_loading_processes_train_too(run_model, architecture, trainset, tmp_path):
    """Four are asked for; two can be sure of a batch of 20 from shards of 16, 16, 16 and 12."""
    changed = architecture | {"workers": 4, "epochs": 1, "batch_size": 20}
    answer = run_model("train", architecture=changed, trainset=trainset, seed=0, folder=tmp_path)
    # Three batches over two processes are four.
    assert answer["value"]["samples_seen"] == 4 * 20


def test_a_gpu_that_is_not_there_is_an_error(run_model, copied, architecture, trainset):
    answer = run_model(
        "train", architecture=architecture | {"device": "cuda"}, trainset=trainset, seed=0, folder=copied
    )
    assert answer["error"] == "TrainingError"
    assert "architectures.*.device: cuda, but torch sees no GPU" in answer["message"]
    assert (copied / WEIGHTS_FILE).is_file()


def test_an_unknown_model_is_an_error(run_model, architecture, trainset, tmp_path):
    answer = run_model(
        "train", architecture=architecture | {"model": "RN51"}, trainset=trainset, seed=0, folder=tmp_path
    )
    assert answer["error"] == "TrainingError"
    assert "architectures: RN51 is neither a folder nor a model that open_clip" in answer["message"]


def test_a_trainset_smaller_than_a_batch_is_an_error(run_model, architecture, trainset, tmp_path):
    answer = run_model(
        "train", architecture=architecture | {"batch_size": 61}, trainset=trainset, seed=0, folder=tmp_path
    )
    assert answer["error"] == "TrainingError"
    assert "has 60 samples, fewer than one batch" in answer["message"]


@pytest.mark.parametrize(
    ("checkpoint", "words"),
    [
        ({"value": float("nan")}, "weights are not finite (weight, ...)"),
        ({"value": float("inf")}, "weights are not finite (weight, ...)"),
        ({"value": 1.0, "epoch": 1}, "the trainer ended after 1 of 2 epochs"),
        ({"value": 1.0, "step": 7}, "the trainer took 7 of 8 steps"),
    ],
)
def test_a_model_that_is_not_whole_is_not_exported(run_model, tmp_path, checkpoint, words):
    answer = run_model("export_weights", folder=tmp_path, **checkpoint)
    assert answer["error"] == "TrainingError"
    assert words in answer["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_whole_model_is_exported_under_plain_names(run_model, tmp_path):
    assert run_model("export_weights", folder=tmp_path, value=1.0) == {"value": None, "epochs": []}
    with safe_open(tmp_path / WEIGHTS_FILE, "numpy") as file:
        assert sorted(file.keys()) == ["bias", "weight"]
        assert file.get_tensor("weight").tolist() == [1.0, 1.0]


def test_steps_that_half_precision_left_out_are_no_error(run_model, tmp_path):
    assert run_model("export_weights", folder=tmp_path, value=1.0, step=6, scaler={}) == {"value": None, "epochs": []}


def test_a_trainset_without_a_manifest_is_an_error(architecture, tmp_path):
    with pytest.raises(ManifestError, match=f"{tmp_path}/manifest.json: is missing"):
        train_clip(architecture, tmp_path, 0, tmp_path)
