"""kill -9 while tars are indexed and rewritten, after each number of finished tars and shards: the same bytes in the end."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tars import write_hub_tars
from testbed.records.manifest import problem, read_json

SAMPLES, PER_TAR, SHARD_SIZE = 1500, 100, 100
STAGES = ("indexed", "shards")
KILLS = 4
"""In each stage."""
SCRIPT = Path(__file__).with_name("local_stages.py")


def start(folder: Path, tars: Path, environment: dict[str, str]) -> subprocess.Popen:
    paths = os.pathsep.join([environment["PYTHONPATH"], str(SCRIPT.parents[1] / "support")])
    command = [sys.executable, SCRIPT, folder, tars, str(SHARD_SIZE)]
    return subprocess.Popen(command, env=environment | {"PYTHONPATH": paths})


def records(folder: Path, stage: str) -> list[Path]:
    return sorted((folder / stage).rglob("[0-9]*.json"))


def shards_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").glob("*.tar"))}


def test_kills_change_no_byte_and_lose_no_finished_part(scripts_environment, tmp_path):
    tars = tmp_path / "tars"
    write_hub_tars(tars, SAMPLES, PER_TAR)
    assert start(tmp_path / "undisturbed", tars, scripts_environment).wait() == 0
    wanted = shards_of(tmp_path / "undisturbed")
    assert len(wanted) == SAMPLES // SHARD_SIZE
    moments, kills, folder = random.Random(0), Counter(), tmp_path / "killed"
    while any(kills[stage] < KILLS for stage in STAGES):
        stage = "shards" if records(folder, "shards") or kills["indexed"] >= KILLS else "indexed"
        before = {path: path.stat().st_mtime_ns for path in records(folder, stage)}
        process = start(folder, tars, scripts_environment)
        # One more part than there was, and a moment into the next.
        while process.poll() is None and len(records(folder, stage)) <= len(before):
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        kills[stage] += process.wait() != 0
        assert {path: path.stat().st_mtime_ns for path in before} == before, "a finished part was made again"
        if (folder / "shards" / "manifest.json").is_file():
            check(folder, wanted)
            shutil.rmtree(folder)
    assert start(folder, tars, scripts_environment).wait() == 0
    check(folder, wanted)


def check(folder: Path, wanted: dict[str, bytes]) -> None:
    assert shards_of(folder) == wanted
    files = read_json(folder / "shards" / "manifest.json")["files"]
    assert [problem(folder / "shards", file) for file in files] == [None] * len(wanted)
    assert not list(folder.glob("shards/.*.tmp"))
