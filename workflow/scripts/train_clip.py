"""Train one CLIP model from random initialisation with open_clip's trainer.

Around the trainer: a fixed order of samples (open_clip seeds its sample buffer with the clock), random numbers that
depend only on seed and epoch, so that a resumed run equals an undisturbed one, a check of the product, and a record.
A restarted job resumes from the last whole epoch; a finished one returns at once, unless the user forces the rule.

In:  a trainset's manifest
Out: a manifest; beside it open_clip_config.json and open_clip_model.safetensors (so that open_clip's
     ``local-dir:<folder>`` loads the model), and record.json
"""

import logging
import math
import pickle
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.imports import skip_compiler, skip_unused_imports
from testbed.log import log_to
from testbed.manifest import ManifestError, digest, problem, publish, read_json, record, write_json
from testbed.work import follow_parent, is_forced, locked

if TYPE_CHECKING:
    from snakemake.script import snakemake

CONFIG_FILE, WEIGHTS_FILE = "open_clip_config.json", "open_clip_model.safetensors"
RUN = "work"
"""Name of the trainer's own folder (its ``--name``) inside the model's."""


class TrainingError(RuntimeError):
    """The trainer left no model that saw the planned samples."""


def model_config(model: str) -> dict:
    """The open_clip configuration of `model`, a folder with an open_clip_config.json or a name that open_clip knows."""
    if Path(model).is_dir():
        return read_json(Path(model) / CONFIG_FILE)
    import open_clip

    config = open_clip.get_model_config(model)
    if config is None:
        raise TrainingError(
            f"architectures: {model} is neither a folder nor a model that open_clip {version('open_clip_torch')} knows. "
            "Name one of open_clip.list_models()."
        )
    return {"model_cfg": config, "preprocess_cfg": {}}


def loading_processes(wanted: int, shards: list[int], batch_size: int) -> int:
    """The largest number of data loading processes, up to `wanted`, that can each fill a batch; 0 is the trainer itself.

    open_clip deals out whole `shards` (samples in each): it refuses a process without one, and waits for ever for one
    with less than a batch.
    """
    for processes in range(min(wanted, len(shards)), 1, -1):
        if sum(sorted(shards)[: len(shards) // processes]) >= batch_size:
            return processes
    return min(wanted, 1)


def accumulated_batches(architecture: dict) -> int:
    """How many batches make one optimiser step of `batch_size` pairs (open_clip's ``accum-freq``).

    Raises `TrainingError` where `batch_size` cannot be cut so.
    """
    batches = int(architecture["extra"].get("accum-freq", 1))
    if architecture["batch_size"] % batches:
        raise TrainingError(
            f"architectures.*.batch_size: {architecture['batch_size']} is no multiple of extra.accum-freq, {batches}. "
            "Change one of the two."
        )
    return batches


def batches_per_epoch(architecture: dict, size: int) -> int:
    """Batches that open_clip makes of `size` samples: enough for all, and equally many in each loading process."""
    processes = max(1, architecture["workers"])
    batch = architecture["batch_size"] // accumulated_batches(architecture)
    return math.ceil(math.ceil(size / batch) / processes) * processes


def optimiser_steps(architecture: dict, size: int) -> int:
    """Steps of a whole training."""
    return batches_per_epoch(architecture, size) // accumulated_batches(architecture) * architecture["epochs"]


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
        "train-num-samples": size,
        "batch-size": architecture["batch_size"] // accumulated_batches(architecture),
        "epochs": architecture["epochs"],
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
        "logs": folder,
        "name": RUN,
        "resume": "latest",
        # Beside the last epoch's checkpoint, which --save-most-recent keeps, open_clip would keep every epoch's.
        "save-frequency": 0,
        **architecture["extra"],
    }
    arguments = [f"--{name}={value}" for name, value in options.items() if not isinstance(value, bool)]
    return [*arguments, *(f"--{name}" for name, value in options.items() if value is True), "--save-most-recent"]


def keep_logging(*_: object) -> None:
    """Stands in for the trainer's own set-up of logging, which log_to has done."""


def make_deterministic(seed: int) -> None:
    """Make the order of samples and all random numbers of open_clip's trainer depend only on `seed` and the epoch.

    ``wds.shuffle``, which open_clip uses for its sample buffer, is seeded with process id and clock; open_clip's own
    ``detshuffle2``, which it uses for shards, takes its place. With workers of their own (``workers`` above 0)
    augmentations still differ between a resumed and an undisturbed run; on GPUs arithmetic does too.
    """
    from open_clip_train import data, main
    from open_clip_train.train import train_one_epoch

    class Epoch(data.SharedEpoch):
        """Remembers the epoch counter that the trainer makes for its data, for the stage that is made next."""

        current: "Epoch | None" = None

        def __init__(self, epoch: int = 0):
            super().__init__(epoch)
            Epoch.current = self

    def shuffle(bufsize: int, initial: int):
        return data.detshuffle2(bufsize=bufsize, initial=initial, seed=seed, epoch=Epoch.current)

    def train_seeded_epoch(model, batches, loss, epoch, *arguments, **options):
        # Seeds of neighbouring experiments (0, 1, 2) must not meet in later epochs.
        main.random_seed(seed * 1_000_003 + epoch)
        return train_one_epoch(model, batches, loss, epoch, *arguments, **options)

    data.SharedEpoch, data.wds.shuffle = Epoch, shuffle
    main.train_one_epoch, main.setup_logging = train_seeded_epoch, keep_logging


def load_checkpoint(folder: Path) -> dict | None:
    """The trainer's last checkpoint in its `folder`; one that does not load is deleted, and None returned."""
    import torch

    path = folder / "checkpoints" / "epoch_latest.pt"
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        logging.warning("%s does not load (%s); training starts over", path, error)
        path.unlink()
        return None


def export(checkpoint: dict | None, epochs: int, steps: int, folder: Path) -> None:
    """Write the weights of the finished `checkpoint` into `folder`.

    Raises `TrainingError` where it has not been trained for `epochs` and `steps`, or its weights are not finite.
    """
    import torch
    from safetensors.torch import save_file

    done = checkpoint["epoch"] if checkpoint else 0
    if done != epochs:
        raise TrainingError(
            f"{folder}: the trainer ended after {done} of {epochs} epochs. Its messages are in the rule's log; "
            "the same command continues from the last epoch."
        )
    weights = {name.removeprefix("module."): tensor.contiguous() for name, tensor in checkpoint["state_dict"].items()}
    bad = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise TrainingError(
            f"{folder}: weights are not finite ({', '.join(bad[:3])}, ...). Lower architectures.*.learning_rate or use "
            f"another precision, and delete {folder / RUN}."
        )
    # Half-precision scaling leaves out steps whose gradients overflow; otherwise each batch has to count.
    taken = max((int(state.get("step", steps)) for state in checkpoint["optimizer"]["state"].values()), default=0)
    if taken != steps and "scaler" not in checkpoint:
        raise TrainingError(
            f"{folder}: the trainer took {taken} of {steps} steps; its messages are in the rule's log. Delete "
            f"{folder / RUN} and run the same command again."
        )
    temporary = folder / f".{WEIGHTS_FILE}.tmp"
    save_file(weights, temporary)
    publish(temporary, folder / WEIGHTS_FILE)


def check_device(device: str) -> None:
    """Raise `TrainingError` where a GPU is asked for and none is there: open_clip would train on the CPU."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "architectures.*.device: cuda, but torch sees no GPU. Run on a machine with one, or set the device to cpu."
        )


def finished(folder: Path, request: str) -> dict | None:
    """The record of a training in `folder` that answers `request` and is whole, or None."""
    try:
        entry = read_json(folder / "record.json")
    except ManifestError:
        return None
    return None if entry["request"] != request or any(problem(folder, file) for file in entry["files"]) else entry


def prepare_folder(folder: Path, config: dict, request: str) -> None:
    """Make `folder` ready to train for `request`: what an earlier, different training left is removed."""
    begun = folder / "request.json"
    if not begun.is_file() or read_json(begun)["request"] != request:
        shutil.rmtree(folder / RUN, ignore_errors=True)
    for name in (WEIGHTS_FILE, "record.json"):
        (folder / name).unlink(missing_ok=True)
    # The trainer loads any weights that lie beside the configuration, so these are the last to come.
    write_json(folder / CONFIG_FILE, config)
    write_json(begun, {"request": request})


def train_clip(architecture: dict, trainset: Path, seed: int, folder: Path, start_over: bool = False) -> dict:
    """Train a model of `architecture` (the experiment's entry) on the trainset in the folder `trainset`, in `folder`.

    Returns the record. A training that is complete is kept unless `start_over`. Raises `TrainingError` if the trainer
    leaves no model of the planned epochs with finite weights.
    """
    samples = read_json(trainset / "manifest.json")
    size = samples["samples"]
    if size < architecture["batch_size"]:
        raise TrainingError(
            f"{trainset}: has {size} samples, fewer than one batch (architectures.*.batch_size: "
            f"{architecture['batch_size']}). Lower batch_size or raise the size."
        )
    config = model_config(architecture["model"])
    recipe = {name: value for name, value in architecture.items() if name not in ("gpus", "memory_mb", "runtime")}
    request = digest([recipe, config, samples, seed])
    entry = finished(folder, request)
    if entry and not start_over:
        logging.info("%s is complete", folder)
        return entry
    check_device(architecture["device"])
    if entry:
        shutil.rmtree(folder / RUN, ignore_errors=True)
    prepare_folder(folder, config, request)

    from open_clip_train import main

    shards = [file["samples"] for file in samples["files"]]
    batch = architecture["batch_size"] // accumulated_batches(architecture)
    workers = loading_processes(architecture["workers"], shards, batch)
    architecture = {**architecture, "workers": workers}
    make_deterministic(seed)
    load_checkpoint(folder / RUN)
    status = main.main(trainer_arguments(architecture, trainset, size, seed, folder))
    if status:
        raise TrainingError(f"{folder}: open_clip's trainer gave up with status {status}; its messages are in the log.")
    export(load_checkpoint(folder / RUN), architecture["epochs"], optimiser_steps(architecture, size), folder)
    seen = optimiser_steps(architecture, size) * architecture["batch_size"]
    entry = {
        "request": request,
        "samples": size,
        "epochs": architecture["epochs"],
        "samples_seen": seen,
        "versions": {name: version(name) for name in ("torch", "open_clip_torch")},
        "files": [record(folder / CONFIG_FILE), record(folder / WEIGHTS_FILE)],
    }
    write_json(folder / "record.json", entry)
    shutil.rmtree(folder / RUN)
    return entry


if __name__ == "__main__":
    log_to(snakemake.log[0])
    follow_parent()
    architecture = dict(snakemake.params.architecture)
    if Path(architecture["model"]).is_dir():
        # Models that open_clip knows by name may need any of them.
        skip_unused_imports(architecture, model_config(architecture["model"]))
    if architecture["device"] == "cpu" and "torchcompile" not in architecture["extra"]:
        skip_compiler()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = train_clip(
            architecture,
            Path(snakemake.input.trainset).parent,
            int(snakemake.wildcards.seed),
            folder,
            start_over=is_forced("train_clip"),
        )
        write_json(snakemake.output.manifest, manifest)
