"""The command line of open_clip's trainer for an architecture of the experiment.

open_clip's trainer writes checkpoints at the end of an epoch only. So each of the `checkpoints_per_epoch` checkpoint
intervals of an epoch is an epoch of the trainer.
"""

import math
from pathlib import Path

from testbed.experiment.settings import RUN_ONLY, canonical
from testbed.records.manifest import digest
from testbed.training.launch import processes_of

RUN = "work"
"""The trainer's own folder (its ``--logs``) inside the model's."""

LOGIT_BIAS = -10.0
"""Initial value of the logit bias that the option ``siglip`` of open_clip's trainer adds to a network."""


class TrainingError(RuntimeError):
    """A training cannot be set up as planned, or did not give a model trained on the planned samples."""


def request_of(architecture: dict, config: dict, trainset: dict, seed: int) -> str:
    """Digest that identifies a training: of the recipe, open_clip's configuration, the trainset's manifest and the seed."""
    recipe = {name: value for name, value in architecture.items() if name not in RUN_ONLY["architectures.*"]}
    return digest([canonical(recipe), config, trainset, seed])


def trained_config(config: dict, architecture: dict) -> dict:
    """`config` as open_clip's trainer changes it: its option ``siglip`` adds a logit bias."""
    if not architecture["extra"].get("siglip"):
        return config
    return config | {"model_cfg": {"init_logit_bias": LOGIT_BIAS, **config["model_cfg"]}}


def loading_processes(wanted: int, shards: list[int], batch_size: int, groups: int = 1) -> int:
    """The largest number of data loading processes, up to `wanted`, that each get at least one batch; 0 means none.

    open_clip distributes whole `shards` (numbers of samples) over processes. It fails for a process without a shard, and
    waits forever for a process with less than a batch. Before, the shards are divided into `groups`, one for each
    checkpoint interval of an epoch and each device. Raises `TrainingError` if a group may have less than a batch.
    """
    shards = sorted(shards)
    for processes in range(min(wanted, len(shards) // groups), 1, -1):
        if sum(shards[: len(shards) // groups // processes]) >= batch_size:
            return processes
    if groups > 1 and sum(shards[: len(shards) // groups]) < batch_size:
        raise TrainingError(
            f"{len(shards)} shards in {groups} groups (checkpoints_per_epoch times devices): a group may have less than a "
            f"batch of {batch_size}. Lower architectures.*.checkpoints_per_epoch or gpus, or shards.shard_size."
        )
    return min(wanted, 1)


def accumulated_batches(architecture: dict) -> int:
    """Number of batches per optimiser step (open_clip's ``accum-freq``); together they have `batch_size` pairs."""
    return int(architecture["extra"].get("accum-freq", 1))


def device_batch(architecture: dict) -> int:
    """Batch size on each device, such that a step has `batch_size` pairs for any number of devices.

    Raises `TrainingError` if `batch_size` is not divisible.
    """
    batches, devices = accumulated_batches(architecture), processes_of(architecture)
    if architecture["batch_size"] % (batches * devices):
        raise TrainingError(
            f"batch_size: {architecture['batch_size']} is no multiple of {devices} devices (nodes times "
            f"gpus) times extra.accum-freq, {batches}. Change one of them."
        )
    return architecture["batch_size"] // (batches * devices)


def interval_samples(architecture: dict, size: int) -> int:
    """Samples between two checkpoints; raises `TrainingError` if they are less than a batch."""
    samples = math.ceil(size / architecture["checkpoints_per_epoch"])
    if samples < architecture["batch_size"]:
        raise TrainingError(
            f"architectures.*.checkpoints_per_epoch: {architecture['checkpoints_per_epoch']} checkpoints in {size} samples "
            f"leave {samples} samples between two of them, less than a batch ({architecture['batch_size']}). Lower it."
        )
    return samples


def batches_per_interval(architecture: dict, size: int) -> int:
    """Batches between two checkpoints: enough for all samples, and a multiple of the data loading processes."""
    processes = max(1, architecture["workers"])
    batch = architecture["batch_size"] // accumulated_batches(architecture)
    return math.ceil(math.ceil(interval_samples(architecture, size) / batch) / processes) * processes


def optimiser_steps(architecture: dict, size: int) -> int:
    """Optimiser steps of the whole training."""
    steps = batches_per_interval(architecture, size) // accumulated_batches(architecture)
    return steps * checkpoint_count(architecture)


def checkpoint_count(architecture: dict) -> int:
    """Checkpoints of the whole training."""
    return architecture["epochs"] * architecture["checkpoints_per_epoch"]


def warmup_steps(architecture: dict, size: int) -> int:
    """Steps of learning-rate warmup; a `warmup` below 1 is a fraction of all steps."""
    warmup = architecture["warmup"]
    return round(warmup * optimiser_steps(architecture, size)) if warmup < 1 else int(warmup)


def trainer_arguments(architecture: dict, trainset: Path, size: int, seed: int, folder: Path) -> list[str]:
    """Arguments of open_clip's trainer for a model of `architecture` on the shards in the folder `trainset`.

    Raises `TrainingError` for an option in `extra` that would contradict the experiment.
    """
    shards = sorted(path.name for path in trainset.glob("*.tar"))
    options = {
        "model": f"local-dir:{folder}",
        "train-data": f"{trainset}/{{{Path(shards[0]).stem}..{Path(shards[-1]).stem}}}.tar",
        "dataset-type": "webdataset",
        "train-num-samples": interval_samples(architecture, size),
        "batch-size": device_batch(architecture),
        # An epoch of the trainer is a checkpoint interval.
        "epochs": checkpoint_count(architecture),
        "warmup": warmup_steps(architecture, size),
        "lr": architecture["learning_rate"],
        "wd": architecture["weight_decay"],
        "beta1": architecture["beta1"],
        "beta2": architecture["beta2"],
        "eps": architecture["epsilon"],
        "precision": architecture["precision"],
        "device": architecture["device"],
        "workers": architecture["workers"],
        "seed": seed,
        "logs": folder / RUN,
        # Weights & Biases shows this name.
        "name": folder.name,
        "resume": "latest",
        # The trainer's own interval, or about fifty rows for a short training.
        "log-every-n-steps": min(100, max(1, optimiser_steps(architecture, size) // 50)),
        "save-frequency": 1,
    }
    options |= architecture["extra"]
    arguments = [f"--{name}={value}" for name, value in options.items() if not isinstance(value, bool)]
    return [*arguments, *(f"--{name}" for name, value in options.items() if value is True)]
