"""Checkpoints of a training: when they come; written in one piece; the last two kept; read with any number of devices."""

import logging
import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from testbed.records.files import publish

RESERVED_SECONDS = 60.0
"""Time at the end of a job that is reserved for a checkpoint and for requeueing."""

FOLDER = "checkpoints"


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints of the training in `folder`, newest first."""
    return sorted((folder / FOLDER).glob("step_[0-9]*.pt"), key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """The number of steps that were complete when `checkpoint` was written."""
    return int(checkpoint.stem.removeprefix("step_"))


def last_step(folder: Path) -> int:
    """The step of the newest checkpoint of the training in `folder`; 0 if there is none."""
    return max(map(step_of, checkpoints_in(folder)), default=0)


def plain_names(state: Mapping) -> dict:
    """A model's `state` without the prefixes of torch.compile and DistributedDataParallel."""
    return {name.removeprefix("_orig_mod.").removeprefix("module."): value for name, value in state.items()}


def write_checkpoint(folder: Path, step: int, state: Mapping) -> None:
    """Write `state` as the checkpoint of `step`, and remove all but this one and the one before.

    The one before stays, in case the last one becomes unreadable on a broken file system.
    """
    import torch

    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    temporary = folder / FOLDER / ".step.tmp"
    torch.save(state, temporary)
    publish(temporary, folder / FOLDER / f"step_{step}.pt")
    for path in checkpoints_in(folder)[2:]:
        path.unlink()


def read_checkpoint(folder: Path) -> dict | None:
    """The newest checkpoint of the training in `folder` that loads; newer ones are removed. None if there is none."""
    import torch

    for path in checkpoints_in(folder):
        try:
            # The optimizer and the counters are tensors too, so that no code is unpickled.
            return torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            logging.warning("%s does not load (%s); removed, the training resumes from the one before", path, error)
            path.unlink(missing_ok=True)
    return None


def fused_as(optimizer, state: dict) -> dict:
    """Return the `state` of an optimizer in a checkpoint, computed in one pass or not as the `optimizer` that resumes it.

    In checkpoints of earlier versions, no optimizer is fused.
    """
    own = [{"fused": group["fused"]} if "fused" in group else {} for group in optimizer.param_groups]
    return state | {"param_groups": [one | added for one, added in zip(state["param_groups"], own, strict=True)]}


class CheckpointSchedule:
    """Decides when to write a checkpoint and when to end; asked every `every` steps.

    A checkpoint is due after `minutes`, or after `steps` where these are given. `end` is the end of the job's time limit, in
    seconds since 1970, or None. `clock` gives seconds since 1970.
    """

    def __init__(
        self, minutes: float, steps: int | None, end: float | None, every: int, clock: Callable[[], float] = time.time
    ):
        self.minutes, self.steps, self.end, self.every, self.clock = minutes, steps, end, every, clock
        self.saved = self.asked = clock()
        self.longest = 0.0

    def decide(self, step: int) -> str | None:
        """What to do before `step`: "save" a checkpoint, "stop" after saving one, or nothing (None)."""
        now = self.clock()
        self.longest = max(self.longest, now - self.asked)
        self.asked = now
        if self.end and now + 1.1 * self.longest + RESERVED_SECONDS > self.end:
            return "stop"
        due = now - self.saved >= 60 * self.minutes
        if self.steps:
            due = step // self.steps > (step - self.every) // self.steps
        if due:
            self.saved = now
        return "save" if due else None
