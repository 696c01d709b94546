"""Evaluating 6 models on 5 test sets: decode_testset and evaluate_clip, a process each, against CLIP_benchmark.

CLIP_benchmark's command line is called once for each model with all test sets, as it is when models are ready one after the
other, and once with all models and test sets, which is the quickest way. All compute without automatic mixed precision,
and the accuracies have to be equal to the last image.

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
from pathlib import Path

from PIL import Image
from tables import ROOT, in_turn, print_table

SCRIPTS = ROOT / "workflow" / "scripts"
sys.path[:0] = [str(ROOT / "tests" / "unit"), str(SCRIPTS)]

from experiments import DEMO, load  # noqa: E402
from make_testset import make_testset  # noqa: E402
from testbed.archive import add_member  # noqa: E402
from testbed.manifest import record, write_json  # noqa: E402
from testbed.testsets import read_samples  # noqa: E402

MODELS = 6
TESTSETS = ("imagenet", "v2", "sketch", "rendition", "objectnet")
OURS = """
import json, sys
from pathlib import Path
from testbed.imports import skip_compiler, skip_sklearn, skip_unused_imports
request = json.loads(sys.argv[1])
skip_unused_imports(); skip_sklearn(); skip_compiler()
from evaluate_clip import evaluate_clip, write_metrics
testsets = {name: (Path(path), Path(decoded)) for name, (path, decoded) in request["testsets"].items()}
rows, _ = evaluate_clip(Path(request["folder"]), testsets, "cpu", request["batch_size"])
model = {"model": "m", "architecture": "a", "pool": "p", "size": 1, "seed": 0}
write_metrics(rows, model, 0.995, Path(request["folder"]) / "metrics.csv")
"""
DECODE = """
import sys
from pathlib import Path
from testbed.imports import skip_compiler, skip_unused_imports
skip_unused_imports(); skip_compiler()
from decode_testset import decode_testset, transform_of
from testbed.manifest import write_json
testset, model, folder, workers = sys.argv[1:]
entry = decode_testset(Path(testset), "classification", transform_of(model), Path(folder), int(workers))
write_json(Path(folder) / "manifest.json", entry)
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


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(SCRIPTS), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def run(command: list, folder: Path = ROOT) -> None:
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def at_once(commands: list[list]) -> None:
    """Run commands as Snakemake does on this machine: one for each core."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, commands))


def ours(models: list[Path], testsets: dict[str, Path], out: Path, options: dict) -> float:
    """Seconds for all models, with the decoding of all test sets."""
    shutil.rmtree(out, ignore_errors=True)
    paths = {name: (str(path), str(out / name)) for name, path in testsets.items()}
    for _, decoded in paths.values():
        Path(decoded).mkdir(parents=True)
    started = time.monotonic()
    workers = options["workers"]
    at_once([[sys.executable, "-c", DECODE, path, models[0], decoded, workers] for path, decoded in paths.values()])
    requests = [{"folder": str(model), "testsets": paths, "batch_size": options["batch_size"]} for model in models]
    at_once([[sys.executable, "-c", OURS, json.dumps(request)] for request in requests])
    return time.monotonic() - started


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


def accuracies(models: list[Path], out: Path) -> tuple[dict, dict]:
    """Accuracies by model, test set and metric: ours, and CLIP_benchmark's."""
    names = {"acc1": "top1", "acc5": "top5", "mean_per_class_recall": "mean_per_class_recall"}
    mine, others = {}, {}
    for model in models:
        with open(model / "metrics.csv", newline="") as file:
            mine |= {(model.name, row["testset"], row["metric"]): float(row["value"]) for row in csv.DictReader(file)}
    for path in out.rglob("*.json"):
        entry = json.loads(path.read_text())
        place = (entry["model"].removeprefix("local-dir:"), entry["dataset"].removeprefix("wds/"))
        others |= {(*place, names[metric]): value for metric, value in entry["metrics"].items()}
    return mine, others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--pixels", type=int, default=320)
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
            "evaluate_clip": lambda: ours(models, testsets, folder / "decoded", options),
        }
        results = in_turn(runs, asked.repeats)
        mine, others = accuracies(models, out)
        assert mine == others and len(mine) == MODELS * len(TESTSETS) * 3, "the accuracies differ"
        title = f"{MODELS} models on {len(TESTSETS)} test sets of {asked.images:,} images of {asked.pixels} pixels"
        print_table(f"{title}, equal accuracies", "s", results, "evaluate_clip")


if __name__ == "__main__":
    main()
