"""Trainings that are killed, and go on: from any step, with any number of processes and devices, to the same model."""

import csv
import platform
import shutil
import signal
from pathlib import Path

import pytest
import torch

from processes import helper
from testbed.records.manifest import read_json, write_json
from testbed.training.checkpoints import (
    RESERVED_SECONDS,
    CheckpointSchedule,
    checkpoints_in,
    fused_as,
    last_step,
    read_checkpoint,
    step_of,
    write_checkpoint,
)
from testbed.training.curve import Curve
from testbed.training.recipe import RUN
from traced_trainer import steps_of
from train_clip import CURVE, WEIGHTS_FILE

OFTEN = {"checkpoint_steps": 2}
"""A checkpoint after every second of seven steps."""


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS_FILE).read_bytes()


def curve(folder: Path) -> list[dict[str, str]]:
    with open(folder / CURVE, newline="") as file:
        return list(csv.DictReader(file))


def measured(folder: Path) -> list[tuple[str, ...]]:
    """What a curve says of the model, without times."""
    return [
        tuple(row[name] for name in ("step", "epoch", "samples_seen", "loss", "lr", "scale")) for row in curve(folder)
    ]


def killed_training(scripts_environment, folder: Path, how: int = signal.SIGKILL, **request) -> dict:
    """Train into `folder` until a signal ends it; what the process ended with."""
    with helper("model_runs.py", scripts_environment) as ask:
        return ask(["train", {"seed": 0, "folder": folder, "how": how, **request}])


@pytest.fixture(scope="module")
def killed(scripts_environment, architecture, trainset, tmp_path_factory):
    """The folder of a training like the model's that was killed in step 5, with checkpoints of the steps 2 and 4."""
    folder = tmp_path_factory.mktemp("killed")
    request = {"architecture": architecture | OFTEN, "trainset": trainset, "die_at": 5}
    assert killed_training(scripts_environment, folder, **request) == {"ended": -signal.SIGKILL}
    assert not (folder / WEIGHTS_FILE).exists()
    assert [step_of(path) for path in checkpoints_in(folder / RUN)] == [4, 2]
    return folder


def test_a_kill_right_after_a_checkpoint_loses_no_row(
    run_model, scripts_environment, model, architecture, trainset, tmp_path
):
    request = {"architecture": architecture | OFTEN, "trainset": trainset}
    killed_training(scripts_environment, tmp_path, die_at=4, **request)
    assert run_model("train", seed=0, folder=tmp_path, **request)["steps"] == [4, 5, 6]
    assert measured(tmp_path) == measured(model)


def damage(path: Path, how: str) -> None:
    if how == "earlier":
        checkpoint = torch.load(path)
        for group in checkpoint["optimizer"]["param_groups"]:
            assert group["fused"]
            group["fused"] = None
        torch.save(checkpoint, path)
        return
    content = path.read_bytes()
    path.unlink()
    path.write_bytes({"none": content, "cut": content[:-1000]}.get(how, b"no checkpoint"))


@pytest.mark.parametrize(
    ("last", "before", "first"),
    [
        ("none", "none", 4),
        ("earlier", "none", 4),
        ("cut", "none", 2),
        ("other bytes", "none", 2),
        ("cut", "other bytes", 0),
    ],
)
def test_a_killed_training_ends_in_the_same_bytes(
    run_model, killed, model, architecture, trainset, tmp_path, last, before, first
):
    """It goes on after the newest checkpoint that loads, or starts over where none does."""
    folder = shutil.copytree(killed, tmp_path / killed.name)
    for path, how in zip(checkpoints_in(folder / RUN), (last, before), strict=True):
        damage(path, how)
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=folder)
    assert answer["steps"] == list(range(first, 7))
    assert weights(folder) == weights(model)
    assert measured(folder) == measured(model)
    recorded = read_json(model / "record.json")
    assert answer["value"] | {name: recorded[name] for name in ("runs", "finished")} == recorded
    assert not (folder / RUN).exists()


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_loading_processes_change_nothing(run_model, killed, model, architecture, trainset, tmp_path, workers):
    """Neither in a whole training nor after a kill, where there were none before."""
    whole, folder = tmp_path / "whole", shutil.copytree(killed, tmp_path / killed.name)
    request = {"architecture": architecture | {"workers": workers}, "trainset": trainset, "seed": 0}
    assert run_model("train", folder=whole, **request)["value"]["times_seen"] == [1, 2]
    assert run_model("train", folder=folder, **request)["steps"] == [4, 5, 6]
    assert weights(whole) == weights(folder) == weights(model)
    assert steps_of(whole) == steps_of(folder) == steps_of(model)


@pytest.mark.parametrize(("devices", "die_at", "then"), [(2, 5, 1), (4, 3, 2)])
def test_devices_see_the_samples_of_one(run_model, model, architecture, trainset, tmp_path, devices, die_at, then):
    """Processes on the CPU, which talk by gloo as GPUs do by NCCL; killed once, and with other devices afterwards."""
    folder = tmp_path / "model"
    request = {"trainset": trainset, "seed": 0, "folder": folder, "log": tmp_path / "log"}
    changed = architecture | OFTEN | {"gpus": devices, "workers": devices % 4}
    answer = run_model("train", architecture=changed, die_at=die_at, **request)
    assert "failed with status" in answer["message"]
    assert last_step(folder / RUN) == die_at // 2 * 2
    noted = [steps_of(folder)]
    for trace in folder.glob("trace-*"):
        trace.unlink()
    answer = run_model("train", architecture=changed | {"gpus": then}, **request)
    assert answer["value"]["times_seen"] == [1, 2] and len(answer["value"]["runs"]) == 2
    assert [row["samples_seen"] for row in curve(folder)] == [str(16 * step) for step in range(1, 8)]
    noted.append(steps_of(folder))
    assert [sorted(own) for own in noted] == [list(range(die_at + 1)), list(range(die_at // 2 * 2, 7))]
    expected = steps_of(model)
    assert all(samples == expected[step] for own in noted for step, samples in own.items())


def test_a_resumed_training_names_all_of_its_runs(run_model, killed, architecture, trainset, tmp_path):
    folder = shutil.copytree(killed, tmp_path / killed.name)
    request = read_json(folder / "request.json")
    write_json(folder / "request.json", request | {"runs": [{"hardware": {"node": "the first"}}]})
    answer = run_model("train", architecture=architecture, trainset=trainset, seed=0, folder=folder)
    assert [run["hardware"]["node"] for run in answer["value"]["runs"]] == ["the first", platform.node()]


def test_a_forced_training_that_was_killed_goes_on(run_model, killed, architecture, trainset, tmp_path):
    """A cluster job that is put back to the queue starts with the same command, forced rules included."""
    request = {"architecture": architecture, "trainset": trainset, "seed": 0, "start_over": True}
    folder = shutil.copytree(killed, tmp_path / killed.name)
    assert run_model("train", folder=folder, **request)["steps"] == [4, 5, 6]


def test_another_recipe_does_not_go_on_from_what_was_left(run_model, killed, architecture, trainset, tmp_path):
    folder = shutil.copytree(killed, tmp_path / killed.name)
    changed = architecture | {"learning_rate": 0.001}
    answer = run_model("train", architecture=changed, trainset=trainset, seed=0, folder=folder)
    assert answer["steps"] == list(range(7))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGUSR1], ids=lambda how: how.name)
def test_a_signal_ends_a_training_that_goes_on_later(
    run_model, scripts_environment, model, architecture, trainset, tmp_path, how
):
    folder = tmp_path / "model"
    request = {"architecture": architecture | OFTEN, "trainset": trainset}
    assert killed_training(scripts_environment, folder, how, die_at=5, **request) == {"ended": 128 + how}
    assert read_json(folder / "interrupted.json") == {"cause": how.name, "step": 4, "planned": 7}
    assert not (folder / WEIGHTS_FILE).exists()
    assert run_model("train", seed=0, folder=folder, **request)["steps"] == [4, 5, 6]
    assert weights(folder) == weights(model)
    assert not (folder / "interrupted.json").exists()


def test_of_checkpoints_the_last_two_stay(tmp_path):
    for step in (2, 8, 9, 10):
        write_checkpoint(tmp_path, step, {"step": step, "weights": torch.ones(3)})
    assert [step_of(path) for path in checkpoints_in(tmp_path)] == [10, 9]
    assert last_step(tmp_path) == 10
    assert read_checkpoint(tmp_path)["step"] == 10
    damage(checkpoints_in(tmp_path)[0], "cut")
    assert read_checkpoint(tmp_path)["step"] == 9
    assert last_step(tmp_path) == 9
    damage(checkpoints_in(tmp_path)[0], "other bytes")
    assert read_checkpoint(tmp_path) is None


@pytest.mark.parametrize("fused", [None, True])
def test_an_optimizer_goes_on_as_it_was_made(fused):
    """Another one than that of the trainer may not be fused, and checkpoints of earlier versions say that none is."""
    optimizer = torch.optim.AdamW([torch.ones(2, requires_grad=True)], fused=fused)
    state = torch.optim.AdamW([torch.ones(2, requires_grad=True)]).state_dict()
    optimizer.load_state_dict(fused_as(optimizer, state))
    assert optimizer.param_groups[0]["fused"] is fused and state["param_groups"][0]["fused"] is None


def test_rows_of_steps_that_are_taken_again_are_dropped(tmp_path):
    path = tmp_path / CURVE
    path.write_text("step,loss\n" + "".join(f"{step},1\n" for step in range(6)) + "6")
    resumed = Curve(path, 4, 8, 16, 60, None, False)
    # The trainer counts from the step at which it began.
    resumed.add_scalar("train/loss", 2.0, 0)
    resumed.write()
    rows = curve(tmp_path)
    assert [(row["step"], row["loss"]) for row in rows] == [*((str(step), "1") for step in range(4)), ("4", "2")]
    assert (rows[-1]["samples_seen"], rows[-1]["epoch"]) == ("80", "1.33333")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def decisions(seconds: float, last: int, every: int = 1, **settings) -> list[str | None]:
    """What is decided before each step of a training whose steps take so many `seconds`."""
    clock = Clock()
    schedule = CheckpointSchedule(
        *(settings.get(name, default) for name, default in (("minutes", 1), ("steps", None), ("end", None))),
        every,
        clock,
    )
    decided = []
    for step in range(every, last + 1, every):
        clock.now += seconds * every
        decided.append(schedule.decide(step))
    return decided


def test_checkpoints_come_after_minutes_or_steps():
    assert decisions(20, 8, minutes=1) == [None, None, "save", None, None, "save", None, None]
    assert decisions(20, 6, steps=2) == [None, "save", None, "save", None, "save"]
    # At the next step that is logged.
    assert decisions(1, 60, every=10, steps=25) == [None, None, "save", None, "save", None]


def test_a_training_ends_while_there_is_time_for_a_checkpoint():
    """Before steps that would end in the reserved time, if they take a tenth longer than the longest until then."""
    left = RESERVED_SECONDS + 4.1 * 100
    assert decisions(100, 5, end=1000 + left, minutes=99) == [None, None, None, "stop", "stop"]
    assert decisions(100, 3, end=1000.0)[0] == "stop"


def test_open_clips_input_resumes_after_an_epoch_and_counts_nothing(
    run_model, scripts_environment, architecture, trainset, tmp_path
):
    """Epochs are rounded up to whole batches."""
    request = {
        "architecture": architecture | {"input": "open_clip", "checkpoint_steps": 1},
        "trainset": trainset,
        "seed": 0,
    }
    answer = run_model("train", folder=tmp_path / "whole", **request)
    assert {name: answer["value"][name] for name in ("steps", "samples_seen", "times_seen")} == {
        "steps": 8,
        "samples_seen": 8 * 16,
        "times_seen": None,
    }
    assert [row["step"] for row in curve(tmp_path / "whole")] == list("01234567")
    killed_training(scripts_environment, tmp_path / "killed", die_at=4, **request)
    assert last_step(tmp_path / "killed" / RUN) == 4
    run_model("train", folder=tmp_path / "killed", **request)
    assert [row["step"] for row in curve(tmp_path / "killed")] == list("01234567")
