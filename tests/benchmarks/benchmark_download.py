"""Images per second of download_images, of img2dataset's command line, and of a loop that fetches one after the other.

All fetch the same pages from one server on loopback. Rates are those of the server's clock, from the first request to the
last answer, so that start-up does not count. The loop does what the paper's released downloader does in each of its
processes: one request at a time with half a second of patience, decoded and stored again with Pillow.

    uv run python tests/benchmarks/benchmark_download.py
"""

import argparse
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet
from tables import ROOT, in_turn, metered, print_table

sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "workflow" / "scripts")]

import hostile  # noqa: E402
from experiments import load, read  # noqa: E402

SIZES = [(320, 240), (640, 480), (500, 375), (800, 600)]
ZOO = ["missing", "busy", "drip", "silent", "cut", "html", "truncated", "reset", "noai"]
THREADS = 32
TIMEOUT = 2
# A dripping page takes 20 s then: at the 200 s of the tests, img2dataset would need half an hour for each run. A page
# without an end is left out, because it fills img2dataset's memory.
hostile.DRIP_SECONDS = 0.02


def picture(number: int) -> bytes:
    """A JPEG with the detail of a photograph, some tens of kilobytes."""
    width, height = SIZES[number % len(SIZES)]
    coarse = np.random.default_rng(number).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()


PICTURES = [picture(number) for number in range(16)]


class Handler(hostile.HostileHandler):
    """The hostile server, with larger images and a clock."""

    def do_GET(self) -> None:
        self.server.clock()
        super().do_GET()
        self.server.clock()

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        if body == hostile.image("ok"):
            body = PICTURES[hash(self.path) % len(PICTURES)]
        super().give(body, status, **headers)


class Server(hostile.HostileServer):
    first = last = 0.0

    def clock(self) -> None:
        self.last = time.monotonic()
        self.first = self.first or self.last


def serve(latency: float) -> None:
    """Serve until standard input closes; each line asks for the seconds since the last line, and starts the clock anew."""
    server = Server(latency)
    server.RequestHandlerClass = Handler
    print(server.server_port, flush=True)
    for _ in sys.stdin:
        print(server.last - server.first, flush=True)
        server.first = server.last = 0.0
        server.visits.clear()


class Web:
    """The server in a process of its own, and the list of its pages."""

    def __init__(self, folder: Path, urls: int, share: float, latency: float):
        command = [sys.executable, __file__, "--serve", str(latency)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = int(self.process.stdout.readline())
        chosen = random.Random(0)
        kinds = [chosen.choice(ZOO) if chosen.random() < share else "ok" for _ in range(urls)]
        self.good = kinds.count("ok")
        self.folder = folder
        self.list = folder / "list.parquet"
        rows = [
            {"uid": f"{number:032x}", "url": f"http://127.0.0.1:{port}/{kind}/{number}", "caption": f"image {number}"}
            for number, kind in enumerate(kinds)
        ]
        parquet.write_table(pa.Table.from_pylist(rows), self.list)

    def rate(self, command: list, **options) -> float:
        """Images per second that the server gave to `command`."""
        self.seconds()
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*map(str, command)], check=True, **quiet, **options)
        return self.good / self.seconds()

    def seconds(self) -> float:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def ours(self, threads: int = THREADS) -> float:
        return self.rate([sys.executable, __file__, "--fetch", self.list, self.folder / "out", threads])

    def img2dataset(self) -> float:
        options = {
            "url_list": self.list,
            "input_format": "parquet",
            "url_col": "url",
            "caption_col": "caption",
            "output_format": "webdataset",
            "output_folder": self.folder / "out",
            "processes_count": 1,
            "thread_count": THREADS,
            "image_size": 256,
            "resize_mode": "keep_ratio",
            "resize_only_if_bigger": True,
            "encode_quality": 95,
            "number_sample_per_shard": 1000,
            "save_additional_columns": '["uid"]',
            "retries": 2,
            "timeout": TIMEOUT,
            "user_agent_token": "clip-data-testbed",
        }
        program = Path(sys.executable).with_name("img2dataset")
        return self.rate([program, *(f"--{name}={value}" for name, value in options.items())])

    def one_by_one(self) -> float:
        return self.rate([sys.executable, __file__, "--loop", self.list, self.folder / "out"])


def fetch(part: str, folder: str, threads: str) -> None:
    from download_images import download_images

    limits = {"proxy": "none", "private_networks": ["127.0.0.1/32"], "requests_per_second": 0, "minimum_success": 0}
    limits |= {"timeout": TIMEOUT, "deadline": 3 * TIMEOUT, "backoff": 0.5, "retries": 2, "threads": int(threads)}
    options = load(read("demo")).config["download"] | limits | {"image_size": 256, "quality": 95, "chunk_size": 1000}
    download_images(Path(part), Path(folder), options, [])


def loop(part: str, folder: str) -> None:
    import requests

    for number, url in enumerate(parquet.read_table(part, columns=["url"])["url"].to_pylist()):
        try:
            answer = requests.get(url, timeout=0.5)
            if answer.status_code == 200:
                Image.open(io.BytesIO(answer.content)).convert("RGB").save(Path(folder) / f"{number}.jpg")
        except Exception:
            continue


def compare(title: str, urls: int, share: float, latency: float, runs: list[str], against: str, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        web = Web(Path(folder), urls, share, latency)
        try:
            names = {"ours": "download_images", "img2dataset": "img2dataset", "one_by_one": "one by one"}
            spent = {names[run]: [] for run in runs}
            metered_runs = {names[run]: partial(metered, getattr(web, run), spent[names[run]]) for run in runs}
            print_table(title, "images/s", in_turn(metered_runs, repeats), names[against])
            per_image = {name: [1000 * seconds / web.good for seconds in all_runs] for name, all_runs in spent.items()}
            print_table(f"{title}, processor time with start-up", "ms an image", per_image, names[against])
        finally:
            web.process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--serve", type=float)
    parser.add_argument("--fetch", nargs=3)
    parser.add_argument("--loop", nargs=2)
    asked = parser.parse_args()
    if asked.serve is not None:
        serve(asked.serve)
    elif asked.fetch:
        fetch(*asked.fetch)
    elif asked.loop:
        loop(*asked.loop)
    else:
        both = ["ours", "img2dataset"]
        compare("Steady state", 4000, 0.0, 0.0, both, "img2dataset", asked.repeats)
        compare("One URL in fifty fails", 1000, 0.02, 0.0, both, "img2dataset", asked.repeats)
        compare("200 ms latency", 400, 0.0, 0.2, ["ours", "one_by_one"], "one_by_one", asked.repeats)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
