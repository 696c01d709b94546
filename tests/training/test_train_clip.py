"""Training with the real trainer: reproducible, resumable, checked; and the arithmetic of its command line."""

import csv
import platform
import re
import shutil
import signal
from pathlib import Path
from zipfile import ZipFile

import pytest
from open_clip_train.params import parse_args
from safetensors import safe_open

from processes import helper
from testbed.records.manifest import ManifestError, problem, read_json, write_json
from testbed.records.provenance import made_from
from testbed.training.recipe import (
    RUN,
    TrainingError,
    batches_per_interval,
    device_batch,
    loading_processes,
    optimiser_steps,
    trainer_arguments,
    warmup_steps,
)
from testbed.training.trainer import (
    RESERVED_SECONDS,
    Curve,
    Run,
    checkpoint_number,
    checkpoints_in,
    exceeds_time_limit,
    remove_checkpoints,
)
from train_clip import CURVE, WEIGHTS_FILE, train_clip, valid_record

PLAIN = {"batch_size": 64, "epochs": 8, "workers": 0, "gpus": 1, "nodes": 1, "checkpoints_per_epoch": 1, "extra": {}}


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS_FILE).read_bytes()


def curve(folder: Path) -> list[dict[str, str]]:
    with open(folder / CURVE, newline="") as file:
        return list(csv.DictReader(file))


def lost(folder: Path, number: int) -> None:
    """Cut the checkpoint with this number."""
    (path,) = folder.glob(f"{RUN}/*/checkpoints/epoch_{number}.pt")
    path.write_bytes(path.read_bytes()[:-1000])


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
        # Devices share a batch, and so change nothing.
        ({"batch_size": 1024, "gpus": 8}, 15_000_000, 14649, 14649 * 8),
        # Each of four parts of an epoch is rounded up.
        ({"checkpoints_per_epoch": 4}, 1000, 4, 4 * 4 * 8),
    ],
)
def test_batches_and_steps_are_those_of_the_trainer(changes, size, batches, steps):
    assert batches_per_interval(PLAIN | changes, size) == batches
    assert optimiser_steps(PLAIN | changes, size) == steps


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


def test_parts_smaller_than_a_batch_are_refused():
    with pytest.raises(
        TrainingError,
        match="11 checkpoints in 640 samples leave 59 samples .* less than a batch",
    ):
        optimiser_steps(PLAIN | {"checkpoints_per_epoch": 11}, 640)


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


@pytest.mark.parametrize(("groups", "processes"), [(2, 4), (4, 2), (8, 1)])
def test_devices_and_parts_take_their_share_of_the_shards(groups, processes):
    assert loading_processes(4, [250] * 8, 64, groups) == processes


def test_devices_without_a_batch_are_refused():
    with pytest.raises(TrainingError, match=r"8 shards in 9 groups .* may have less than a batch of 64"):
        loading_processes(4, [250] * 8, 64, 9)


@pytest.mark.parametrize(("samples", "steps"), [(60, 1), (64 * 1000, 100), (16 * 250, 10)])
def test_short_trainings_are_logged_often(architecture, trainset, tmp_path, samples, steps):
    arguments = trainer_arguments(architecture, trainset, samples, 0, tmp_path)
    assert f"--log-every-n-steps={steps}" in arguments


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
        "--save-frequency=1",
        "--resume=latest",
    } <= set(arguments)
    assert not any("torchcompile" in argument for argument in arguments)


def test_open_clip_understands_the_command_line(architecture, trainset, tmp_path):
    options = parse_args(trainer_arguments(architecture, trainset, 60, 3, tmp_path))
    assert (options.lr, options.beta2, options.eps, options.wd) == (0.003, 0.98, 1e-8, 0.1)
    assert (options.epochs, options.workers, options.device) == (2, 0, "cpu")
    assert (options.logs, options.name) == (str(tmp_path / RUN), tmp_path.name)
    assert (options.save_most_recent, options.save_frequency) == (False, 1)


def test_a_trained_model_is_recorded(model, architecture):
    entry = read_json(model / "record.json")
    assert {name: entry[name] for name in ("samples", "epochs", "samples_seen")} == {
        "samples": 60,
        "epochs": 2,
        "samples_seen": 128,
    }
    assert set(entry["versions"]) == {"torch", "open_clip_torch"}
    assert (entry["seed"], entry["recipe"]) == (0, architecture)
    assert [problem(model, file) for file in entry["files"]] == [None, None]
    assert not (model / RUN).exists()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(run_model, model, architecture, trainset, tmp_path):
    for seed in (1, 0):
        folder = tmp_path / str(seed)
        answer = run_model("train", architecture=architecture, trainset=trainset, seed=seed, folder=folder)
        assert answer["epochs"] == [0, 1]
    assert weights(tmp_path / "0") == weights(model)
    assert weights(tmp_path / "1") != weights(model)


def test_the_order_of_samples_depends_on_the_seed_and_the_epoch(run_model):
    orders, others, again = (run_model("sample_orders", seed=seed, parts=2)["value"] for seed in (0, 7, 0))
    assert orders == again
    assert all(sorted(order) == list(range(10)) for order in [*orders, *others])
    assert len({tuple(order) for order in [*orders, *others]}) == 4


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
    folder = shutil.copytree(killed, tmp_path / killed.name)
    for checkpoint in folder.glob(f"{RUN}/*/checkpoints/*.pt"):
        content = checkpoint.read_bytes()
        checkpoint.unlink()
        checkpoint.write_bytes({"none": content, "cut": content[:-1000]}.get(damage, b"no checkpoint"))
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=folder)
    assert answer["epochs"] == epochs
    assert weights(folder) == weights(model)
    recorded = read_json(model / "record.json")
    assert answer["value"] | {name: recorded[name] for name in ("runs", "finished")} == recorded
    assert not (folder / RUN).exists()


def test_a_trained_model_is_traced_to_its_trainset_and_its_machine(model, trainset):
    entry = read_json(model / "record.json")
    assert entry["made_from"] == made_from(trainset / "manifest.json")
    (run,) = entry["runs"]
    assert run["started"] <= entry["finished"]
    assert run["versions"]["torch"] == entry["versions"]["torch"]
    assert (run["hardware"]["device"], run["hardware"]["gpus"]) == ("cpu", [])
    assert run["hardware"]["cpu"] and run["hardware"]["node"]


def test_a_resumed_training_names_all_of_its_runs(run_model, killed, architecture, trainset, tmp_path):
    folder = shutil.copytree(killed, tmp_path / killed.name)
    request = read_json(folder / "request.json")
    write_json(folder / "request.json", request | {"runs": [{"hardware": {"node": "the first"}}]})
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=folder)
    assert [run["hardware"]["node"] for run in answer["value"]["runs"]] == ["the first", platform.node()]


def test_a_training_from_before_runs_were_recorded_is_kept(run_model, copied, architecture, trainset):
    before = {"runs", "finished", "made_from", "seed", "recipe"}
    entry = {name: value for name, value in read_json(copied / "record.json").items() if name not in before}
    write_json(copied / "record.json", entry)
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=copied)
    assert answer == {"value": entry, "epochs": []}


def test_a_forced_training_forgets_the_runs_before(run_model, copied, architecture, trainset):
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=copied, start_over=True)
    assert answer["epochs"] == [0, 1] and len(answer["value"]["runs"]) == 1


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
    folder = shutil.copytree(killed, tmp_path / killed.name)
    assert run_model("train", folder=folder, **request)["epochs"] == [1]


def test_damaged_weights_are_no_finished_training(copied):
    request = read_json(copied / "record.json")["request"]
    assert valid_record(copied, request)
    assert valid_record(copied, "another request") is None
    content = bytearray(weights(copied))
    content[-1] ^= 1
    (copied / WEIGHTS_FILE).write_bytes(content)
    assert valid_record(copied, request) is None


def killed_training(scripts_environment, folder: Path, how: int = signal.SIGKILL, **request) -> dict:
    """Train into `folder` until a signal ends it; what the process ended with."""
    with helper("model_runs.py", scripts_environment) as ask:
        return ask(["train", {"seed": 0, "folder": folder, "how": how, **request}])


def test_a_training_steps_back_over_a_broken_checkpoint(
    run_model, scripts_environment, architecture, trainset, tmp_path
):
    request = {"architecture": architecture | {"epochs": 4}, "trainset": trainset}
    killed_training(scripts_environment, tmp_path / "killed" / "model", die_in=3, **request)
    lost(tmp_path / "killed" / "model", 3)
    answer = run_model("train", seed=0, folder=tmp_path / "killed" / "model", **request)
    assert answer["epochs"] == [2, 3]
    run_model("train", seed=0, folder=tmp_path / "whole" / "model", **request)
    assert weights(tmp_path / "killed" / "model") == weights(tmp_path / "whole" / "model")


def test_of_checkpoints_the_last_two_stay(tmp_path):
    """Those that are not written to their end are not counted, and removed with the others."""
    for number in (1, 2, 8, 9, 10, 11):
        with ZipFile(tmp_path / f"epoch_{number}.pt", "w") as file:
            file.writestr("data", "weights")
    for number in (1, 11):
        path = tmp_path / f"epoch_{number}.pt"
        path.write_bytes(path.read_bytes()[:-5])
    assert [checkpoint_number(path) for path in checkpoints_in(tmp_path)] == [10, 9, 8, 2]
    remove_checkpoints(tmp_path, 10)
    assert sorted(checkpoint_number(path) for path in tmp_path.iterdir()) == [9, 10, 11]


def test_parts_of_an_epoch_have_checkpoints_of_their_own(
    run_model, scripts_environment, architecture, trainset, tmp_path
):
    request = {"architecture": architecture | {"checkpoints_per_epoch": 2}, "trainset": trainset}
    folders = [tmp_path / name / "model" for name in ("whole", "killed")]
    answer = run_model("train", seed=0, folder=folders[0], **request)
    assert answer["epochs"] == [0, 1, 2, 3]
    assert answer["value"]["samples_seen"] == 2 * 64
    killed_training(scripts_environment, folders[1], die_in=3, **request)
    assert run_model("train", seed=0, folder=folders[1], **request)["epochs"] == [3]
    assert weights(folders[0]) == weights(folders[1])
    losses = [[(row["step"], row["epoch"], row["loss"], row["lr"]) for row in curve(folder)] for folder in folders]
    assert losses[0] == losses[1]
    assert [row["epoch"] for row in curve(folders[0])] == ["0.25", "0.5", "0.75", "1", "1.25", "1.5", "1.75", "2"]


def test_the_curve_of_a_training(model, architecture):
    rows = curve(model)
    assert [(row["step"], row["epoch"], row["samples_seen"]) for row in rows] == [
        (str(step), f"{(step + 1) / 4:g}", str(16 * (step + 1))) for step in range(8)
    ]
    assert all(float(row["loss"]) > 0 and float(row["samples_per_second"]) > 0 for row in rows)
    # Half of eight steps rise to the experiment's rate, and a cosine falls behind them.
    rates = [float(row["lr"]) / architecture["learning_rate"] for row in rows]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[7] < 0.2


def test_rows_of_steps_that_are_taken_again_are_dropped(tmp_path):
    path = tmp_path / CURVE
    path.write_text("step,loss\n" + "".join(f"{step},1\n" for step in range(6)) + "6")
    resumed = Curve(Run([], 0, 1, 16, str(path)), 4, 4, 2)
    resumed.add_scalar("train/loss", 2.0, 4)
    resumed.write()
    assert [(row["step"], row["loss"]) for row in curve(tmp_path)] == [
        *((str(step), "1") for step in range(4)),
        ("4", "2"),
    ]


def test_tensorboard_has_the_curve_too(run_model, architecture, trainset, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = {"tensorboard": True, "wandb_project": ""}
    run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=tmp_path, loggers=loggers)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    seen = [(str(event.step), f"{event.value:.4g}") for event in events.Scalars("train/loss")]
    assert seen == [(row["step"], f"{float(row['loss']):.4g}") for row in curve(tmp_path)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGUSR1], ids=lambda how: how.name)
def test_a_signal_ends_a_training_that_goes_on_later(
    run_model, scripts_environment, model, architecture, trainset, tmp_path, how
):
    folder = tmp_path / "model"
    request = {"architecture": architecture, "trainset": trainset}
    assert killed_training(scripts_environment, folder, how, die_in=1, **request) == {"ended": 128 + how}
    assert read_json(folder / "interrupted.json") == {"cause": how.name, "checkpoints": 1, "planned": 2}
    assert not (folder / WEIGHTS_FILE).exists()
    assert run_model("train", seed=0, folder=folder, **request)["epochs"] == [1]
    assert weights(folder) == weights(model)
    assert not (folder / "interrupted.json").exists()


def test_a_part_begins_if_it_can_end_before_the_job_does():
    assert not exceeds_time_limit([0.0, 100.0], None)
    # The first is always tried.
    assert not exceeds_time_limit([0.0], 10.0)
    assert not exceeds_time_limit([0.0, 100.0], 100.0 + 110.0 + RESERVED_SECONDS)
    assert exceeds_time_limit([0.0, 100.0], 100.0 + 109.0 + RESERVED_SECONDS)
    assert exceeds_time_limit([0.0, 100.0, 120.0], 120.0 + 109.0 + RESERVED_SECONDS)


def test_several_devices_share_a_batch(run_model, architecture, trainset, tmp_path):
    """Two processes on the CPU, which talk by gloo as GPUs do by NCCL."""
    request = {"architecture": architecture | {"gpus": 2}, "trainset": trainset, "seed": 0, "log": tmp_path / "log"}
    answer = run_model("train", folder=tmp_path / "model", **request)
    assert answer["value"]["samples_seen"] == 2 * 64
    assert [row["samples_seen"] for row in curve(tmp_path / "model")] == [str(16 * step) for step in range(1, 9)]
    row = curve(tmp_path / "model")[0]
    assert float(row["samples_per_second"]) == pytest.approx(2 * float(row["samples_per_second_per_gpu"]), rel=1e-4)
    said = (tmp_path / "log").read_text()
    assert "Process (global: 0, local 0), total 2." in said
    assert "batch_size: 8" in said


def test_options_of_the_trainer_are_passed_through(run_model, architecture, trainset, tmp_path):
    """Half precision, accumulated batches and a loss by device, on two devices."""
    extra = {"accum-freq": 2, "local-loss": True, "gather-with-grad": True, "grad-checkpointing": True}
    changed = architecture | {"gpus": 2, "precision": "amp_bf16", "extra": extra}
    request = {"architecture": changed, "trainset": trainset, "seed": 0, "log": tmp_path / "log"}
    answer = run_model("train", folder=tmp_path / "model", **request)
    assert answer["value"]["samples_seen"] == 2 * 64
    assert [row["samples_seen"] for row in curve(tmp_path / "model")] == [str(16 * step) for step in range(1, 9)]
    said = (tmp_path / "log").read_text()
    for line in (
        "accum_freq: 2",
        "batch_size: 4",
        "local_loss: True",
        "precision: amp_bf16",
        "grad_checkpointing: True",
    ):
        assert f"  {line}\n" in said


def test_a_training_does_not_go_on_with_other_devices(run_model, killed, architecture, trainset, tmp_path):
    folder = shutil.copytree(killed, tmp_path / killed.name)
    answer = run_model("train", architecture=architecture | {"gpus": 2}, trainset=trainset, seed=0, folder=folder)
    assert "was started on 1 devices and cannot resume on 2" in answer["message"]
    assert run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=folder)["epochs"] == [1]


def test_another_recipe_does_not_go_on_from_what_was_left(run_model, killed, architecture, trainset, tmp_path):
    folder = shutil.copytree(killed, tmp_path / killed.name)
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
    assert answer["error"] == "DeviceError"
    assert "device: cuda, gpus: 1, but torch sees no GPU" in answer["message"]
    assert (copied / WEIGHTS_FILE).is_file()


def test_an_unknown_model_is_an_error(run_model, architecture, trainset, tmp_path):
    answer = run_model(
        "train", architecture=architecture | {"model": "RN51"}, trainset=trainset, seed=0, folder=tmp_path
    )
    assert answer["error"] == "NetworkError"
    assert "RN51 is neither a folder nor a model of open_clip" in answer["message"]


def test_a_trainset_smaller_than_a_batch_is_an_error(run_model, architecture, trainset, tmp_path):
    answer = run_model(
        "train", architecture=architecture | {"batch_size": 61}, trainset=trainset, seed=0, folder=tmp_path
    )
    assert answer["error"] == "TrainingError"
    assert "has 60 samples, fewer than one batch" in answer["message"]


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        ({"value": float("nan")}, "weights are not finite (weight, ...)"),
        ({"value": float("inf")}, "weights are not finite (weight, ...)"),
        ({"value": 1.0, "steps": None}, "the trainer ended after 0 of 2 checkpoints"),
        ({"value": 1.0, "steps": 7}, "the trainer made 7 of 8 steps"),
    ],
)
def test_a_model_that_is_not_whole_is_not_exported(run_model, tmp_path, trained, words):
    answer = run_model("export_weights", folder=tmp_path, **trained)
    assert answer["error"] == "TrainingError"
    assert words in answer["message"]
    assert [path.name for path in tmp_path.iterdir()] == [RUN]


def test_a_whole_model_is_exported_under_plain_names(run_model, tmp_path):
    assert run_model("export_weights", folder=tmp_path, value=1.0) == {"value": None, "epochs": []}
    with safe_open(tmp_path / WEIGHTS_FILE, "numpy") as file:
        assert sorted(file.keys()) == ["bias", "weight"]
        assert file.get_tensor("weight").tolist() == [1.0, 1.0]


def test_steps_that_half_precision_left_out_are_no_error(run_model, tmp_path):
    assert run_model("export_weights", folder=tmp_path, value=1.0, steps=6, scaled=True) == {
        "value": None,
        "epochs": [],
    }


def test_a_trainset_without_a_manifest_is_an_error(architecture, tmp_path):
    with pytest.raises(ManifestError, match=f"{tmp_path}/manifest.json: is missing"):
        train_clip(architecture, tmp_path, 0, tmp_path)
