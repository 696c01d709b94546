"""Seconds and memory until the first batch of a trainset of 15 million samples: its index, its order, and reading.

The trainset is made up: all of its 1,500 shards are links to one of 10,000 samples. So the index has its full size, and the
images of a batch are read and decoded as in a training.

    uv run python tests/benchmarks/benchmark_first_batch.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark_input import SCRIPTS, write_trainset
from tables import ROOT

from testbed.records.manifest import read_json, write_json
from testbed.shards.index import INDEX, index_trainset

LOAD = """
import json, resource, sys, time, warnings
from pathlib import Path
warnings.filterwarnings("ignore")
import torch
torch.set_num_threads(1)
import open_clip
from open_clip.transform import image_transform
from testbed.records.manifest import read_json
from testbed.training.images import Crop
from testbed.training.loading import Batches, Loader, Reader
from testbed.training.order import Order
tokenizer, transform = open_clip.get_tokenizer("RN50"), image_transform(224, is_train=True)
folder, workers = Path(sys.argv[1]), int(sys.argv[2])

def unshared(pid):
    "Memory of a process in MB, what it shares with others divided among them."
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000

before, started = unshared("self"), time.monotonic()
order = Order(read_json(folder / "manifest.json")["files"], 0)
batches = Batches(Reader(folder, folder / "index.npy"), 0, tokenizer, Crop.of(transform), transform, 0)
loader = iter(Loader(batches, order, 1000, 1024, accumulated=1, devices=1, rank=0, workers=workers))
next(loader)
first = time.monotonic() - started
for _ in range(20):
    next(loader)
import multiprocessing
processes = [unshared(child.pid) for child in multiprocessing.active_children()]
print(json.dumps({
    "first": first, "order": unshared("self") - before, "processes": processes,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
}))
"""


def enlarge(trainset: Path, shards: int) -> None:
    """Make a trainset of one shard one of `shards`, all of them the same file, with an index."""
    manifest = read_json(trainset / "manifest.json")
    (entry,), (shard,) = manifest["files"], sorted(trainset.glob("*.tar"))
    target = shard.readlink()
    files = [entry | {"name": f"{number:06}.tar"} for number in range(shards)]
    for file in files[1:]:
        (trainset / file["name"]).symlink_to(target)
    write_json(trainset / "manifest.json", manifest | {"files": files, "samples": shards * entry["samples"]})
    started = time.monotonic()
    index_trainset(trainset, files, trainset / INDEX)
    size = (trainset / INDEX).stat().st_size / 1e6
    print(f"index of {shards * entry['samples']:,} samples: {time.monotonic() - started:.1f} s, {size:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1500, help="of 10,000 samples each")
    shards = parser.parse_args().shards
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(dir=ROOT) as name:
        trainset = write_trainset(Path(name), {"one": 10_000}, 10_000)
        for count in (1, shards):
            if count > 1:
                enlarge(trainset, count)
            for workers in (0, 2, 8):
                command = [sys.executable, "-c", LOAD, str(trainset), str(workers)]
                answer = json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
                processes = ", ".join(f"{memory:.0f}" for memory in answer["processes"]) or "-"
                print(
                    f"{count * 10_000:,} samples, {workers} loading processes: first batch of 1,024 after "
                    f"{answer['first']:.1f} s; MB: {answer['order']:.0f} more after 21 batches, peak {answer['peak']:.0f}, "
                    f"loading processes {processes}"
                )


if __name__ == "__main__":
    main()
