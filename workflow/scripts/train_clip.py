"""Train one CLIP model from random initialisation with open_clip's trainer.

Each sample is seen once an epoch, in an order that depends only on the trainset and the seed. So do random numbers, so that
a resumed run equals an uninterrupted one. The weights are checked and recorded. On several devices torchrun or SLURM's srun
starts the trainer; the global batch size stays that of the experiment. A restarted job resumes from the newest checkpoint
that is not damaged, with any number of devices. A complete training is kept, unless the user forces the rule. A job ends
when SLURM announces its end, and requeues itself before its time limit.

In:  a trainset's manifest
Out: a manifest; beside it open_clip_config.json, open_clip_model.safetensors, the tokenizer's files if the tokenizer is
     not part of open_clip (open_clip's ``local-dir:<folder>`` loads the model), record.json, training.csv (the learning
     curve) and tensorboard/
"""

import logging
import os
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
from testbed.shards.index import INDEX, trainset_index
from testbed.training.checkpoints import TRAINED, last_step, not_finite, read_checkpoint
from testbed.training.launch import Interrupted, interruptible, launch_command, processes_of, run_processes
from testbed.training.recipe import (
    RUN,
    TrainingError,
    checkpoint_steps,
    optimiser_steps,
    request_of,
    trained_config,
    trainer_arguments,
)
from testbed.training.slurm import job_end_time, requeue_job
from testbed.training.trainer import OPEN_CLIP, OUT_OF_TIME, Run, train

if TYPE_CHECKING:
    from snakemake.script import snakemake

PACKAGES = ("torch", "torchcodec", "open_clip_torch", "numpy")
"""Packages that affect the result of a training; their versions are recorded."""

CURVE, INTERRUPTED = "training.csv", "interrupted.json"


def export(folder: Path, steps: int | None) -> dict:
    """Move the weights that the trainer wrote into `folder`, and return how it trained.

    `steps` are those of the whole training; None if open_clip's input decides about them. Raises `TrainingError` if the
    training is not complete or skipped steps, or if its weights are not finite.
    """
    from safetensors.torch import load_file

    try:
        trained = read_json(folder / RUN / TRAINED)
    except ManifestError:
        raise TrainingError(
            f"{folder}: the trainer ended before its steps were complete. Its messages are in the rule's log. Run "
            f"the same command again to resume from the last checkpoint, at step {last_step(folder / RUN)}."
        ) from None
    if bad := not_finite(load_file(folder / RUN / WEIGHTS_FILE)):
        raise TrainingError(
            f"{folder}: weights are not finite ({', '.join(bad[:3])}, ...). Lower architectures.*.learning_rate or use "
            f"another precision, and delete {folder / RUN}."
        )
    # Half-precision gradient scaling skips steps whose gradients overflow; otherwise every step must be there.
    if None not in (steps, trained["steps"]) and steps != trained["steps"] and not trained["scaled"]:
        raise TrainingError(
            f"{folder}: the trainer made {trained['steps']} of {steps} steps. Its messages are in the rule's log. Delete "
            f"{folder / RUN} and run the same command again."
        )
    publish(folder / RUN / WEIGHTS_FILE, folder / WEIGHTS_FILE)
    return trained


def valid_record(folder: Path, request: str) -> dict | None:
    """The record of the training in `folder`, or None unless it is complete and matches `request`."""
    try:
        entry = read_json(folder / "record.json")
    except ManifestError:
        return None
    return None if entry["request"] != request or any(problem(folder, file) for file in entry["files"]) else entry


def prepare_folder(folder: Path, config: dict, request: str, run: dict) -> list[dict]:
    """Prepare `folder` for the training of `request`, and remove the files of an earlier, different one.

    `run` is the run environment of this run. Returns the run environments of all runs of this training: those that left
    checkpoints, and this one.
    """
    try:
        before = read_json(folder / "request.json")
    except ManifestError:
        before = {}
    if before.get("request") != request:
        shutil.rmtree(folder / RUN, ignore_errors=True)
        before = {}
    for name in (WEIGHTS_FILE, "record.json", OUT_OF_TIME, INTERRUPTED, f"{RUN}/{TRAINED}"):
        (folder / name).unlink(missing_ok=True)
    # After the removal of old weights: the trainer would load weights that lie beside the configuration.
    write_json(folder / CONFIG_FILE, config)
    runs = [*(before.get("runs", []) if last_step(folder / RUN) else []), run]
    write_json(folder / "request.json", {"request": request, "runs": runs})
    return runs


def record_interruption(folder: Path, cause: str, planned: int) -> str:
    """Record in `folder` why the training was interrupted, and its last checkpoint's step; returns a message."""
    done = last_step(folder / RUN)
    write_json(folder / INTERRUPTED, {"cause": cause, "step": done, "planned": planned})
    return f"{folder}: interrupted ({cause}); the same command resumes at step {done} of {planned}"


def run_trainer(run: Run, architecture: dict, folder: Path, log: Path | None) -> None:
    """Run the trainer to its end; raises `TrainingError` if it fails or reaches the job's time limit.

    Raises `Interrupted` on the signals that announce the end of a job.
    """
    try:
        with interruptible():
            try:
                if processes_of(architecture) == 1:
                    status = train(run)
                else:
                    request = folder / RUN / "run.json"
                    write_json(request, asdict(run))
                    status = run_processes(launch_command(architecture, "testbed.training.trainer", request), log)
            except Interrupted as interruption:
                logging.warning("%s", record_interruption(folder, interruption.name, run.steps))
                raise
    except Interrupted as interruption:
        if interruption.name == "SIGUSR1":
            requeue_job()
        raise
    if (folder / OUT_OF_TIME).exists():
        message = record_interruption(folder, "time limit", run.steps)
        logging.warning("%s", message)
        requeue_job()
        raise TrainingError(message)
    if status:
        raise TrainingError(f"{folder}: open_clip's trainer failed with status {status}. Its messages are in the log.")


def train_clip(
    architecture: dict,
    trainset: Path,
    seed: int,
    folder: Path,
    start_over: bool = False,
    loggers: dict | None = None,
    log: Path | None = None,
) -> dict:
    """Train a model on the trainset in the folder `trainset`, and write it into `folder`; returns the record.

    `architecture` is a section of the experiment, `loggers` its `training` section, and `log` the file for the output of
    further processes. A complete training is kept unless `start_over`. Raises `TrainingError` if there is no model of the
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
    entry = valid_record(folder, request)
    if entry and not start_over:
        logging.info("%s is complete", folder)
        return entry
    if architecture["device"] == "cuda":
        check_gpus(max(1, architecture["gpus"]))
    if entry:
        shutil.rmtree(folder / RUN, ignore_errors=True)
    run = run_environment(architecture["device"], PACKAGES)
    runs = prepare_folder(folder, config, request, run)
    (folder / RUN).mkdir(exist_ok=True)
    index = trainset_index(trainset, samples["files"], folder / RUN / INDEX)
    tokenizer = save_tokenizer(architecture["model"], folder)
    arguments = trainer_arguments(architecture, trainset, size, seed, folder)
    if loggers.get("wandb_project"):
        os.environ.setdefault("WANDB_RESUME", "allow")
        os.environ.setdefault("WANDB_DIR", str(folder.resolve()))
        arguments += ["--report-to=wandb", f"--wandb-project-name={loggers['wandb_project']}"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    devices = processes_of(architecture)
    if devices > 1:
        # Renames damaged checkpoints, so that all processes read the same one.
        read_checkpoint(folder / RUN)
    logging.info("on %s, %d processes, CUDA_VISIBLE_DEVICES=%s", os.uname().nodename, devices, visible)
    steps = optimiser_steps(architecture, size)
    training = Run(
        *(arguments, str(trainset), str(index), seed, architecture["epochs"], steps, architecture["batch_size"]),
        curve=str(folder / CURVE),
        input=architecture["input"],
        checkpoint_minutes=architecture["checkpoint_minutes"],
        checkpoint_steps=checkpoint_steps(architecture, size),
        channels_last=architecture["channels_last"],
        cache_mb=architecture["cache_mb"],
        tensorboard=str(folder / "tensorboard") if loggers.get("tensorboard") else None,
        end=job_end_time(),
    )
    run_trainer(training, architecture, folder, log)
    exact = architecture["input"] != OPEN_CLIP
    trained = export(folder, steps if exact else None)
    steps = steps if exact else trained["steps"]
    entry = {
        "request": request,
        "samples": size,
        "epochs": architecture["epochs"],
        "steps": steps,
        "samples_seen": steps * architecture["batch_size"],
        "times_seen": trained["times_seen"],
        "versions": {name: version(name) for name in ("torch", "open_clip_torch")},
        "seed": seed,
        "recipe": architecture,
        "runs": runs,
        "finished": now(),
        "made_from": made_from(trainset / "manifest.json"),
        "files": [record(path) for path in (folder / CONFIG_FILE, folder / WEIGHTS_FILE, *tokenizer)],
    }
    write_json(folder / "record.json", entry)
    shutil.rmtree(folder / RUN)
    return entry


if __name__ == "__main__":
    run_warm("open_clip", "open_clip_train.main")
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
