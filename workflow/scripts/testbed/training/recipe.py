"""From an experiment's architecture to the command line of open_clip's trainer."""

import math
from pathlib import Path

from testbed.experiment.settings import RUN_ONLY, canonical
from testbed.records.manifest import digest
from testbed.training.launch import processes_of

RUN = "work"
"""The trainer's own folder (its ``--logs``) inside the model's."""

LOGIT_BIAS = -10.0
"""Where open_clip's trainer begins the bias that its option ``siglip`` gives to a network."""


class TrainingError(RuntimeError):
    """The trainer left no model that saw the planned samples."""


def request_of(architecture: dict, config: dict, trainset: dict, seed: int) -> str:
    """Digest of what is trained: the recipe, open_clip's configuration, the trainset's manifest and the seed."""
    recipe = {name: value for name, value in architecture.items() if name not in RUN_ONLY["architectures.*"]}
    return digest([canonical(recipe), config, trainset, seed])


def trained_config(config: dict, architecture: dict) -> dict:
    """The network that open_clip's trainer makes of `config`: with its option ``siglip`` it has a bias of logits."""
    if not architecture["extra"].get("siglip"):
        return config
    return config | {"model_cfg": {"init_logit_bias": LOGIT_BIAS, **config["model_cfg"]}}


def loading_processes(wanted: int, shards: list[int], batch_size: int, dealt: int = 1) -> int:
    """The largest number of data loading processes, up to `wanted`, that can each fill a batch; 0 is the trainer itself.

    open_clip deals out whole `shards` (samples in each): it refuses a process without one, and waits for ever for one
    with less than a batch. `dealt` is how many parts they are in before, for parts of an epoch and for devices; raises
    `TrainingError` where one of these cannot be sure of a batch.
    """
    shards = sorted(shards)
    for processes in range(min(wanted, len(shards) // dealt), 1, -1):
        if sum(shards[: len(shards) // dealt // processes]) >= batch_size:
            return processes
    if dealt > 1 and sum(shards[: len(shards) // dealt]) < batch_size:
        raise TrainingError(
            f"{len(shards)} shards in {dealt} parts (checkpoints_per_epoch times devices) may be less than a batch of "
            f"{batch_size} in each. Lower architectures.*.checkpoints_per_epoch or gpus, or shards.shard_size."
        )
    return min(wanted, 1)


def accumulated_batches(architecture: dict) -> int:
    """How many batches of all devices make one optimiser step of `batch_size` pairs (open_clip's ``accum-freq``)."""
    return int(architecture["extra"].get("accum-freq", 1))


def device_batch(architecture: dict) -> int:
    """Pairs that one device takes at once, so that a step has `batch_size` pairs whatever the number of devices.

    Raises `TrainingError` where `batch_size` cannot be cut so.
    """
    batches, devices = accumulated_batches(architecture), processes_of(architecture)
    if architecture["batch_size"] % (batches * devices):
        raise TrainingError(
            f"batch_size: {architecture['batch_size']} is no multiple of {devices} devices (nodes times "
            f"gpus) times extra.accum-freq, {batches}, so that a step would have another number of pairs. Change one of "
            "them."
        )
    return architecture["batch_size"] // (batches * devices)


def part_samples(architecture: dict, size: int) -> int:
    """Samples of an epoch's part, after which there is a checkpoint; raises `TrainingError` for less than a batch."""
    samples = math.ceil(size / architecture["checkpoints_per_epoch"])
    if samples < architecture["batch_size"]:
        raise TrainingError(
            f"architectures.*.checkpoints_per_epoch: {architecture['checkpoints_per_epoch']} parts of {size} samples are "
            f"smaller than a batch ({architecture['batch_size']}). Lower it."
        )
    return samples


def batches_per_part(architecture: dict, size: int) -> int:
    """Batches that open_clip makes of an epoch's part: enough for all, and equally many in each loading process."""
    processes = max(1, architecture["workers"])
    batch = architecture["batch_size"] // accumulated_batches(architecture)
    return math.ceil(math.ceil(part_samples(architecture, size) / batch) / processes) * processes


def optimiser_steps(architecture: dict, size: int) -> int:
    """Steps of a whole training."""
    steps = batches_per_part(architecture, size) // accumulated_batches(architecture)
    return steps * parts_of(architecture)


def parts_of(architecture: dict) -> int:
    """Parts of a whole training, each of which ends with a checkpoint."""
    return architecture["epochs"] * architecture["checkpoints_per_epoch"]


def warmup_steps(architecture: dict, size: int) -> int:
    """Steps of rising learning rate; a `warmup` below one is a share of all steps."""
    warmup = architecture["warmup"]
    return round(warmup * optimiser_steps(architecture, size)) if warmup < 1 else int(warmup)


def trainer_arguments(architecture: dict, trainset: Path, size: int, seed: int, folder: Path) -> list[str]:
    """Command line of open_clip's trainer for a model of `architecture` on the shards in the folder `trainset`."""
    shards = sorted(path.name for path in trainset.glob("*.tar"))
    options = {
        "model": f"local-dir:{folder}",
        "train-data": f"{trainset}/{{{Path(shards[0]).stem}..{Path(shards[-1]).stem}}}.tar",
        "dataset-type": "webdataset",
        "train-num-samples": part_samples(architecture, size),
        "batch-size": device_batch(architecture),
        # The trainer takes each part of an epoch for one.
        "epochs": parts_of(architecture),
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
        # By which Weights & Biases knows it.
        "name": folder.name,
        "resume": "latest",
        # As often as the trainer would, and some fifty times in a short training.
        "log-every-n-steps": min(100, max(1, optimiser_steps(architecture, size) // 50)),
        "save-frequency": 1,
    }
    options |= architecture["extra"]
    arguments = [f"--{name}={value}" for name, value in options.items() if not isinstance(value, bool)]
    return [*arguments, *(f"--{name}" for name, value in options.items() if value is True)]
