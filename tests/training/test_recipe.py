"""The arithmetic of a training: its steps, its batches on each device, its checkpoints, and the trainer's command line."""

import re

import pytest
from open_clip_train.params import parse_args

from testbed.training.recipe import (
    RUN,
    TrainingError,
    checkpoint_steps,
    device_batch,
    optimiser_steps,
    trainer_arguments,
    warmup_steps,
)

PLAIN = {"batch_size": 64, "epochs": 8, "workers": 0, "gpus": 1, "nodes": 1, "extra": {}}


@pytest.mark.parametrize(
    ("changes", "size", "steps"),
    [
        ({}, 640, 80),
        # Batches run on across the end of an epoch: 8 * 641 samples are 80 batches and 8 samples.
        ({}, 641, 80),
        ({}, 648, 81),
        ({"workers": 4}, 640, 80),
        # Four batches of 16 make a step of 64 pairs.
        ({"extra": {"accum-freq": 4}}, 11 * 64, 11 * 8),
        ({"batch_size": 1024, "epochs": 32, "gpus": 8}, 15_000_000, 468_750),
    ],
)
def test_steps_are_the_whole_batches_of_all_epochs(changes, size, steps):
    assert optimiser_steps(PLAIN | changes, size) == steps


def test_a_training_without_a_batch_is_refused():
    with pytest.raises(TrainingError, match=r"8 epochs of 7 samples are less than one batch \(architectures.*: 64\)"):
        optimiser_steps(PLAIN, 7)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, None),
        ({"checkpoint_steps": 500}, 500),
        ({"checkpoints_per_epoch": 1}, 10),
        ({"checkpoints_per_epoch": 4}, 2),
        ({"checkpoints_per_epoch": 40}, 1),
    ],
)
def test_checkpoints_are_counted_in_steps_where_the_architecture_says_so(changes, steps):
    assert checkpoint_steps(PLAIN | changes, 640) == steps


@pytest.mark.parametrize(
    ("changes", "pairs"),
    [({}, 64), ({"gpus": 0}, 64), ({"gpus": 4}, 16), ({"gpus": 4, "nodes": 2, "extra": {"accum-freq": 2}}, 4)],
)
def test_a_step_has_the_pairs_of_the_experiment_on_any_number_of_devices(changes, pairs):
    assert device_batch(PLAIN | changes) == pairs


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"extra": {"accum-freq": 3}}, "64 is no multiple of 1 devices (nodes times gpus) times extra.accum-freq, 3"),
        ({"gpus": 3}, "64 is no multiple of 3 devices"),
        ({"gpus": 8, "nodes": 3}, "64 is no multiple of 24 devices"),
    ],
)
def test_a_batch_that_cannot_be_cut_is_refused(changes, words):
    with pytest.raises(TrainingError, match=re.escape(words)):
        device_batch(PLAIN | changes)


@pytest.mark.parametrize(("warmup", "steps"), [(0, 0), (0.5, 40), (0.25, 20), (0.99, 79), (1, 1), (500, 500)])
def test_warmup_is_a_share_of_all_steps_or_a_number_of_steps(warmup, steps):
    assert warmup_steps(PLAIN | {"warmup": warmup}, 640) == steps


@pytest.mark.parametrize(
    ("warmup", "share", "steps"), [(500, 0.25, 20), (0.5, 0.25, 20), (0.1, 0.25, 8), (5, 0.25, 5), (500, 1, 500)]
)
def test_warmup_is_at_most_a_share_of_all_steps(warmup, share, steps):
    assert warmup_steps(PLAIN | {"warmup": warmup, "warmup_share": share}, 640) == steps


@pytest.mark.parametrize(("samples", "steps"), [(60, 1), (64 * 1000, 100), (16 * 250, 10)])
def test_short_trainings_are_logged_often(architecture, trainset, tmp_path, samples, steps):
    arguments = trainer_arguments(architecture, trainset, samples, 0, tmp_path)
    assert f"--log-every-n-steps={steps}" in arguments


def test_the_trainers_command_line(architecture, trainset, tmp_path):
    extra = {"grad-clip-norm": 1.0, "lock-image": True, "trace": False}
    arguments = trainer_arguments(architecture | {"extra": extra, "compile": True}, trainset, 60, 3, tmp_path)
    assert {
        f"--model=local-dir:{tmp_path}",
        f"--train-data={trainset}/{{000000..000003}}.tar",
        "--train-num-samples=60",
        "--batch-size=16",
        "--epochs=1",
        "--warmup=4",
        "--lr=0.003",
        "--seed=3",
        "--precision=fp32",
        "--grad-clip-norm=1.0",
        "--lock-image",
        "--torchcompile",
        "--save-frequency=0",
    } <= set(arguments)
    assert not any("trace" in argument for argument in arguments)


def test_open_clip_understands_the_command_line(architecture, trainset, tmp_path):
    options = parse_args(trainer_arguments(architecture, trainset, 60, 3, tmp_path))
    assert (options.lr, options.beta2, options.eps, options.wd) == (0.003, 0.98, 1e-8, 0.1)
    assert (options.epochs, options.workers, options.device) == (1, 0, "cpu")
    assert (options.logs, options.name) == (str(tmp_path / RUN), tmp_path.name)
    assert (options.save_most_recent, options.save_frequency, options.torchcompile) == (False, 0, False)
