"""Evaluating 6 models on 5 test sets: decode_testset and evaluate_clip, a process each, against CLIP_benchmark.

Ours are the rules' scripts as Snakemake starts them: a process for each job, and as many at once as there are cores.
CLIP_benchmark's command line is called once for each model with all test sets, as it is when models are ready one after the
other, and once with all models and test sets, which is the quickest way. All compute without automatic mixed precision, and
the accuracies have to be equal to the last image.

Beside seconds there are CPU seconds of all processes, which depend less on what else the machine does.

    uv run python tests/benchmarks/benchmark_evaluate.py
"""

import argparse
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image
from tables import ROOT, in_turn, metered, print_table

SCRIPTS = ROOT / "workflow" / "scripts"
sys.path[:0] = [str(ROOT / "tests" / "support"), str(SCRIPTS)]

from experiments import DEMO, load  # noqa: E402
from testbed.evaluation.testsets import read_samples  # noqa: E402
from testbed.miniweb.testsets import make_testset  # noqa: E402
from testbed.records.files import add_member  # noqa: E402
from testbed.records.manifest import record, write_json  # noqa: E402

MODELS = 6
TESTSETS = ("imagenet", "v2", "sketch", "rendition", "objectnet")
PIXELS = 426
"""A side of the images: as many pixels as ImageNet's have on average (469 by 387)."""
OURS = "decode_testset and evaluate_clip"
JOB = """
import json, runpy, sys
from types import SimpleNamespace
# A script's own first lines, which Snakemake puts there, import these.
from snakemake.iocontainers import Snakemake
from snakemake.logging import logger
script, job = sys.argv[1], json.loads(sys.argv[2])
parts = {name: SimpleNamespace(**job[name]) for name in ("input", "output", "params")}
runpy.run_path(script, {"snakemake": SimpleNamespace(log=[job["log"]], **parts)}, "__main__")
"""
WRITE_MODELS = """
import json, sys
from pathlib import Path
import open_clip, torch
from safetensors.torch import save_file
# Its tokenizer is named from the root of the repository, which is not where CLIP_benchmark runs.
config = Path(sys.argv[1]).read_text().replace('"resources/', f'"{Path.cwd()}/resources/')
for seed, folder in enumerate(sys.argv[2:]):
    Path(folder).mkdir()
    (Path(folder) / "open_clip_config.json").write_text(config)
    torch.manual_seed(seed)
    save_file(open_clip.create_model(f"local-dir:{folder}").state_dict(), Path(folder) / "open_clip_model.safetensors")
"""


def run(command: list, folder: Path = ROOT) -> None:
    # One thread for each process, as Snakemake gives our jobs; CLIP_benchmark's decoding processes take the other cores.
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def run_job(script: str, job: dict) -> None:
    """Run a rule's script on what Snakemake hands to it."""
    run([sys.executable, "-c", JOB, SCRIPTS / script, json.dumps(job, default=str)])


def at_once(script: str, jobs: list[dict]) -> None:
    """Run jobs as Snakemake does on this machine: one for each core."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run_job, [script] * len(jobs), jobs))


def ours(models: list[Path], testsets: dict[str, Path], out: Path, options: dict) -> float:
    """Seconds for all models, with the decoding of all test sets."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    started = time.monotonic()
    at_once("decode_testset.py", [decoding(path, models[0], out / name, options) for name, path in testsets.items()])
    at_once("evaluate_clip.py", [evaluation(model, testsets, out, options) for model in models])
    return time.monotonic() - started


def decoding(testset: Path, model: Path, folder: Path, options: dict) -> dict:
    """What Snakemake hands to decode_testset."""
    return {
        "input": {"testset": [testset / "classnames.txt"]},
        "output": {"manifest": folder / "manifest.json"},
        "log": folder.with_suffix(".log"),
        "params": {
            "testset": testset,
            "task": "classification",
            "network": {"model": str(model), "tag": None},
            "workers": options["workers"],
        },
    }


def evaluation(model: Path, testsets: dict[str, Path], out: Path, options: dict) -> dict:
    """What Snakemake hands to evaluate_clip."""
    folder = out / model.name
    return {
        "input": {"models": [model / "manifest.json"], "decoded": [out / name / "manifest.json" for name in testsets]},
        "output": {"metrics": folder / "metrics.csv", "predictions": folder / "predictions.parquet"},
        "log": folder.with_suffix(".log"),
        "params": {
            "model": {"model": model.name, "architecture": "a", "pool": "p", "size": 1, "seed": 0},
            "shares": [1.0],
            "average": "logits",
            "testsets": {name: [path, out / name] for name, path in testsets.items()},
            "reference": TESTSETS[0],
            "class_maps": {},
            "device": "cpu",
            "batch_size": options["batch_size"],
            "confidence": 0.995,
        },
    }


def theirs(models: list[Path], testsets: dict[str, Path], out: Path, batch_size: int) -> float:
    """Seconds for all models in one command."""
    out.mkdir(exist_ok=True)
    started = time.monotonic()
    run(
        [
            *[
                Path(sys.executable).with_name("clip_benchmark"),
                "eval",
                "--no_amp",
                "--quiet",
                "--batch_size",
                batch_size,
            ],
            *["--pretrained_model", *(f"local-dir:{model.name}," for model in models)],
            *["--dataset", *(f"wds/{name}" for name in testsets)],
            *["--dataset_root", next(iter(testsets.values())).parent / "{dataset}"],
            *["--output", out / "{dataset}_{model}.json"],
        ],
        models[0].parent,
    )
    return time.monotonic() - started


def write_testset(kind: str, images: int, pixels: int, folder: Path) -> None:
    """The mini-web's test set with images of `pixels` a side."""
    folder.mkdir(parents=True)
    make_testset(kind, images, 0, folder)
    for shard in (folder / "test").glob("*.tar"):
        samples = list(read_samples(shard, "classification"))
        with tarfile.open(shard, "w") as archive:
            for key, content, label in samples:
                with Image.open(io.BytesIO(content)) as image:
                    file = io.BytesIO()
                    image.convert("RGB").resize((pixels, pixels)).save(file, "JPEG", quality=90)
                add_member(archive, f"{key}.cls", label)
                add_member(archive, f"{key}.jpg", file.getvalue())


def accuracies(models: list[Path], own: Path, out: Path) -> tuple[dict, dict]:
    """Accuracies by model, test set and metric: ours in the folder `own`, and CLIP_benchmark's in `out`."""
    names = {"acc1": "top1", "acc5": "top5", "mean_per_class_recall": "mean_per_class_recall"}
    mine, others = {}, {}
    for model in models:
        with open(own / model.name / "metrics.csv", newline="") as file:
            mine |= {(model.name, row["testset"], row["metric"]): float(row["value"]) for row in csv.DictReader(file)}
    for path in out.rglob("*.json"):
        entry = json.loads(path.read_text())
        place = (entry["model"].removeprefix("local-dir:"), entry["dataset"].removeprefix("wds/"))
        others |= {(*place, names[metric]): value for metric, value in entry["metrics"].items()}
    return mine, others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--pixels", type=int, default=PIXELS)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    config = load(DEMO).config
    options = config["evaluation"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        testsets = {kind: folder / "testsets" / kind for kind in TESTSETS}
        for kind, path in testsets.items():
            write_testset(kind, asked.images, asked.pixels, path)
        models = [folder / f"model{number}" for number in range(MODELS)]
        architecture = ROOT / config["architectures"]["mini_rn"]["model"] / "open_clip_config.json"
        run([sys.executable, "-c", WRITE_MODELS, architecture, *models])
        for model in models:
            write_json(model / "manifest.json", {"files": [record(model / "open_clip_model.safetensors")]})
        out, size = folder / "theirs", options["batch_size"]
        runs = {
            "clip_benchmark, one model a call": lambda: sum(theirs([model], testsets, out, size) for model in models),
            "clip_benchmark, one call": lambda: theirs(models, testsets, out, size),
            OURS: lambda: ours(models, testsets, folder / "ours", options),
        }
        spent = {name: [] for name in runs}
        results = in_turn({name: partial(metered, run, spent[name]) for name, run in runs.items()}, asked.repeats)
        mine, others = accuracies(models, folder / "ours", out)
        assert mine == others and len(mine) == MODELS * len(TESTSETS) * 3, "the accuracies differ"
        title = f"{MODELS} models on {len(TESTSETS)} test sets of {asked.images:,} images of {asked.pixels} pixels"
        print_table(f"{title}, equal accuracies", "s", results, OURS)
        print_table("The same in CPU seconds", "CPU s", spent, OURS)


if __name__ == "__main__":
    main()
