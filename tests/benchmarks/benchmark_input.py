"""Images per second of the training input alone, ours beside open_clip's own in the same run.

JPEG files of 341 x 256 pixels become random crops of 224 x 224, in batches of 256. Warm reads (the shards are in memory) are
measured by the number of loading processes. Other rows are: cold reads, with the page cache emptied before (needs root); a
mixture of three sources; our input with open_clip's transform, which sends floats. The last line is the ratio to open_clip's
input with two loading processes.

    uv run python tests/benchmarks/benchmark_input.py
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from tables import ROOT, WORDS, in_turn, print_table

SCRIPTS = ROOT / "workflow" / "scripts"
sys.path[:0] = [str(ROOT / "tests" / "support"), str(SCRIPTS)]

from link_trainset import link_trainset  # noqa: E402
from mini_parts import write_shards  # noqa: E402
from testbed.records.manifest import write_json  # noqa: E402
from testbed.shards.index import index_path, make_index, write_index  # noqa: E402

BATCH = 256
LOAD = """
import json, sys, time, warnings
from pathlib import Path
warnings.filterwarnings("ignore")
import torch
torch.set_num_threads(1)
import open_clip
from open_clip.transform import image_transform
request = json.loads(sys.argv[1])
folder, workers, batches = Path(request["trainset"]), request["workers"], request["batches"]
tokenizer, transform = open_clip.get_tokenizer("RN50"), image_transform(224, is_train=True)
if request["input"] == "open_clip":
    from open_clip_train import data, params
    shards = sorted(folder.glob("*.tar"))
    # Each loading process gives equally many batches.
    count = batches // max(1, workers) * max(1, workers) * 256
    arguments = params.parse_args([
        f"--train-data={folder}/{{000000..{shards[-1].stem}}}.tar", "--dataset-type=webdataset", "--batch-size=256",
        f"--train-num-samples={count}", f"--workers={workers}", "--model=RN50",
    ])
    arguments.world_size, arguments.rank, arguments.distributed = 1, 0, False
    train = data.get_data(arguments, (transform, None), 0, tokenizer)["train"]
    train.set_epoch(0)
    loader = train.dataloader
else:
    from testbed.records.manifest import read_json
    from testbed.training.images import Crop
    from testbed.training.loading import Batches, Loader, Reader
    from testbed.training.order import Order
    order = Order(read_json(folder / "manifest.json")["files"], 0)
    crop = None if request["input"] == "floats" else Crop.of(transform)
    own = Batches(Reader(folder, folder / "index.npy"), 0, tokenizer, crop, transform, 0)
    loader = Loader(own, order, batches, 256, accumulated=1, devices=1, rank=0, workers=workers)
started, images = time.monotonic(), 0
for batch, _ in loader:
    images += len(batch)
print(images / (time.monotonic() - started))
"""


def jpegs(count: int) -> list[bytes]:
    """Images with edges and smooth parts, about 30 kB each."""
    rng, files = np.random.default_rng(0), []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (32, 43, 3), np.uint8)).resize(
            (341, 256), Image.Resampling.BICUBIC
        )
        file = io.BytesIO()
        coarse.save(file, "JPEG", quality=95)
        files.append(file.getvalue())
    return files


def write_trainset(folder: Path, sources: dict[str, int], shard_size: int) -> Path:
    files, rng = jpegs(500), np.random.default_rng(1)
    for source, size in sources.items():
        samples = [
            {"jpg": files[number % 500], "json": b"{}", "txt": " ".join(rng.choice(WORDS, 9)).encode()}
            for number in range(size)
        ]
        write_shards(folder / source, source, samples, shard_size)
        for shard in (folder / source).glob("*.tar"):
            write_index(index_path(shard), make_index(shard))
    trainset = folder / ("-".join(sources) + "-trainset")
    trainset.mkdir()
    shards = {source: folder / source for source in sources}
    write_json(trainset / "manifest.json", link_trainset(sources, shards, trainset))
    return trainset


def drop_caches() -> bool:
    """Empty the page cache; False where that is not allowed."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def rate(trainset: Path, input: str, workers: int, batches: int, cold: bool = False) -> float:
    if cold:
        assert drop_caches()
    request = {"trainset": str(trainset), "input": input, "workers": workers, "batches": batches}
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LOAD, json.dumps(request)]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    batches = asked.samples // BATCH
    with tempfile.TemporaryDirectory(dir=ROOT) as name:
        folder = Path(name)
        single = write_trainset(folder, {"one": asked.samples}, 1000)
        thirds = dict.fromkeys(("a", "b", "c"), asked.samples // 3)
        mixture = write_trainset(folder, thirds, 1000)

        def measured(trainset: Path = single, input: str = "ours", workers: int = 2, cold: bool = False):
            return lambda: rate(trainset, input, workers, batches, cold)

        runs = {}
        for workers in (0, 1, 2):
            runs[f"open_clip, {workers} processes"] = measured(input="open_clip", workers=workers)
            runs[f"ours, {workers} processes"] = measured(workers=workers)
        runs["ours, 2 processes, floats by open_clip's transform"] = measured(input="floats")
        runs["open_clip, 2 processes, three sources"] = measured(mixture, "open_clip")
        runs["ours, 2 processes, three sources"] = measured(mixture)
        if drop_caches():
            runs["open_clip, 2 processes, cold"] = measured(input="open_clip", cold=True)
            runs["ours, 2 processes, cold"] = measured(cold=True)
        results = in_turn(runs, asked.repeats)
    print_table("Training input", "images/s", results, "open_clip, 2 processes")
    medians = [statistics.median(results[f"{name}, 2 processes"]) for name in ("ours", "open_clip")]
    print(f"ratio {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main()
