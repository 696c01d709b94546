"""The steps of a training, and the command line of open_clip's trainer for an architecture of the experiment.

For open_clip's trainer, a training with an input of our own is one epoch: what it does between two epochs is not wanted.
"""

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


def optimiser_steps(architecture: dict, size: int) -> int:
    """Optimiser steps of the whole training: as many whole batches as `epochs` times `size` samples give.

    Raises `TrainingError` if they give none.
    """
    steps = architecture["epochs"] * size // architecture["batch_size"]
    if not steps:
        raise TrainingError(
            f"{architecture['epochs']} epochs of {size} samples are less than one batch (architectures.*.batch_size: "
            f"{architecture['batch_size']}). Lower it, or raise epochs or the size."
        )
    return steps


def checkpoint_steps(architecture: dict, size: int) -> int | None:
    """Steps between two checkpoints; None if an architecture gives minutes only (`checkpoint_minutes`)."""
    if parts := architecture.get("checkpoints_per_epoch"):
        return max(1, size // (architecture["batch_size"] * parts))
    return architecture.get("checkpoint_steps")


def warmup_steps(architecture: dict, size: int) -> int:
    """Steps of learning-rate warmup; a `warmup` below 1 is a fraction of all steps, `warmup_share` an upper limit to it."""
    warmup, limit = architecture["warmup"], architecture.get("warmup_share", 1)
    steps = optimiser_steps(architecture, size)
    wanted = round(warmup * steps) if warmup < 1 else int(warmup)
    return min(wanted, round(limit * steps)) if limit < 1 else wanted


def trainer_arguments(architecture: dict, trainset: Path, size: int, seed: int, folder: Path) -> list[str]:
    """Arguments of open_clip's trainer for a model of `architecture` on the `size` samples in the folder `trainset`."""
    shards = sorted(path.name for path in trainset.glob("*.tar"))
    options = {
        "model": f"local-dir:{folder}",
        "train-data": f"{trainset}/{{{Path(shards[0]).stem}..{Path(shards[-1]).stem}}}.tar",
        "dataset-type": "webdataset",
        "train-num-samples": size,
        "batch-size": device_batch(architecture),
        # The whole training is one epoch with an input of our own.
        "epochs": 1 if architecture["input"] == "exact" else architecture["epochs"],
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
        # The trainer's own interval, or about fifty rows for a short training.
        "log-every-n-steps": min(100, max(1, optimiser_steps(architecture, size) // 50)),
        "save-frequency": 0,
    }
    options |= {"torchcompile": architecture["compile"]} | architecture["extra"]
    arguments = [f"--{name}={value}" for name, value in options.items() if not isinstance(value, bool)]
    return [*arguments, *(f"--{name}" for name, value in options.items() if value is True)]
