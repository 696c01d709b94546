"""Benchmarks are no tests, but they start: their imports and their options are those of today."""

import json
import os
import subprocess
import sys

import pytest

from experiments import ROOT

FOLDER = ROOT / "tests" / "benchmarks"
BENCHMARKS = [*sorted(FOLDER.glob("benchmark_*.py")), FOLDER / "pack_wheels.py"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_starts(path):
    result = subprocess.run([sys.executable, path, "--help"], env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0 and "usage: " in result.stdout, result.stderr


@pytest.mark.slow
def test_every_part_for_a_gpu_runs_on_a_cpu(tmp_path):
    command = [sys.executable, FOLDER / "benchmark_gpu.py", tmp_path, "--device=cpu", "--smoke", "--minutes=60"]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = {entry["part"]: entry for entry in map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())}
    parts = ["data", "train mini_rn", "score mini_rn", "evaluate mini_rn", "clip_benchmark mini_rn", "resume mini_rn"]
    assert list(found) == [*parts, "end"]
    assert [part for part, entry in found.items() if "failed" in entry] == []
    assert [entry["steps"] for entry in found["train mini_rn"].values() if isinstance(entry, dict)] == [8, 8, 4]
    assert set(found["score mini_rn"]["pairs_per_second"]) == {"fp32", "bf16"}
    assert found["clip_benchmark mini_rn"]["equal"]
    resumed = found["resume mini_rn"]
    assert (resumed["resumed_at_step"], resumed["steps"], resumed["times_seen"]) == (2, 4, [1, 1])
