"""The learning curve of a training, as a table, for TensorBoard and Weights & Biases, and for the terminal."""

import csv
import math
import os
from pathlib import Path

from testbed.records.progress import Progress

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


class Curve:
    """Writes the trainer's measurements to the CSV file `path`, with a row per logged step, and to the progress file.

    Has the only method of TensorBoard's writer that the trainer calls. The trainer counts steps from `first`, where this run
    began. Rows from there on are of an interrupted run, and are dropped. `steps` are those of the whole training, `size` are
    the samples of an epoch. `tensorboard` is a folder; `wandb` sends the measurements to Weights & Biases.
    """

    def __init__(
        self, path: Path, first: int, steps: int, batch_size: int, size: int, tensorboard: str | None, wandb: bool
    ):
        self.first, self.batch_size, self.size, self.wandb = first, batch_size, size, wandb
        self.progress = Progress(steps * batch_size, "samples")
        self.row: dict[str, float] = {}
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
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(tensorboard, purge_step=first)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add one measurement of a step; the trainer adds all those of a step before those of the next."""
        step += self.first
        if self.row.get("step") != step:
            self.write()
            seen = (step + 1) * self.batch_size
            self.row = {"step": step, "epoch": seen / self.size, "samples_seen": seen}
        self.row[name.removeprefix("train/")] = value
        if self.board:
            self.board.add_scalar(name, value, step)

    def write(self) -> None:
        """Write the last step's row."""
        if not self.row:
            return
        self.writer.writerow(
            {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in self.row.items()}
        )
        self.file.flush()
        rate, loss = (self.row.get(name, math.nan) for name in ("samples_per_second", "loss"))
        self.progress.update(self.row["samples_seen"], f"{rate:,.0f}/s, loss {loss:.3g}")
        if self.wandb:
            import wandb

            wandb.log({f"train/{name}": value for name, value in self.row.items()}, step=self.row["step"])
        self.row = {}
