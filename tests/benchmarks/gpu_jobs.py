"""Parts of benchmark_gpu.py that need a process of their own: ``python gpu_jobs.py NAME REQUEST``, a JSON of arguments.

The last line of what a part prints is its result, a JSON.
"""

import gc
import json
import logging
import os
import signal
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from benchmark_precision import precisions_of, scores_of

from testbed.records.manifest import record, write_json


class Steps(logging.Handler):
    """Notes when open_clip's trainer tells of a step."""

    def __init__(self):
        super().__init__()
        self.times: list[float] = []

    def emit(self, message: logging.LogRecord) -> None:
        if message.getMessage().startswith("Train Epoch"):
            self.times.append(time.monotonic())


def measured(run: Callable[[], object], batch_size: int) -> dict:
    """Samples per second of the second half of a training, and the most memory of the device in MB.

    In the first steps kernels are chosen, and loading processes had batches ready.
    """
    steps, root = Steps(), logging.getLogger()
    # A trainer before this one left its own.
    root.handlers = [steps]
    root.setLevel(logging.INFO)
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    run()
    counted = steps.times[len(steps.times) // 2 :]
    return {
        "samples_per_second": (len(counted) - 1) * batch_size / (counted[-1] - counted[0]),
        "steps": len(steps.times),
        "first_step_s": steps.times[0] - started,
        "memory_mb": torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else None,
    }


def train(architecture: dict, trainset: str, short: str, folder: str) -> dict:
    """Rates of open_clip's trainer alone, of train_clip, and of train_clip with a batch that stays on the device.

    `trainset` is that of the first two, `short` of the last, whose steps need no loading.
    """
    from open_clip_train import main

    from testbed.models.networks import network_config
    from testbed.records.manifest import read_json
    from testbed.training.loading import Loader
    from testbed.training.recipe import trainer_arguments
    from train_clip import train_clip

    work, batch_size = Path(folder), architecture["batch_size"]
    for name in ("open_clip", "train_clip", "resident"):
        (work / name).mkdir(parents=True)

    def bare() -> None:
        write_json(work / "open_clip" / "open_clip_config.json", network_config(architecture["model"]))
        samples = read_json(Path(trainset) / "manifest.json")["samples"]
        # Of the trainer itself, before `train_clip` replaces parts of it.
        main.main(trainer_arguments(architecture, Path(trainset), samples, 0, work / "open_clip"))

    iterate = Loader.__iter__

    def same_batch(loader: Loader) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        batches = iterate(loader)
        batch = [tensor.to(architecture["device"]) for tensor in next(batches)]
        batches.close()
        for _ in range(loader.steps):
            yield tuple(batch)

    def resident() -> None:
        Loader.__iter__ = same_batch
        train_clip(architecture, Path(short), 0, work / "resident")

    runs = {
        "open_clip": bare,
        "train_clip": lambda: train_clip(architecture, Path(trainset), 0, work / "train_clip"),
        "a batch that stays on the device": resident,
    }
    # What `train_clip` replaces holds its model, for which the device may have no room beside the next one.
    parts, found = dict(vars(main)), {}
    for name, run in runs.items():
        found[name] = measured(run, batch_size)
        vars(main).update(parts)
    return found


class Kill(logging.Handler):
    """Kills this process (kill -9) when the trainer tells of a step, and a checkpoint is in `folder`."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def emit(self, message: logging.LogRecord) -> None:
        if message.getMessage().startswith("Train Epoch") and any(self.folder.rglob("*.pt")):
            os.kill(os.getpid(), signal.SIGKILL)


def train_once(architecture: dict, trainset: str, folder: str, killed: bool) -> dict:
    """Train as the rule does, and print what the trainer tells; returns the record, or is `killed` after a checkpoint."""
    from train_clip import train_clip

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    if killed:
        logging.getLogger().addHandler(Kill(Path(folder)))
    return train_clip(architecture, Path(trainset), 0, Path(folder))


def make_model(model: str, folder: Path) -> None:
    """Write a model with random weights, as `train_clip` leaves one."""
    import open_clip
    from safetensors.torch import save_file

    from testbed.models.networks import CONFIG_FILE, WEIGHTS_FILE, network_config, save_tokenizer

    folder.mkdir(parents=True)
    write_json(folder / CONFIG_FILE, network_config(model))
    save_tokenizer(model, folder)
    torch.manual_seed(0)
    network = open_clip.create_model(f"local-dir:{folder}")
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / WEIGHTS_FILE)
    write_json(folder / "manifest.json", {"files": [record(folder / WEIGHTS_FILE)]})


def evaluate(model: str, testset: str, folder: str, device: str, batch_size: int, workers: int) -> dict:
    """Seconds of decoding a test set, of the text head and of all images, and the accuracy."""
    from decode_testset import decode_testset, preprocessing_of
    from evaluate_clip import evaluate_clip
    from testbed.evaluation.evaluator import load_evaluator

    work, times = Path(folder), [time.monotonic()]
    make_model(model, work / "model")
    (work / "decoded").mkdir()
    times = [time.monotonic()]
    manifest = decode_testset(Path(testset), "classification", preprocessing_of(model), work / "decoded", workers)
    write_json(work / "decoded" / "manifest.json", manifest)
    times.append(time.monotonic())
    evaluator = load_evaluator([work / "model"], [1.0], "logits", device, batch_size)
    times.append(time.monotonic())
    evaluator.head(Path(testset))
    synchronise()
    times.append(time.monotonic())
    rows, _ = evaluate_clip(evaluator, {"mine": (Path(testset), work / "decoded")}, "mine", [])
    times.append(time.monotonic())
    names = ("decode_s", "load_s", "head_s", "images_s")
    seconds = {name: end - start for name, start, end in zip(names, times, times[1:], strict=False)}
    top1 = next(row["value"] for row in rows if row["metric"] == "top1")
    return seconds | {"images_per_second": manifest["images"] / seconds["images_s"], "top1": top1}


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def pairs_of(shard: Path) -> list[dict]:
    """The rows of the table of samples that scoring needs of a shard."""
    rows: dict[str, dict] = {}
    with tarfile.open(shard) as archive:
        for member in archive:
            uid, _, extension = member.name.partition(".")
            row = rows.setdefault(uid, {"uid": uid, "shard": shard.name})
            if extension == "jpg":
                row["offset"] = member.offset
            elif extension == "txt":
                row["caption"] = archive.extractfile(member).read().decode()
    return list(rows.values())


def score(model: str, shards: str, folder: str, device: str, batch_size: int, workers: int, pairs: int) -> dict:
    """Pairs per second in each precision. Weights are random, so that how far scores move means nothing."""
    import pyarrow as pa

    from testbed.evaluation.teacher import Teacher

    make_model(model, Path(folder) / "model")
    tables = []
    for shard in sorted(Path(shards).glob("*.tar")):
        if missing := pairs - sum(map(len, tables)):
            tables.append(pa.Table.from_pylist(pairs_of(shard)).slice(0, missing))
    rates = {}
    for precision in precisions_of(device):
        teacher = Teacher(Path(folder) / "model", device, batch_size, workers, precision=precision)
        rates[precision] = scores_of(teacher, Path(shards), tables)[1]
    return {"pairs": sum(map(len, tables)), "pairs_per_second": rates}


if __name__ == "__main__":
    functions = {function.__name__: function for function in (train, train_once, evaluate, score)}
    print(json.dumps(functions[sys.argv[1]](**json.loads(sys.argv[2])), default=str), flush=True)
