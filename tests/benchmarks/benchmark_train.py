"""Samples per second of train_clip, and of open_clip's trainer on its own with the same arguments on the same shards.

Time runs from the trainer's first word on an epoch to the last step that it tells of, so that start-up does not count, and
what happens during the training (checkpoints, the curve) does. open_clip alone sees some samples more: it rounds up epochs.

    uv run python tests/benchmarks/benchmark_train.py
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tables import ROOT, in_turn, print_table

SCRIPTS = ROOT / "workflow" / "scripts"
sys.path[:0] = [str(ROOT / "tests" / "support"), str(SCRIPTS)]

from experiments import DEMO, load  # noqa: E402
from link_trainset import link_trainset  # noqa: E402
from mini_parts import write_shards  # noqa: E402
from testbed.miniweb.scenes import draw  # noqa: E402
from testbed.miniweb.world import CLASSES  # noqa: E402
from testbed.records.manifest import write_json  # noqa: E402
from testbed.training.recipe import optimiser_steps, trainer_arguments  # noqa: E402

OURS = """
import json, logging, sys
from pathlib import Path
from train_clip import train_clip
logging.basicConfig(level=logging.INFO, format="%(message)s")
request = json.loads(sys.argv[1])
train_clip(request["architecture"], Path(request["trainset"]), 0, Path(request["folder"]), loggers={"tensorboard": True})
"""


def write_trainset(folder: Path, samples: int, pixels: int) -> Path:
    """A trainset of drawn images in shards of 500."""
    pairs = []
    for number in range(samples):
        label, file = CLASSES[number % len(CLASSES)].name, io.BytesIO()
        draw(label, "photo", number, pixels).save(file, "JPEG")
        pairs.append({"jpg": file.getvalue(), "json": b"{}", "txt": f"a photo of a {label}".encode()})
    write_shards(folder / "shards", "mine", pairs, 500)
    (folder / "trainset").mkdir()
    manifest = link_trainset({"mine": samples}, {"mine": folder / "shards"}, folder / "trainset")
    write_json(folder / "trainset" / "manifest.json", manifest)
    return folder / "trainset"


def rate(command: list[str], samples: int) -> float:
    """Samples per second of a trainer, by when its words arrive."""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    started = ended = None
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            if "Start epoch 0" in line:
                started = time.monotonic()
            elif "Train Epoch" in line:
                ended = time.monotonic()
    assert process.returncode == 0 and started and ended, command
    return samples / (ended - started)


def ours(architecture: dict, trainset: Path, folder: Path, seen: int) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    request = {"architecture": architecture, "trainset": str(trainset), "folder": str(folder)}
    return rate([sys.executable, "-c", OURS, json.dumps(request)], seen)


def bare(architecture: dict, trainset: Path, folder: Path, samples: int) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(ROOT / architecture["model"] / "open_clip_config.json", folder)
    arguments = trainer_arguments(architecture, trainset, samples, 0, folder)
    epochs = architecture["epochs"]
    arguments += [f"--epochs={epochs}", f"--train-num-samples={samples}", "--save-frequency=1"]
    processes = max(1, architecture["workers"])
    batches = -(-samples // (architecture["batch_size"] * processes)) * processes
    seen = batches * architecture["batch_size"] * epochs
    return rate([sys.executable, "-m", "open_clip_train.main", *arguments], seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    architecture = load(DEMO).config["architectures"]["mini_rn"]
    architecture |= {"epochs": asked.epochs, "workers": asked.workers}
    seen = optimiser_steps(architecture, asked.samples) * architecture["batch_size"]
    with tempfile.TemporaryDirectory() as name:
        trainset = write_trainset(Path(name), asked.samples, 64)
        runs = {
            "open_clip": lambda: bare(architecture, trainset, Path(name) / "bare", asked.samples),
            "train_clip": lambda: ours(architecture, trainset, Path(name) / "ours", seen),
        }
        results = in_turn(runs, asked.repeats)
        title = f"Training the demo's model on {asked.samples:,} samples, {asked.epochs} epochs"
        print_table(title, "samples/s", results, "open_clip")


if __name__ == "__main__":
    main()
