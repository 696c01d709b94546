"""kill -9 at twenty-one random moments of shuffling, downloading and sharding: the same bytes as undisturbed in the end."""

import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from experiments import load, read
from hostile import HostileServer
from testbed.lists.pairs import uid
from testbed.records.manifest import problem

STAGES = ("shuffle", "download", "shard")
KILLS = 7
"""In each stage."""

ROWS = 3000
CHUNK = 100
SCRIPT = Path(__file__).with_name("data_stages.py")


@pytest.fixture(scope="module")
def hostile():
    server = HostileServer()
    yield server
    server.close()


def prepare(folder: Path, server: HostileServer) -> Path:
    """Pairs and options in `folder`; returns the file of the options."""
    folder.mkdir()
    kinds = ["missing" if number % 10 == 3 else "png" if number % 4 else "ok" for number in range(ROWS)]
    # The same paths under either folder's name, so that both have the same order.
    pairs = [(server.url(kind, number), f"image {number}") for number, kind in enumerate(kinds)]
    rows = [{"uid": uid(url, caption), "url": url, "caption": caption} for url, caption in pairs]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "pairs.parquet")
    download = load(read("demo")).config["download"] | {
        "proxy": "none",
        "private_networks": ["127.0.0.1/32"],
        "requests_per_second": 0,
        # Which URLs share a chunk changes with the server's port.
        "minimum_success": 0.5,
        "chunk_size": CHUNK,
        "threads": 16,
    }
    options = folder / "options.json"
    options.write_text(json.dumps({"samples": ROWS, "part_size": 1000, "shard_size": 150, "download": download}))
    return options


def start(folder: Path, options: Path, environment: dict[str, str]) -> subprocess.Popen:
    """Start the stages in `folder`."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, folder, options], env=environment, stdout=subprocess.PIPE, text=True
    )


def begins(process: subprocess.Popen, stage: str) -> bool:
    """Wait until `stage` begins, or until all is done; whether it began."""
    said = next((line for line in map(str.strip, process.stdout) if line in (stage, "done")), None)
    assert said is not None, f"failed with {process.wait()}"
    return said == stage


def stages_left(folder: Path) -> tuple[str, ...]:
    """The stages that are not done yet."""
    if (folder / "shards" / "manifest.json").is_file():
        return ()
    if not (folder / "shuffled" / "manifest.json").is_file():
        return STAGES
    parts = list((folder / "shuffled").glob("*.parquet"))
    downloaded = all((folder / "downloads" / part.stem / "manifest.json").is_file() for part in parts)
    return STAGES[2:] if downloaded else STAGES[1:]


def shards_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").glob("*.tar"))}


def finished_urls(folder: Path) -> set[str]:
    """Paths of all URLs in chunks that have their record."""
    tables = [path.with_suffix(".parquet") for path in folder.glob("downloads/*/[0-9]*.json")]
    urls = [url for table in tables for url in parquet.read_table(table, columns=["url"])["url"].to_pylist()]
    return {"/" + url.split("/", 3)[3] for url in urls}


def test_kills_in_every_stage_change_no_byte(hostile, scripts_environment, tmp_path):
    options = prepare(tmp_path / "undisturbed", hostile)
    process = start(tmp_path / "undisturbed", options, scripts_environment)
    started = {stage: time.monotonic() for stage in [*STAGES, "done"] if begins(process, stage)}
    assert process.wait() == 0
    seconds = {stage: started[then] - started[stage] for stage, then in pairwise(started)}
    wanted = shards_of(tmp_path / "undisturbed")
    assert len(wanted) == 18

    moments, kills, runs = random.Random(0), Counter(), 0
    while any(kills[stage] < KILLS for stage in STAGES):
        runs += 1
        folder = tmp_path / f"killed{runs}"
        options = prepare(folder, hostile)
        while left := stages_left(folder):
            before = {path: hostile.visits.get(path, 0) for path in finished_urls(folder)}
            process = start(folder, options, scripts_environment)
            stage = next((stage for stage in left if kills[stage] < KILLS), "done")
            assert begins(process, stage)
            try:
                # The download goes on where it was, so that a whole one has room for several kills.
                assert process.wait(None if stage == "done" else moments.uniform(0, seconds[stage] / 2)) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills[stage] += stage in stages_left(folder)
            assert {path: hostile.visits[path] for path in before} == before, "a finished chunk was fetched again"
        assert shards_of(folder) == wanted
        manifest = json.loads((folder / "shards" / "manifest.json").read_text())
        assert [problem(folder / "shards", file) for file in manifest["files"]] == [None] * len(wanted)
        assert not list(folder.glob("shards/.*.tmp"))
        shutil.rmtree(folder)
    print(f"{dict(kills)} kills in {runs} runs of {sum(seconds.values()):.1f} s", file=sys.stderr)
