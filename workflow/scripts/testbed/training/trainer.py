"""open_clip's trainer with what long runs need: a fixed order, checkpoints to step back over, a curve, an end in time.

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

SPARE_SECONDS = 60.0
"""What is left of a job's time for a checkpoint and for going back into the queue."""

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

REMEMBERED = 10_000
"""Captions whose tokens are kept: those of a small trainset come again in each epoch, and tokens take longer than images."""

OUT_OF_TIME, TRAINED = "out_of_time", "trained.json"


@dataclass(frozen=True)
class Run:
    """One training: the trainer's command line, and what goes beyond it.

    An epoch is trained in `parts`, each of which the trainer takes for an epoch of its own and ends with a checkpoint.
    `end` is when the job's time is over, in seconds since 1970.
    """

    arguments: list[str]
    seed: int
    parts: int
    batch_size: int
    curve: str
    tensorboard: str | None = None
    end: float | None = None


class OutOfTime(Exception):
    """Another part would not be done before the job's end."""


class Trained(Exception):
    """The last part is done and the weights are written, so that the trainer need not write its last checkpoint."""


class Curve:
    """The trainer's measurements as a CSV with a row per logged step, for TensorBoard, and for who watches.

    Has the one method of TensorBoard's writer that the trainer calls. Rows of steps from `first` on, which an
    interrupted run left, are dropped, because these steps are taken again. `parts` are those of the whole training.
    """

    def __init__(self, run: Run, steps_per_part: int, first: int, parts: int):
        self.batch_size = run.batch_size
        self.progress = Progress(parts * steps_per_part * run.batch_size, "samples")
        self.steps_per_epoch = steps_per_part * run.parts
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
        """Take one measurement of a step; the trainer gives those of a step one after the other."""
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


def keep_logging(*_: object) -> None:
    """Stands in for the trainer's own set-up of logging."""


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints in `folder` that were written to their end, the newest first; each is named by its number of parts."""
    # A checkpoint is a ZIP file, whose directory is written last.
    paths = [path for path in folder.glob("epoch_[0-9]*.pt") if is_zipfile(path)]
    return sorted(paths, key=number_of, reverse=True)


def number_of(checkpoint: Path) -> int:
    """The number of parts that `checkpoint` has behind it."""
    return int(checkpoint.stem.removeprefix("epoch_"))


def remove_checkpoints(folder: Path, number: int) -> None:
    """Remove the checkpoints in `folder` before the last but one of `number`.

    A broken file system may leave the last one unreadable, and then the one before is there.
    """
    for path in folder.glob("epoch_[0-9]*.pt"):
        if number_of(path) < number - 1:
            path.unlink()


def write_trained(folder: Path, state: dict, optimizer: dict, scaled: bool) -> None:
    """Write the weights of a trained model into `folder`, and then TRAINED: how many steps were taken.

    `state` and `optimizer` are the state dicts of the model and its optimizer. `scaled` says that the optimizer may have
    left out steps whose gradients overflowed in half precision.
    """
    from safetensors.torch import save_file

    # Names that torch.compile and DistributedDataParallel put before those of the model.
    names = {name: name.removeprefix("_orig_mod.").removeprefix("module.") for name in state}
    save_file({names[name]: tensor.contiguous() for name, tensor in state.items()}, folder / WEIGHTS_FILE)
    steps = max((int(own["step"]) for own in optimizer["state"].values() if "step" in own), default=None)
    write_json(folder / TRAINED, {"steps": steps, "scaled": scaled})


def prepare(run: Run) -> None:
    """Change open_clip's trainer to train `run`: its order of samples, random numbers, checkpoints, curve and end.

    ``wds.shuffle``, which open_clip uses for its sample buffer, is seeded with process id and clock. With loading
    processes of their own (``workers`` above 0) augmentations still differ between a resumed and an undisturbed run; on
    GPUs arithmetic does too.
    """
    from open_clip_train import data, main
    from open_clip_train.distributed import broadcast_object, is_master
    from open_clip_train.train import train_one_epoch

    class Epoch(data.SharedEpoch):
        """Remembers the counter of parts that the trainer makes for its data, for the stage that is made next."""

        current: "Epoch | None" = None

        def __init__(self, epoch: int = 0):
            super().__init__(epoch)
            Epoch.current = self

    class SampleOrder(data.wds.PipelineStage):
        """Samples, or shards, in an order that depends on the seed and the part alone."""

        def __init__(self, bufsize: int, initial: int, **_):
            self.bufsize, self.initial, self.part = bufsize, initial, Epoch.current

        def run(self, source: Iterator[dict]) -> Iterator[dict]:
            return self.shuffled(source, self.part.get_value())

        def shuffled(self, source: Iterator[dict], number: int) -> Iterator[dict]:
            return data._shuffle(source, self.bufsize, self.initial, random.Random(run.seed + number))

    class ShardOrder(SampleOrder):
        """The shards of one part of an epoch: of the epoch's order, every one that is the part's turn."""

        def run(self, source: Iterator[dict]) -> Iterator[dict]:
            epoch, part = divmod(self.part.get_value(), run.parts)
            return islice(self.shuffled(source, epoch), part, None, run.parts)

    curve: Curve | None = None
    started: list[float] = []

    def train_part(model, loaders, loss, number, optimizer, scaler, scheduler, dist_model, args, tb_writer=None):
        nonlocal curve
        late = False
        if is_master(args):
            steps = loaders["train"].dataloader.num_batches // args.accum_freq
            curve = curve or Curve(run, steps, number * steps, args.epochs)
            remove_checkpoints(Path(args.checkpoint_path), number)
            started.append(time.time())
            late = is_late(started, run.end)
        if args.distributed:
            late = broadcast_object(args, late)
        if late:
            raise OutOfTime
        # Seeds of neighbouring experiments (0, 1, 2) must not meet in later epochs.
        main.random_seed(run.seed * 1_000_003 + number, args.rank)
        train_one_epoch(model, loaders, loss, number, optimizer, scaler, scheduler, dist_model, args, tb_writer=curve)
        if curve:
            curve.write()
        if number + 1 == args.epochs:
            if is_master(args):
                write_trained(Path(args.logs), model.state_dict(), optimizer.state_dict(), scaler is not None)
            if args.distributed:
                main.torch.distributed.barrier()
            raise Trained

    data.SharedEpoch, data.detshuffle2, data.wds.shuffle = Epoch, ShardOrder, SampleOrder
    # Nothing in a sample's metadata is trained on, and reading it takes time.
    data.tar_file_expander = partial(data.tar_file_expander, select_files=lambda name: not name.endswith(".json"))
    main.get_data = lambda args, transforms, epoch, tokenizer: data.get_data(
        args, transforms, epoch, remembering(tokenizer)
    )
    main.train_one_epoch, main.setup_logging = train_part, keep_logging
    main.get_tokenizer = open_tokenizer
    if "--device=cpu" in run.arguments:
        wrap = main.torch.nn.parallel.DistributedDataParallel
        # The trainer names a device, which torch wants to hear of for GPUs alone.
        main.torch.nn.parallel.DistributedDataParallel = lambda model, device_ids=None, **options: wrap(
            model, **options
        )


def remembering(tokenizer: Callable) -> Callable:
    """`tokenizer` with a memory, but for one whose reduction mask takes other words of a caption each time."""
    return tokenizer if getattr(tokenizer, "reduction_fn", None) else lru_cache(REMEMBERED)(tokenizer)


def is_late(started: list[float], end: float | None) -> bool:
    """Whether a part that begins now would end after `end`; `started` are the beginnings of this run's parts.

    The first part of a run is always tried, so that a job that is too short for one fails and does not queue for ever.
    """
    if end is None or len(started) < 2:
        return False
    longest = max(after - before for before, after in zip(started, started[1:], strict=False))
    return started[-1] + 1.1 * longest + SPARE_SECONDS > end


def train(run: Run) -> int:
    """Train until all is done or the time is over, which the file OUT_OF_TIME beside the curve says; the exit status."""
    from open_clip_train import main

    prepare(run)
    try:
        return main.main(run.arguments) or 0
    except Trained:
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
