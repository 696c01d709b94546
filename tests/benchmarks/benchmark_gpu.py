"""What a machine with a GPU trains, evaluates and scores in a second, beside open_clip and CLIP_benchmark in the same run.

Needs no network and ends within --minutes: a part for which too little time is left is cut and says so. Each part is a
process of its own, and its result is a line of OUT/results.jsonl at once. The parts:

- train: ViT-B/32 and RN50 by open_clip's trainer alone, by train_clip, and with one batch that stays on the device, which is
  the most that any input can reach
- score: pairs per second in each precision of a filter's teacher
- evaluate: a test set with ImageNet's number of classes, against the command of CLIP_benchmark, with equal accuracy
- resume: a training that is killed after its first checkpoint, and how long it takes until it trains again

    uv run python tests/benchmarks/benchmark_gpu.py OUT
    uv run python tests/benchmarks/benchmark_gpu.py OUT --device cpu --smoke

The second command tries every part on a CPU, with the demo's model and few images. On a machine without this project's
environment, --wheels installs the wheels that pack_wheels.py has downloaded, into a folder that is deleted at the end.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from tables import ROOT, WORDS, print_table

HERE = Path(__file__).parent
PATHS = [ROOT / "workflow" / "scripts", ROOT / "tests" / "support", HERE]
MINI = "resources/architectures/mini_rn"
CAPTIONING = ("tokenizer/ptbtokenizer:PTBTokenizer", "bleu/bleu:Bleu", "meteor/meteor:Meteor", "rouge/rouge:Rouge")
CAPTIONING += ("cider/cider:Cider", "spice/spice:Spice")
"""What CLIP_benchmark imports of pycocoevalcap for tasks that are not used here."""

SHARD = 1000


class Benchmark:
    """Runs parts one after the other until the time is over, and writes down their results."""

    def __init__(self, out: Path, work: Path, minutes: float, site: Path | None):
        self.out, self.work, self.end = out, work, time.monotonic() + 60 * minutes
        places = [*map(str, PATHS), *([str(site)] if site else [])]
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")]),
            **{"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "PYTHONUNBUFFERED": "1"},
        }

    def left(self) -> float:
        return max(0.0, self.end - time.monotonic())

    def say(self, part: str, **found: object) -> dict:
        """Print a result and append it to the file of results."""
        found = {"part": part, "minutes_left": round(self.left() / 60, 1)} | found
        print(json.dumps(found), file=sys.stderr, flush=True)
        with open(self.out / "results.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        return found

    def run(self, command: list, part: str) -> tuple[str, float] | None:
        """What `command` prints, and its seconds; None if it fails or if the time is over, which is said."""
        started = time.monotonic()
        try:
            done = subprocess.run(
                [sys.executable, *map(str, command)],
                **{"cwd": ROOT, "env": self.environment, "capture_output": True, "text": True, "timeout": self.left()},
            )
        except subprocess.TimeoutExpired:
            self.say(part, failed="out of time")
            return None
        if done.returncode:
            self.say(part, failed=f"exit status {done.returncode}", output=(done.stdout + done.stderr)[-3000:])
            return None
        return done.stdout, time.monotonic() - started

    def job(self, name: str, part: str, **request: object) -> dict | None:
        """The result of a part of gpu_jobs.py, which is written down."""
        done = self.run([HERE / "gpu_jobs.py", name, json.dumps(request, default=str)], part)
        if done is None:
            return None
        return self.say(part, **json.loads(done[0].splitlines()[-1]), seconds=round(done[1], 1))


def architecture_of(model: str, asked: argparse.Namespace, **more: object) -> dict:
    """An architecture of the experiment with the defaults of the schema: the recipe of config/paper.yaml, or a small one."""
    import yaml

    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "experiment.schema.yaml").read_text(encoding="utf-8"))
    keys = schema["$defs"]["architecture"]["properties"]
    defaults = {key: entry["default"] for key, entry in keys.items() if "default" in entry}
    own = {"model": model, "batch_size": asked.batch_size, "epochs": 1, "learning_rate": 1e-3, "workers": asked.workers}
    if asked.device == "cpu":
        own |= {"device": "cpu", "gpus": 0, "precision": "fp32"}
    return defaults | own | {"warmup": 0.1} | more


def write_testset(folder: Path, images: int, classes: int, templates: int) -> None:
    """A test set of photographs without meaning in CLIP_benchmark's format."""
    from benchmark_input import jpegs

    from testbed.records.files import add_member

    (folder / "test").mkdir(parents=True)
    names = [f"{WORDS[number % len(WORDS)]} number {number}" for number in range(classes)]
    prompts = [f"{WORDS[number % len(WORDS)]} picture {number} of a {{c}}." for number in range(templates)]
    (folder / "classnames.txt").write_text("\n".join(names) + "\n")
    (folder / "zeroshot_classification_templates.txt").write_text("\n".join(prompts) + "\n")
    files, shards = jpegs(100), min(16, images)
    for shard in range(shards):
        with tarfile.open(folder / "test" / f"{shard}.tar", "w") as archive:
            for number in range(shard, images, shards):
                add_member(archive, f"{number:06d}.cls", str(number % classes).encode())
                add_member(archive, f"{number:06d}.jpg", files[number % 100])
    (folder / "test" / "nshards.txt").write_text(f"{shards}\n")


def train(bench: Benchmark, asked: argparse.Namespace, model: str, data: Path) -> None:
    """Print the table of a model's trainings."""
    part = f"train {Path(model).name}"
    request = {
        "architecture": architecture_of(model, asked),
        "trainset": data / "one-trainset",
        "short": data / "short",
    }
    found = bench.job("train", part, **request, folder=bench.work / part)
    if found:
        rates = {name: [entry["samples_per_second"]] for name, entry in found.items() if isinstance(entry, dict)}
        print_table(f"Training {Path(model).name}", "samples/s", rates, "open_clip")


def score(bench: Benchmark, asked: argparse.Namespace, model: str, data: Path) -> None:
    """Print the table of scoring in each precision."""
    part = f"score {Path(model).name}"
    request = {"model": model, "shards": data / "one", "folder": bench.work / part, "device": asked.device}
    options = {"batch_size": asked.evaluated, "workers": asked.workers, "pairs": asked.pairs}
    if found := bench.job("score", part, **request, **options):
        rates = {precision: [rate] for precision, rate in found["pairs_per_second"].items()}
        print_table(f"Scoring with {Path(model).name}", "pairs/s", rates, "fp32")


def evaluate(bench: Benchmark, asked: argparse.Namespace, model: str, testset: Path) -> None:
    """Print the table of an evaluation, and write down whether both accuracies are equal."""
    part = f"evaluate {Path(model).name}"
    folder = bench.work / part.replace(" ", "-")
    request = {"model": model, "testset": testset, "folder": folder, "device": asked.device}
    found = bench.job("evaluate", part, **request, batch_size=asked.evaluated, workers=asked.workers)
    if not found:
        return
    command = ["-m", "clip_benchmark.cli", "eval", "--no_amp", "--quiet", "--batch_size", asked.evaluated]
    command += ["--num_workers", asked.workers, "--pretrained_model", f"local-dir:{folder / 'model'},"]
    command += ["--dataset", f"wds/{testset.name}", "--dataset_root", testset.parent / "{dataset}"]
    part = f"clip_benchmark {Path(model).name}"
    if done := bench.run([*command, "--output", folder / "theirs.json"], part):
        theirs = json.loads((folder / "theirs.json").read_text())["metrics"]["acc1"]
        bench.say(part, seconds=round(done[1], 1), top1=theirs, equal=theirs == found["top1"])
        seconds = {"clip_benchmark eval": [done[1]], "decode_testset and evaluate_clip": [found["seconds"]]}
        print_table(f"Evaluating {Path(model).name}, with start-up", "s", seconds, "clip_benchmark eval")


def resume(bench: Benchmark, asked: argparse.Namespace, model: str, data: Path) -> None:
    """Kill a training (kill -9) after its first checkpoint, and resume it to its end."""
    part, folder = f"resume {Path(model).name}", bench.work / "resumed"
    folder.mkdir()
    architecture = architecture_of(model, asked, checkpoint_steps=max(1, asked.steps // 4))
    request = {"architecture": architecture, "trainset": data / "short", "folder": folder}
    found: dict[str, object] = {}
    options = {
        "cwd": ROOT,
        "env": bench.environment,
        "text": True,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
    }
    for run in ("killed", "resumed"):
        asked_run = json.dumps(request | {"killed": run == "killed"}, default=str)
        started, lines = time.monotonic(), []
        with subprocess.Popen([sys.executable, HERE / "gpu_jobs.py", "train_once", asked_run], **options) as process:
            limit = threading.Timer(bench.left(), process.kill)
            limit.start()
            for line in process.stdout:
                lines.append(line)
                if line.startswith("resuming at step"):
                    found["resumed_at_step"] = int(line.split()[3])
                if line.startswith("Train Epoch"):
                    found.setdefault(f"{run}_first_step_s", round(time.monotonic() - started, 1))
            limit.cancel()
        status = -signal.SIGKILL if run == "killed" else 0
        if process.returncode != status or not bench.left():
            bench.say(part, **found, failed=f"exit status {process.returncode}", output="".join(lines)[-3000:])
            return
    record = json.loads(lines[-1])
    bench.say(part, **found, steps=record["steps"], times_seen=record["times_seen"])


def install(wheels: Path, site: Path) -> None:
    """Install wheels into the folder `site`, and what CLIP_benchmark imports for tasks that are not used."""
    options = ["--quiet", "--no-index", "--no-deps", "--target", site]
    subprocess.run([sys.executable, "-m", "pip", "install", *map(str, options), *wheels.glob("*.whl")], check=True)
    for name in CAPTIONING:
        path, _, class_name = name.partition(":")
        module = site / "pycocoevalcap" / f"{path}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(f"class {class_name}: pass\n")


def parts_of(bench: Benchmark, asked: argparse.Namespace, models: list[str], data: Path) -> dict[str, partial]:
    """The parts by name, the most important first."""
    first, testset = models[0], data / "testsets" / "thousand"
    return {
        **{f"train {Path(model).name}": partial(train, bench, asked, model, data) for model in models},
        "score": partial(score, bench, asked, first, data),
        "evaluate": partial(evaluate, bench, asked, models[-1], testset),
        "resume": partial(resume, bench, asked, first, data),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--smoke", action="store_true", help="the demo's model, few steps and images")
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--workers", type=int, default=8, help="loading processes, as in config/paper.yaml")
    parser.add_argument("--wheels", type=Path, help="folder of pack_wheels.py")
    asked = parser.parse_args()
    if asked.device == "cpu" and not asked.smoke:
        parser.error("a CPU takes days for these networks: add --smoke")
    sys.path[:0] = map(str, PATHS)
    from testbed.records.provenance import gpu_names, versions_of

    gpus = gpu_names() if asked.device == "cuda" else []
    if asked.device == "cuda" and not gpus:
        parser.error("nvidia-smi names no GPU: run it on a machine with one, or try it with --device cpu --smoke")
    asked.out = asked.out.resolve()
    asked.out.mkdir(parents=True, exist_ok=True)
    few = {"batch_size": 16, "steps": 8, "evaluated": 16, "pairs": 64}
    many = {"batch_size": 1024, "steps": 48, "evaluated": 256, "pairs": 8000}
    vars(asked).update(few | {"workers": 1} if asked.smoke else many)
    models = [MINI] if asked.smoke else ["ViT-B-32", "RN50"]
    with tempfile.TemporaryDirectory() as name:
        work, site = Path(name), Path(name) / "site" if asked.wheels else None
        if site:
            install(asked.wheels, site)
            sys.path.append(str(site))
        from benchmark_input import write_trainset

        from link_trainset import link_trainset
        from testbed.records.manifest import write_json

        bench = Benchmark(asked.out, work, asked.minutes, site)
        data, size = work / "data", asked.steps * asked.batch_size
        write_trainset(data, {"one": size}, SHARD)
        (data / "short").mkdir()
        short = size // 2
        write_json(
            data / "short" / "manifest.json", link_trainset({"one": short}, {"one": data / "one"}, data / "short")
        )
        write_testset(data / "testsets" / "thousand", *((40, 10, 2) if asked.smoke else (5000, 1000, 20)))
        versions = versions_of(("torch", "torchvision", "torchcodec", "open_clip_torch", "clip_benchmark"))
        bench.say("data", samples=size, gpus=gpus, cpus=os.cpu_count(), node=platform.node(), versions=versions)
        for part, run in parts_of(bench, asked, models, data).items():
            if bench.left():
                run()
            else:
                bench.say(part, failed="out of time")
        bench.say("end")


if __name__ == "__main__":
    main()
