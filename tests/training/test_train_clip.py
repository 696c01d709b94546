"""Training with the real trainer: reproducible, recorded, checked."""

import csv
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open

from testbed.records.manifest import ManifestError, problem, read_json, write_json
from testbed.records.provenance import made_from
from testbed.training.recipe import RUN
from train_clip import CURVE, WEIGHTS_FILE, train_clip, valid_record


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS_FILE).read_bytes()


def curve(folder: Path) -> list[dict[str, str]]:
    with open(folder / CURVE, newline="") as file:
        return list(csv.DictReader(file))


def test_a_trained_model_is_recorded(model, architecture):
    entry = read_json(model / "record.json")
    # Two epochs of 60 samples are seven batches of 16, and 8 samples that are no batch.
    assert {name: entry[name] for name in ("samples", "epochs", "steps", "samples_seen", "times_seen")} == {
        "samples": 60,
        "epochs": 2,
        "steps": 7,
        "samples_seen": 112,
        "times_seen": [1, 2],
    }
    assert set(entry["versions"]) == {"torch", "open_clip_torch"}
    assert (entry["seed"], entry["recipe"]) == (0, architecture)
    assert [problem(model, file) for file in entry["files"]] == [None, None]
    assert not (model / RUN).exists()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(run_model, model, architecture, trainset, tmp_path):
    for seed in (1, 0):
        folder = tmp_path / str(seed)
        answer = run_model("train", architecture=architecture, trainset=trainset, seed=seed, folder=folder)
        assert answer["steps"] == list(range(7))
    assert weights(tmp_path / "0") == weights(model)
    assert weights(tmp_path / "1") != weights(model)


def test_a_trained_model_is_traced_to_its_trainset_and_its_machine(model, trainset):
    entry = read_json(model / "record.json")
    assert entry["made_from"] == made_from(trainset / "manifest.json")
    (run,) = entry["runs"]
    assert run["started"] <= entry["finished"]
    assert run["versions"]["torch"] == entry["versions"]["torch"]
    assert (run["hardware"]["device"], run["hardware"]["gpus"]) == ("cpu", [])
    assert run["hardware"]["cpu"] and run["hardware"]["node"]


def test_a_training_from_before_runs_were_recorded_is_kept(run_model, copied, architecture, trainset):
    before = {"runs", "finished", "made_from", "seed", "recipe"}
    entry = {name: value for name, value in read_json(copied / "record.json").items() if name not in before}
    write_json(copied / "record.json", entry)
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=copied)
    assert answer == {"value": entry, "steps": []}


def test_a_forced_training_forgets_the_runs_before(run_model, copied, architecture, trainset):
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=copied, start_over=True)
    assert answer["steps"] == list(range(7)) and len(answer["value"]["runs"]) == 1


@pytest.fixture
def copied(model, tmp_path):
    """A copy of the trained model that a test may change."""
    return shutil.copytree(model, tmp_path / "model")


def test_a_complete_training_is_left_alone(run_model, model, copied, architecture, trainset):
    before = (copied / WEIGHTS_FILE).stat().st_mtime_ns
    resources = {"gpus": 1, "memory_mb": 1, "runtime": 1}
    answer = run_model("train", architecture=architecture | resources, trainset=trainset, seed=0, folder=copied)
    assert answer == {"value": read_json(model / "record.json"), "steps": []}
    assert (copied / WEIGHTS_FILE).stat().st_mtime_ns == before


def test_a_forced_training_starts_over(run_model, model, copied, architecture, trainset):
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=copied, start_over=True)
    assert answer["steps"] == list(range(7))
    assert weights(copied) == weights(model)


def test_damaged_weights_are_no_finished_training(copied):
    request = read_json(copied / "record.json")["request"]
    assert valid_record(copied, request)
    assert valid_record(copied, "another request") is None
    content = bytearray(weights(copied))
    content[-1] ^= 1
    (copied / WEIGHTS_FILE).write_bytes(content)
    assert valid_record(copied, request) is None


def test_the_curve_of_a_training(model, architecture):
    rows = curve(model)
    assert [(row["step"], row["epoch"], row["samples_seen"]) for row in rows] == [
        (str(step), f"{16 * (step + 1) / 60:.6g}", str(16 * (step + 1))) for step in range(7)
    ]
    assert all(float(row["loss"]) > 0 and float(row["samples_per_second"]) > 0 for row in rows)
    # Half of seven steps rise to the experiment's rate, and a cosine falls behind them.
    rates = [float(row["lr"]) / architecture["learning_rate"] for row in rows]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[4:] == pytest.approx([1, 0.75, 0.25], abs=1e-3)


def test_the_memory_format_changes_no_more_than_rounding(run_model, model, architecture, trainset, tmp_path):
    """The demo's network is convolutional, so that its channels lie side by side unless the architecture says otherwise."""
    changed = architecture | {"channels_last": False}
    run_model("train", architecture=changed, trainset=trainset, seed=0, folder=tmp_path / "first")
    run_model(
        "train",
        architecture=architecture | {"channels_last": True},
        trainset=trainset,
        seed=0,
        folder=tmp_path / "last",
    )
    assert weights(tmp_path / "last") == weights(model) != weights(tmp_path / "first")
    losses = [[float(row["loss"]) for row in curve(folder)] for folder in (tmp_path / "first", model)]
    assert losses[0][:3] == pytest.approx(losses[1][:3], rel=1e-3)


def test_tensorboard_has_the_curve_too(run_model, architecture, trainset, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = {"tensorboard": True, "wandb_project": ""}
    run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=tmp_path, loggers=loggers)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    seen = [(str(event.step), f"{event.value:.4g}") for event in events.Scalars("train/loss")]
    assert seen == [(row["step"], f"{float(row['loss']):.4g}") for row in curve(tmp_path)]


def test_several_devices_share_a_batch(run_model, architecture, trainset, tmp_path):
    """Two processes on the CPU, which talk by gloo as GPUs do by NCCL."""
    request = {"architecture": architecture | {"gpus": 2}, "trainset": trainset, "seed": 0, "log": tmp_path / "log"}
    answer = run_model("train", folder=tmp_path / "model", **request)
    assert answer["value"]["samples_seen"] == 7 * 16
    assert [row["samples_seen"] for row in curve(tmp_path / "model")] == [str(16 * step) for step in range(1, 8)]
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
    assert answer["value"]["samples_seen"] == 7 * 16
    assert [row["samples_seen"] for row in curve(tmp_path / "model")] == [str(16 * step) for step in range(1, 8)]
    said = (tmp_path / "log").read_text()
    for line in (
        "accum_freq: 2",
        "batch_size: 4",
        "local_loss: True",
        "precision: amp_bf16",
        "grad_checkpointing: True",
    ):
        assert f"  {line}\n" in said


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
    assert "Did you mean RN50?" in answer["message"]


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
        ({"value": 1.0, "steps": None}, "the trainer ended before its steps were complete"),
        ({"value": 1.0, "steps": 7}, "the trainer made 7 of 8 steps"),
    ],
)
def test_a_model_that_is_not_whole_is_not_exported(run_model, tmp_path, trained, words):
    answer = run_model("export_weights", folder=tmp_path, **trained)
    assert answer["error"] == "TrainingError"
    assert words in answer["message"]
    assert [path.name for path in tmp_path.iterdir()] == [RUN]


def test_a_whole_model_is_exported_under_plain_names(run_model, tmp_path):
    assert run_model("export_weights", folder=tmp_path, value=1.0) == {"value": None, "steps": []}
    with safe_open(tmp_path / WEIGHTS_FILE, "numpy") as file:
        assert sorted(file.keys()) == ["bias", "weight"]
        assert file.get_tensor("weight").tolist() == [1.0, 1.0]


def test_steps_that_half_precision_left_out_are_no_error(run_model, tmp_path):
    assert run_model("export_weights", folder=tmp_path, value=1.0, steps=6, scaled=True) == {
        "value": None,
        "steps": [],
    }


def test_a_trainset_without_a_manifest_is_an_error(architecture, tmp_path):
    with pytest.raises(ManifestError, match=f"{tmp_path}/manifest.json: is missing"):
        train_clip(architecture, tmp_path, 0, tmp_path)
