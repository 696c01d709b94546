"""open_clip's trainer with an input of our own, checkpoints at any step, a learning curve, and an end before the time limit.

``python -m testbed.training.trainer RUN.json`` is one process of a training on several devices. A training on one device
calls `train`.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from testbed.models.networks import is_convolutional, open_tokenizer
from testbed.models.pixels import normalise
from testbed.records.manifest import read_json
from testbed.records.processes import terminate_with_parent
from testbed.shards.samples import SampleError
from testbed.training.checkpoints import (
    CheckpointError,
    CheckpointSchedule,
    diverged,
    fused_as,
    not_finite,
    read_checkpoint,
    write_checkpoint,
    write_trained,
)
from testbed.training.curve import Curve

OPEN_CLIP = "open_clip"
"""The input of a training that is open_clip's own, for comparison."""

OUT_OF_TIME = "out_of_time"


@dataclass(frozen=True)
class Run:
    """One training: the arguments of open_clip's trainer, and settings that the trainer does not have.

    `steps` are those of all `epochs`. `input` is "exact" for that of `loading`, or OPEN_CLIP. A checkpoint is written every
    `checkpoint_steps`, or every `checkpoint_minutes` where these are None. `channels_last` is the memory format of the image
    tower; None chooses it by the network. `cache_mb` is the most memory for decoded images. `end`, in seconds since 1970, is
    the end of the job's time limit.
    """

    arguments: list[str]
    trainset: str
    index: str
    seed: int
    epochs: int
    steps: int
    batch_size: int
    curve: str
    input: str = "exact"
    checkpoint_minutes: float = 15.0
    checkpoint_steps: int | None = None
    channels_last: bool | None = None
    cache_mb: int = 0
    tensorboard: str | None = None
    end: float | None = None


class OutOfTime(Exception):
    """The next steps would not be complete before the job's time limit."""


class TrainingComplete(Exception):
    """The training is complete and its weights are written."""


class Training:
    """What replaces functions of open_clip's trainer in a `run`: the creation of the model, its data, and an epoch."""

    def __init__(self, run: Run):
        self.run, self.crop, self.memory_format = run, None, None

    def create_model(self, create: Callable, *arguments, jit: bool = False, **options) -> tuple:
        """The model and transforms of `create`. The model makes numbers of the bytes of images itself."""
        import torch

        from testbed.training.images import Crop

        model, train_transform, transform = create(*arguments, jit=jit, **options)
        # A second model is the teacher of a distillation, which open_clip gives the images of the first.
        if self.memory_format is None:
            self.crop = None if jit or self.run.input == OPEN_CLIP else Crop.of(train_transform)
            last = is_convolutional(model.visual) if self.run.channels_last is None else self.run.channels_last
            self.memory_format = torch.channels_last if last and not jit else torch.contiguous_format
            if not self.crop:
                logging.info("images are transformed by open_clip, which takes longer than the plain crop")
        if self.memory_format == torch.channels_last:
            model.visual.to(memory_format=torch.channels_last)
        if self.crop:
            # On the device from the start: a copy to it in each step would wait for the step before.
            device = next(model.parameters()).device
            mean, std = (torch.tensor(own, device=device)[:, None, None] for own in (self.crop.mean, self.crop.std))

            def normalised(_, inputs: tuple) -> tuple:
                images, *others = inputs
                # With pure half precision, open_clip's trainer converts the bytes before.
                kind = images.dtype if images.is_floating_point() else torch.float32
                return normalise(images, mean, std).to(kind), *others

            model.visual.register_forward_pre_hook(normalised)
        return model, train_transform, transform

    def get_data(self, args, transforms: tuple, epoch: int, tokenizer: Callable) -> dict:
        """The trainer's data: the batches of all steps, which are one epoch of the trainer."""
        from open_clip_train.data import DataInfo

        from testbed.training.loading import Batches, Loader, Reader, cache_tokens
        from testbed.training.order import Order

        trainset = Path(self.run.trainset)
        if args.epochs_cooldown:
            args.epochs_cooldown /= self.run.epochs
        batches = Batches(
            *(Reader(trainset, Path(self.run.index)), self.run.seed, cache_tokens(tokenizer), self.crop, transforms[0]),
            *(self.run.cache_mb * 1_000_000 // max(1, args.workers), self.memory_format),
        )
        order = Order(read_json(trainset / "manifest.json")["files"], self.run.seed)
        shares = {"accumulated": args.accum_freq, "devices": args.world_size, "rank": args.rank}
        loader = Loader(batches, order, self.run.steps, self.run.batch_size, workers=args.workers, **shares)
        return {"train": DataInfo(loader)}

    def begin(self, model, optimizer, scaler, args, steps: int, size: int) -> None:
        """Restore the newest checkpoint, and open the learning curve of `steps` steps and `size` samples in an epoch."""
        import torch
        from open_clip_train.distributed import is_master
        from open_clip_train.train import unwrap_model

        self.args, self.master = args, is_master(args)
        self.model = unwrap_model(getattr(model, "_orig_mod", model))
        self.optimizer, self.scaler = optimizer, scaler
        self.first, self.seen = 0, torch.zeros(size, dtype=torch.int32)
        if checkpoint := read_checkpoint(Path(args.logs)):
            self.model.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(fused_as(optimizer, checkpoint["optimizer"]))
            if scaler is not None:
                scaler.load_state_dict(checkpoint["scaler"])
            self.first = checkpoint["step"]
            # Counters of all devices are added up.
            self.seen += checkpoint["seen"] * self.master
            logging.info("resuming at step %d of %d", self.first, steps)
        # The curve sends what the trainer would send to Weights & Biases, with the number of the step in the whole training.
        wandb, args.wandb = args.wandb, False
        whole = (Path(self.run.curve), self.first, steps, self.run.batch_size, size)
        self.curve = Curve(*whole, self.run.tensorboard, wandb) if self.master else None
        every = self.run.checkpoint_minutes, self.run.checkpoint_steps
        self.schedule = CheckpointSchedule(*every, self.run.end, args.log_every_n_steps)

    def times_seen(self):
        """How often each sample was given to the model, on all devices."""
        import torch

        counts = self.seen.to(self.args.device, copy=True)
        if self.args.distributed:
            torch.distributed.all_reduce(counts)
        return counts.cpu()

    def checkpoint(self, step: int) -> None:
        """Write a checkpoint before `step`, or end after one, where it is time. Raises `OutOfTime` and `CheckpointError`."""
        from open_clip_train.distributed import broadcast_object

        decision = self.schedule.decide(step) if self.master else None
        faults = not_finite(self.model.state_dict()) if decision else []
        if self.args.distributed:
            # Of the first device, whose statistics of batch normalisation count.
            decision, faults = broadcast_object(self.args, (decision, faults))
        if faults:
            raise diverged(Path(self.args.logs), step, faults)
        if decision:
            state = {"step": step, "seen": self.times_seen()}
            state |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
            if self.scaler is not None:
                state["scaler"] = self.scaler.state_dict()
            if self.master:
                # The row of the step before, which a run that resumes here does not measure again.
                self.curve.write()
                write_checkpoint(Path(self.args.logs), step, state)
        if decision == "stop":
            raise OutOfTime

    def finish(self, seen) -> None:
        """Write the weights, and how often samples were `seen` if that is known; raises `TrainingComplete`."""
        import torch

        if self.master:
            self.curve.write()
            state = self.model.state_dict(), self.optimizer.state_dict()
            write_trained(Path(self.args.logs), *state, self.scaler is not None, seen)
        if self.args.distributed:
            torch.distributed.barrier()
        raise TrainingComplete

    def train(self, model, data, loss, epoch, optimizer, scaler, scheduler, dist_model, args, tb_writer=None) -> None:
        """Train from the newest checkpoint to the end; raises `TrainingComplete` or `OutOfTime`."""
        from open_clip_train.train import train_one_epoch

        loader = data["train"].dataloader
        self.begin(model, optimizer, scaler, args, self.run.steps, loader.order.samples)

        def at_step(step: int) -> None:
            # A resumed training logs the same steps.
            if step > self.first and step % args.log_every_n_steps == 0:
                self.checkpoint(step)

        loader.first, loader.seen, loader.at_step = self.first, self.seen, at_step
        trained = (model, data, loss, 0, optimizer, scaler, lambda step: scheduler(self.first + step), dist_model, args)
        train_one_epoch(*trained, tb_writer=self.curve)
        self.finish(self.times_seen())


class OpenClipTraining(Training):
    """A training with open_clip's own input: loading processes and devices decide which samples it sees, and how often.

    Checkpoints come at the end of an epoch, and samples are not counted.
    """

    def get_data(self, args, transforms: tuple, epoch: int, tokenizer: Callable) -> dict:
        """The trainer's data, as open_clip reads them."""
        from open_clip_train.data import get_data

        return get_data(args, transforms, epoch, tokenizer)

    def train(self, model, data, loss, epoch, optimizer, scaler, scheduler, dist_model, args, tb_writer=None) -> None:
        """Train one epoch, unless a checkpoint has it; raises `TrainingComplete` after the last, or `OutOfTime`."""
        from open_clip_train.train import train_one_epoch

        steps = data["train"].dataloader.num_batches // args.accum_freq
        if not epoch:
            self.begin(model, optimizer, scaler, args, steps * args.epochs, steps * self.run.batch_size)
            if self.curve:
                # The trainer counts the steps of all epochs itself.
                self.curve.first = 0
            self.schedule.every = steps
        if epoch * steps < self.first:
            return
        if epoch * steps > self.first:
            self.checkpoint(epoch * steps)
        train_one_epoch(model, data, loss, epoch, optimizer, scaler, scheduler, dist_model, args, tb_writer=self.curve)
        if epoch + 1 == args.epochs:
            self.finish(None)


def skip_logging_setup(*_: object) -> None:
    """Replaces the trainer's own set-up of logging."""


def patch_trainer(run: Run) -> None:
    """Replace what open_clip's trainer lacks for `run`: its data, its epoch, and what gives the model bytes of images."""
    from open_clip import create_model_and_transforms
    from open_clip_train import main
    from torch.optim import AdamW

    training = OpenClipTraining(run) if run.input == OPEN_CLIP else Training(run)
    main.create_model_and_transforms = partial(training.create_model, create_model_and_transforms)
    main.get_data, main.train_one_epoch = training.get_data, training.train
    main.setup_logging, main.get_tokenizer = skip_logging_setup, open_tokenizer
    # The same update in one pass over each tensor. On a CPU it is four times as fast as the trainer's default.
    main.optim = SimpleNamespace(AdamW=partial(AdamW, fused=True))
    if "--device=cpu" in run.arguments:
        wrap = main.torch.nn.parallel.DistributedDataParallel
        # The trainer gives device ids, which torch accepts for GPUs only.
        main.torch.nn.parallel.DistributedDataParallel = lambda model, device_ids=None, **own: wrap(model, **own)


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
    try:
        status = train(Run(**json.loads(Path(sys.argv[1]).read_text())))
    except (SampleError, CheckpointError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    sys.exit(status)
