"""open_clip's trainer, with a fixed order of samples, a learning curve as a table, and an end before the time limit.

``python -m testbed.training.trainer RUN.json`` is one process of a training on several devices. A training on one device
calls `train`.
"""

import csv
import json
import logging
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from zipfile import is_zipfile

from testbed.models.networks import WEIGHTS_FILE, open_tokenizer
from testbed.records.manifest import write_json
from testbed.records.processes import terminate_with_parent
from testbed.records.progress import Progress

RESERVED_SECONDS = 60.0
"""Time at the end of a job that is reserved for a checkpoint and for requeueing."""

CURVE_COLUMNS = (
    "step",
    "epoch",
    "samples_seen",
    "loss",
    "lr",
    "scale",
    "samples_per_second",
    "samples_per_second_per_gpu",
    "data_time",
    "batch_time",
)
"""Times are seconds of a step; scale is CLIP's logit scale, the inverse of its temperature."""

CACHED_CAPTIONS = 10_000
"""Captions whose tokens are cached: a small trainset repeats them every epoch, and tokenising is slower than decoding."""

OUT_OF_TIME, TRAINED = "out_of_time", "trained.json"


@dataclass(frozen=True)
class Run:
    """One training: the trainer's arguments, and settings that the trainer does not have.

    The trainer treats each checkpoint interval as an epoch, and an epoch has `checkpoints_per_epoch` of them. `end` is the
    end of the job's time limit, in seconds since 1970.
    """

    arguments: list[str]
    seed: int
    checkpoints_per_epoch: int
    batch_size: int
    curve: str
    tensorboard: str | None = None
    end: float | None = None


class OutOfTime(Exception):
    """The next checkpoint would come after the job's time limit."""


class TrainingComplete(Exception):
    """The training is complete and its weights are written, so the trainer does not need to write its last checkpoint."""


class Curve:
    """Writes the trainer's measurements to a CSV file, with a row per logged step, to TensorBoard, and to the progress file.

    Has the only method of TensorBoard's writer that the trainer calls. Drops the rows of an interrupted run from step
    `first` on, because these steps are repeated. The whole training has `intervals` checkpoint intervals.
    """

    def __init__(self, run: Run, steps_per_interval: int, first: int, intervals: int):
        self.batch_size = run.batch_size
        self.progress = Progress(intervals * steps_per_interval * run.batch_size, "samples")
        self.steps_per_epoch = steps_per_interval * run.checkpoints_per_epoch
        self.row: dict[str, float] = {}
        path = Path(run.curve)
        rows = []
        if path.is_file():
            with open(path, newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row["step"].isdigit() and int(row["step"]) < first]
        temporary = path.with_name(f".{path.name}.tmp")
        self.file = open(temporary, "w", newline="", encoding="utf-8")  # noqa: SIM115
        self.writer = csv.DictWriter(self.file, CURVE_COLUMNS, lineterminator="\n", extrasaction="ignore")
        self.writer.writeheader()
        self.writer.writerows(rows)
        self.file.flush()
        os.replace(temporary, path)
        self.board = None
        if run.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(run.tensorboard, purge_step=first)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add one measurement of a step; the trainer adds all those of a step before those of the next."""
        if self.row.get("step") != step:
            self.write()
            self.row = {"step": step, "epoch": (step + 1) / self.steps_per_epoch}
            self.row["samples_seen"] = (step + 1) * self.batch_size
        self.row[name.removeprefix("train/")] = value
        if self.board:
            self.board.add_scalar(name, value, step)

    def write(self) -> None:
        """Write the last step's row."""
        if self.row:
            self.writer.writerow(
                {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in self.row.items()}
            )
            self.file.flush()
            rate, loss = (self.row.get(name, math.nan) for name in ("samples_per_second", "loss"))
            self.progress.update(self.row["samples_seen"], f"{rate:,.0f}/s, loss {loss:.3g}")
        self.row = {}


def skip_logging_setup(*_: object) -> None:
    """Replaces the trainer's own set-up of logging."""


def checkpoints_in(folder: Path) -> list[Path]:
    """The completely written checkpoints in `folder`, newest first; each file name has the checkpoint's number."""
    # A checkpoint is a ZIP file, and the directory of a ZIP file is written last.
    paths = [path for path in folder.glob("epoch_[0-9]*.pt") if is_zipfile(path)]
    return sorted(paths, key=checkpoint_number, reverse=True)


def checkpoint_number(checkpoint: Path) -> int:
    """The number of `checkpoint` in its training, from 1."""
    return int(checkpoint.stem.removeprefix("epoch_"))


def remove_checkpoints(folder: Path, number: int) -> None:
    """Remove the checkpoints in `folder` with numbers below `number` - 1.

    The checkpoint before the last stays, in case the last one becomes unreadable on a broken file system.
    """
    for path in folder.glob("epoch_[0-9]*.pt"):
        if checkpoint_number(path) < number - 1:
            path.unlink()


def write_trained(folder: Path, state: dict, optimizer: dict, scaled: bool) -> None:
    """Write the weights of a trained model into `folder`, and then the file TRAINED with the number of optimiser steps.

    `state` and `optimizer` are the state dicts of the model and its optimizer. `scaled` says that the gradient scaler may
    have skipped steps whose gradients overflowed in half precision.
    """
    from safetensors.torch import save_file

    # Without the prefixes of torch.compile and DistributedDataParallel.
    names = {name: name.removeprefix("_orig_mod.").removeprefix("module.") for name in state}
    save_file({names[name]: tensor.contiguous() for name, tensor in state.items()}, folder / WEIGHTS_FILE)
    steps = max((int(own["step"]) for own in optimizer["state"].values() if "step" in own), default=None)
    write_json(folder / TRAINED, {"steps": steps, "scaled": scaled})


def patch_trainer(run: Run) -> None:
    """Patch open_clip's trainer for `run`: its order of samples, random numbers, checkpoints, learning curve and end.

    open_clip seeds ``wds.shuffle``, its sample buffer, with the process id and the clock. With data loading processes
    (``workers`` above 0), augmentations still differ between a resumed and an uninterrupted run; on GPUs, arithmetic does.
    """
    from open_clip_train import data, main
    from open_clip_train.distributed import broadcast_object, is_master
    from open_clip_train.train import train_one_epoch

    class Epoch(data.SharedEpoch):
        """The trainer's counter of checkpoint intervals; the stages of the data pipeline created next read it."""

        current: "Epoch | None" = None

        def __init__(self, epoch: int = 0):
            super().__init__(epoch)
            Epoch.current = self

    class SampleOrder(data.wds.PipelineStage):
        """Samples, or shards, in an order that depends only on the seed and the checkpoint interval."""

        def __init__(self, bufsize: int, initial: int, **_):
            self.bufsize, self.initial, self.interval = bufsize, initial, Epoch.current

        def run(self, source: Iterator[dict]) -> Iterator[dict]:
            return self.shuffled(source, self.interval.get_value())

        def shuffled(self, source: Iterator[dict], number: int) -> Iterator[dict]:
            return data._shuffle(source, self.bufsize, self.initial, random.Random(run.seed + number))

    class ShardOrder(SampleOrder):
        """The shards of one checkpoint interval: every `checkpoints_per_epoch`-th shard in the epoch's order."""

        def run(self, source: Iterator[dict]) -> Iterator[dict]:
            epoch, first = divmod(self.interval.get_value(), run.checkpoints_per_epoch)
            return islice(self.shuffled(source, epoch), first, None, run.checkpoints_per_epoch)

    curve: Curve | None = None
    started: list[float] = []

    def train_interval(model, loaders, loss, number, optimizer, scaler, scheduler, dist_model, args, tb_writer=None):
        nonlocal curve
        late = False
        if is_master(args):
            steps = loaders["train"].dataloader.num_batches // args.accum_freq
            curve = curve or Curve(run, steps, number * steps, args.epochs)
            remove_checkpoints(Path(args.checkpoint_path), number)
            started.append(time.time())
            late = exceeds_time_limit(started, run.end)
        if args.distributed:
            late = broadcast_object(args, late)
        if late:
            raise OutOfTime
        # Models with neighbouring seeds (0, 1, 2) must not share random numbers in later epochs.
        main.random_seed(run.seed * 1_000_003 + number, args.rank)
        train_one_epoch(model, loaders, loss, number, optimizer, scaler, scheduler, dist_model, args, tb_writer=curve)
        if curve:
            curve.write()
        if number + 1 == args.epochs:
            if is_master(args):
                write_trained(Path(args.logs), model.state_dict(), optimizer.state_dict(), scaler is not None)
            if args.distributed:
                main.torch.distributed.barrier()
            raise TrainingComplete

    data.SharedEpoch, data.detshuffle2, data.wds.shuffle = Epoch, ShardOrder, SampleOrder
    # Training does not use a sample's metadata, and reading it takes time.
    data.tar_file_expander = partial(data.tar_file_expander, select_files=lambda name: not name.endswith(".json"))
    main.get_data = lambda args, transforms, epoch, tokenizer: data.get_data(
        args, transforms, epoch, cache_tokens(tokenizer)
    )
    main.train_one_epoch, main.setup_logging = train_interval, skip_logging_setup
    main.get_tokenizer = open_tokenizer
    if "--device=cpu" in run.arguments:
        wrap = main.torch.nn.parallel.DistributedDataParallel
        # The trainer gives device ids, which torch accepts for GPUs only.
        main.torch.nn.parallel.DistributedDataParallel = lambda model, device_ids=None, **options: wrap(
            model, **options
        )


def cache_tokens(tokenizer: Callable) -> Callable:
    """`tokenizer` with a cache, unless it selects random words of a caption on each call."""
    return tokenizer if getattr(tokenizer, "reduction_fn", None) else lru_cache(CACHED_CAPTIONS)(tokenizer)


def exceeds_time_limit(started: list[float], end: float | None) -> bool:
    """Whether a checkpoint interval that starts now would end after `end`; `started` has the start times of this run's.

    The first interval of a run is always allowed. So a job with too little time for one fails, and is not requeued forever.
    """
    if end is None or len(started) < 2:
        return False
    longest = max(after - before for before, after in zip(started, started[1:], strict=False))
    return started[-1] + 1.1 * longest + RESERVED_SECONDS > end


def train(run: Run) -> int:
    """Train to the end or to the time limit; returns the exit status. At the time limit it creates the file OUT_OF_TIME."""
    from open_clip_train import main

    patch_trainer(run)
    try:
        return main.main(run.arguments) or 0
    except TrainingComplete:
        return 0
    except OutOfTime:
        (Path(run.curve).parent / OUT_OF_TIME).touch()
        return 0


if __name__ == "__main__":
    terminate_with_parent()
    rank = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", 0)))
    logging.basicConfig(
        level=logging.WARNING if rank else logging.INFO,
        format=f"%(asctime)s %(levelname)s process {rank}: %(message)s",
    )
    sys.exit(train(Run(**json.loads(Path(sys.argv[1]).read_text()))))
