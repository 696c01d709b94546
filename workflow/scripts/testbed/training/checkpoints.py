"""Checkpoints of a training, and its weights at the end.

Checkpoints are written in one piece, the last two are kept, and they are read with any number of devices.
"""

import logging
import pickle
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from testbed.models.networks import WEIGHTS_FILE
from testbed.records.files import publish
from testbed.records.manifest import write_json

RESERVED_SECONDS = 60.0
"""Time at the end of a job that is reserved for a checkpoint and for requeueing."""

FOLDER = "checkpoints"

TRAINED = "trained.json"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or read, or its weights are not finite."""


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

    The one before stays, in case the last one becomes unreadable on a broken file system. Raises `CheckpointError` if the
    disk takes no more.
    """
    import torch

    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    temporary, path = folder / FOLDER / ".step.tmp", folder / FOLDER / f"step_{step}.pt"
    try:
        torch.save(state, temporary)
        publish(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch says of a full disk that a position in the file is unexpected.
        temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path}: cannot be written ({' '.join(str(error).split())}). Free disk space or raise the quota, and run the "
            f"same command again: the training goes on at step {last_step(folder)}."
        ) from error
    for older in checkpoints_in(folder)[2:]:
        older.unlink()


def not_finite(weights: Mapping) -> list[str]:
    """The names of the `weights` that have a value that is infinite or no number."""
    return [name for name, tensor in weights.items() if not tensor.isfinite().all()]


def diverged(folder: Path, step: int, names: list[str]) -> CheckpointError:
    """The error that the weights with these `names` are not finite before `step`: the checkpoints before stay."""
    return CheckpointError(
        f"{folder}: before step {step}, weights are not finite ({', '.join(names[:3])}, ...): the training has diverged. "
        "Lower architectures.*.learning_rate, raise warmup, or use another precision."
    )


def read_checkpoint(folder: Path) -> dict | None:
    """The newest checkpoint of the training in `folder` that is not damaged; None if there is none.

    Damaged ones get the suffix ``.damaged``. Raises `CheckpointError` if one that is not damaged does not load.
    """
    import torch

    for path in checkpoints_in(folder):
        try:
            # The optimizer and the counters are tensors too, so that no code is unpickled.
            return torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            # Another process of this training has found it damaged.
            continue
        except (MemoryError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            reason = " ".join(str(error).split())
            if not is_damaged(path):
                raise CheckpointError(
                    f"{path}: is whole and does not load ({reason}). Raise architectures.*.memory_mb, or use the version of "
                    "torch that wrote it. It is kept."
                ) from error
            logging.warning("%s is damaged (%s); the training resumes from the one before", path, reason)
            if path.exists():
                path.replace(path.with_name(f"{path.name}.damaged"))
    return None


def is_damaged(checkpoint: Path) -> bool:
    """Whether the file is cut or has other bytes than were written, by the checksums in it. A missing one is damaged."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is not None
    except (FileNotFoundError, zipfile.BadZipFile):
        return True


def fused_as(optimizer, state: dict) -> dict:
    """Return the `state` of an optimizer in a checkpoint, computed in one pass or not as the `optimizer` that resumes it.

    In checkpoints of earlier versions, no optimizer is fused.
    """
    own = [{"fused": group["fused"]} if "fused" in group else {} for group in optimizer.param_groups]
    return state | {"param_groups": [one | added for one, added in zip(state["param_groups"], own, strict=True)]}


def write_trained(folder: Path, state: dict, optimizer: dict, scaled: bool, seen) -> None:
    """Write the weights of a trained model into `folder`, and then the file TRAINED: how it was trained.

    `state` and `optimizer` are the state dicts of the model and its optimizer. `scaled` says that the gradient scaler may
    have skipped steps whose gradients overflowed in half precision. `seen` is a tensor with how often each sample was given
    to the model, or None.
    """
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in plain_names(state).items()}, folder / WEIGHTS_FILE)
    steps = max((int(own["step"]) for own in optimizer["state"].values() if "step" in own), default=None)
    times_seen = None if seen is None else [int(seen.min()), int(seen.max())]
    write_json(folder / TRAINED, {"steps": steps, "scaled": scaled, "times_seen": times_seen})


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
