"""Train one CLIP model from random initialisation with open_clip's trainer.

Around the trainer: a fixed order of samples (open_clip seeds its sample buffer with the clock), random numbers that
depend only on seed and epoch, so that a resumed run equals an undisturbed one, a check of the product, and a record.
On several devices torchrun or SLURM's launcher starts the trainer; the global batch stays what the experiment says.
A restarted job resumes from the newest checkpoint that loads; a finished one returns at once, unless the user forces
the rule. A job that SLURM is about to end ends by itself, and one that sees its time run out goes back into the queue.

In:  a trainset's manifest
Out: a manifest; beside it open_clip_config.json and open_clip_model.safetensors and, of a model whose
     tokenizer is not open_clip's own, the tokenizer's files (so that open_clip's ``local-dir:<folder>`` loads the model),
     record.json, training.csv (the learning curve) and tensorboard/
"""

import logging
import os
import pickle
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.models.devices import check_gpus
from testbed.models.networks import CONFIG_FILE, WEIGHTS_FILE, check_random, network_config, save_tokenizer
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import ManifestError, problem, read_json, record, write_json
from testbed.records.processes import is_forced, terminate_with_parent
from testbed.records.provenance import made_from, now, run_environment
from testbed.records.warm_worker import run_warm
from testbed.training.launch import Interrupted, command_of, interruptible, processes_of, run_processes
from testbed.training.recipe import (
    RUN,
    TrainingError,
    accumulated_batches,
    loading_processes,
    optimiser_steps,
    parts_of,
    request_of,
    trained_config,
    trainer_arguments,
)
from testbed.training.slurm import end_of_job, go_on_later
from testbed.training.trainer import OUT_OF_TIME, TRAINED, Run, checkpoints_in, number_of, train

if TYPE_CHECKING:
    from snakemake.script import snakemake

PACKAGES = ("torch", "open_clip_torch", "webdataset", "numpy")
"""Packages that decide what a training makes, whose versions are recorded."""

CURVE, INTERRUPTED = "training.csv", "interrupted.json"


def remove_unreadable(folder: Path) -> None:
    """Remove the trainer's newest checkpoints in `folder` until one loads, with which the trainer goes on."""
    import torch

    for path in sorted(folder.glob("epoch_[0-9]*.pt"), key=number_of, reverse=True):
        try:
            torch.load(path, map_location="cpu", weights_only=True)
            return
        except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            logging.warning("%s does not load (%s); stepping back", path, error)
            path.unlink()


def export(folder: Path, parts: int, steps: int) -> None:
    """Move the weights of a training of `parts` and `steps` to `folder`, from where the trainer wrote them.

    Raises `TrainingError` where it has not come to its end or has left out steps, or its weights are not finite.
    """
    import torch
    from safetensors.torch import load_file

    try:
        trained = read_json(folder / RUN / TRAINED)
    except ManifestError:
        raise TrainingError(
            f"{folder}: the trainer ended after {checkpoints_done(folder)} of {parts} checkpoints. Its messages are in the "
            "rule's log; the same command continues from the last one."
        ) from None
    weights = load_file(folder / RUN / WEIGHTS_FILE)
    bad = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise TrainingError(
            f"{folder}: weights are not finite ({', '.join(bad[:3])}, ...). Lower architectures.*.learning_rate or use "
            f"another precision, and delete {folder / RUN}."
        )
    # Half-precision scaling leaves out steps whose gradients overflow; otherwise each batch has to count.
    if trained["steps"] not in (steps, None) and not trained["scaled"]:
        raise TrainingError(
            f"{folder}: the trainer took {trained['steps']} of {steps} steps; its messages are in the rule's log. Delete "
            f"{folder / RUN} and run the same command again."
        )
    publish(folder / RUN / WEIGHTS_FILE, folder / WEIGHTS_FILE)


def finished(folder: Path, request: str) -> dict | None:
    """The record of a training in `folder` that answers `request` and is whole, or None."""
    try:
        entry = read_json(folder / "record.json")
    except ManifestError:
        return None
    return None if entry["request"] != request or any(problem(folder, file) for file in entry["files"]) else entry


def checkpoints_done(folder: Path) -> int:
    """How many parts a training in `folder` has behind it, by its newest checkpoint."""
    return max((number_of(path) for path in checkpoints_in(folder / RUN / folder.name / "checkpoints")), default=0)


def prepare_folder(folder: Path, config: dict, begun: dict, run: dict) -> list[dict]:
    """Make `folder` ready for the training that `begun` describes: what an earlier, different one left is removed.

    Returns the run_environment of the training's runs so far: of those that left checkpoints, and of this one, `run`.
    Raises `TrainingError` where the same one was begun on another number of devices: steps would not fit together.
    """
    try:
        before = read_json(folder / "request.json")
    except ManifestError:
        before = {}
    if before.get("request") != begun["request"]:
        shutil.rmtree(folder / RUN, ignore_errors=True)
        before = {}
    elif before.get("devices", 1) != begun["devices"] and checkpoints_done(folder):
        raise TrainingError(
            f"{folder}: was begun on {before.get('devices', 1)} devices and is to go on with {begun['devices']}. Set "
            f"architectures.*.gpus and nodes back, or delete {folder / RUN} to start over."
        )
    for name in (WEIGHTS_FILE, "record.json", OUT_OF_TIME, INTERRUPTED, f"{RUN}/{TRAINED}"):
        (folder / name).unlink(missing_ok=True)
    # The trainer loads any weights that lie beside the configuration, so these are the last to come.
    write_json(folder / CONFIG_FILE, config)
    runs = [*(before.get("runs", []) if checkpoints_done(folder) else []), run]
    write_json(folder / "request.json", begun | {"runs": runs})
    return runs


def note_interruption(folder: Path, cause: str, parts: int) -> str:
    """Leave in `folder` why the training ended before its time; returns it in words."""
    done = checkpoints_done(folder)
    write_json(folder / INTERRUPTED, {"cause": cause, "checkpoints": done, "planned": parts})
    return f"{folder}: interrupted ({cause}) after {done} of {parts} checkpoints; the same command goes on from there"


def run_trainer(run: Run, architecture: dict, folder: Path, log: Path | None) -> None:
    """Run the trainer to its end; raises `TrainingError` where it gives up, or where the job's time runs out.

    Raises `Interrupted` on the signals that announce the end of a job.
    """
    parts = parts_of(architecture)
    try:
        with interruptible():
            try:
                if processes_of(architecture) == 1:
                    status = train(run)
                else:
                    request = folder / RUN / "run.json"
                    write_json(request, asdict(run))
                    status = run_processes(command_of(architecture, "testbed.training.trainer", request), log)
            except Interrupted as interruption:
                logging.warning("%s", note_interruption(folder, interruption.name, parts))
                raise
    except Interrupted as interruption:
        if interruption.name == "SIGUSR1":
            go_on_later()
        raise
    if (folder / OUT_OF_TIME).exists():
        message = note_interruption(folder, "time limit", parts)
        logging.warning("%s", message)
        go_on_later()
        raise TrainingError(message)
    if status:
        raise TrainingError(f"{folder}: open_clip's trainer gave up with status {status}; its messages are in the log.")


def train_clip(
    architecture: dict,
    trainset: Path,
    seed: int,
    folder: Path,
    start_over: bool = False,
    loggers: dict | None = None,
    log: Path | None = None,
) -> dict:
    """Train a model of `architecture` (the experiment's entry) on the trainset in the folder `trainset`, in `folder`.

    `loggers` is the experiment's `training` section, `log` takes what further processes say. Returns the record. A
    training that is complete is kept unless `start_over`. Raises `TrainingError` if the trainer leaves no model of the
    planned epochs with finite weights.
    """
    loggers = loggers or {}
    samples = read_json(trainset / "manifest.json")
    size = samples["samples"]
    if size < architecture["batch_size"]:
        raise TrainingError(
            f"{trainset}: has {size} samples, fewer than one batch (architectures.*.batch_size: "
            f"{architecture['batch_size']}). Lower batch_size or raise the size."
        )
    check_random(architecture["model"])
    config = trained_config(network_config(architecture["model"]), architecture)
    request = request_of(architecture, config, samples, seed)
    entry = finished(folder, request)
    if entry and not start_over:
        logging.info("%s is complete", folder)
        return entry
    if architecture["device"] == "cuda":
        check_gpus(max(1, architecture["gpus"]))
    if entry:
        shutil.rmtree(folder / RUN, ignore_errors=True)
    devices = processes_of(architecture)
    run = run_environment(architecture["device"], PACKAGES)
    runs = prepare_folder(folder, config, {"request": request, "devices": devices}, run)
    tokenizer = save_tokenizer(architecture["model"], folder)
    asked = architecture

    shards = [file["samples"] for file in samples["files"]]
    batch = architecture["batch_size"] // accumulated_batches(architecture)
    dealt = architecture["checkpoints_per_epoch"] * devices
    workers = loading_processes(architecture["workers"], shards, batch // devices, dealt)
    architecture = {**architecture, "workers": workers}
    arguments = trainer_arguments(architecture, trainset, size, seed, folder)
    if loggers.get("wandb_project"):
        os.environ.setdefault("WANDB_RESUME", "allow")
        os.environ.setdefault("WANDB_DIR", str(folder.resolve()))
        arguments += ["--report-to=wandb", f"--wandb-project-name={loggers['wandb_project']}"]
    remove_unreadable(folder / RUN / folder.name / "checkpoints")
    board = str(folder / "tensorboard") if loggers.get("tensorboard") else None
    parts = architecture["checkpoints_per_epoch"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    logging.info("on %s, %d processes, CUDA_VISIBLE_DEVICES=%s", os.uname().nodename, devices, visible)
    training = Run(arguments, seed, parts, architecture["batch_size"], str(folder / CURVE), board, end_of_job())
    run_trainer(training, architecture, folder, log)
    export(folder, parts_of(architecture), optimiser_steps(architecture, size))
    seen = optimiser_steps(architecture, size) * architecture["batch_size"]
    entry = {
        "request": request,
        "samples": size,
        "epochs": architecture["epochs"],
        "samples_seen": seen,
        "versions": {name: version(name) for name in ("torch", "open_clip_torch")},
        "seed": seed,
        "recipe": asked,
        "runs": runs,
        "finished": now(),
        "made_from": made_from(trainset / "manifest.json"),
        "files": [record(path) for path in (folder / CONFIG_FILE, folder / WEIGHTS_FILE, *tokenizer)],
    }
    write_json(folder / "record.json", entry)
    shutil.rmtree(folder / RUN)
    return entry


if __name__ == "__main__":
    run_warm("open_clip_train.main")
    log_to(snakemake.log[0])
    terminate_with_parent()
    config = snakemake.config
    architecture = config["architectures"][snakemake.wildcards.architecture] | snakemake.params.recipe
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = train_clip(
            architecture,
            Path(snakemake.input.trainset).parent,
            int(snakemake.wildcards.seed),
            folder,
            start_over=is_forced("train_clip"),
            loggers=config["training"],
            log=Path(snakemake.log[0]).resolve(),
        )
        write_json(snakemake.output.manifest, manifest)
