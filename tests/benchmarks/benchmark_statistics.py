"""From the models' metrics to every plot, table and claim, by Snakemake: 500 models on 8 test sets, generated.

uv run python tests/benchmarks/benchmark_statistics.py                 models count as independent
uv run python tests/benchmarks/benchmark_statistics.py --predictions   errors of test images from predictions
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import yaml
from tables import ROOT

sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from testbed.statistics.lines import clopper_pearson  # noqa: E402
from testbed.statistics.tables import EVALUATION_COLUMNS  # noqa: E402

TESTSETS = {"imagenet": 50_000, "imagenet-v2": 10_000, "imagenet-r": 30_000, "imagenet-sketch": 50_889}
TESTSETS |= {"objectnet": 18_574, "imagenet-a": 7_500, "fog": 50_000, "snow": 50_000}
SIZES, SEEDS = [1_000_000, 2_700_000, 5_000_000, 9_600_000], [0, 1, 2, 3, 4]
SOURCES = [f"source{number}" for number in range(6)]


def experiment(mixtures: int) -> dict:
    """Six sources and so many mixtures of two, at four sizes with five seeds each."""
    pairs = [(SOURCES[number % 6], SOURCES[(number + 1 + number // 6) % 6]) for number in range(mixtures)]
    return {
        "experiment": "generated",
        "sources": {name: {"metadata": {"miniweb": "yfcc"}, "samples": 10_000_000} for name in SOURCES},
        "mixtures": {f"mixture{number}": {"shares": dict.fromkeys(pair, 1)} for number, pair in enumerate(pairs)},
        "sizes": SIZES,
        "seeds": SEEDS,
        "architectures": {"rn50": {"model": "RN50", "batch_size": 1024, "epochs": 16, "learning_rate": 1.0e-3}},
        "testsets": {name: {"miniweb": "imagenet"} for name in TESTSETS},
        "reference": "imagenet",
    }


class Answers:
    """Which images of a test set models classify correctly: what is difficult for one model is difficult for most."""

    def __init__(self, n: int, rng: np.random.Generator):
        self.rng, self.difficulty = rng, rng.logistic(0, 1, n)
        self.keys = pa.array([f"{number:06}" for number in range(n)])

    def of(self, skill: float) -> np.ndarray:
        """One model's answers, at an accuracy of about expit(skill)."""
        return self.difficulty + self.rng.normal(0, 0.5, len(self.difficulty)) < skill


def write_evaluations(pools: list[str], folder: Path, predictions: bool) -> int:
    """Write metrics.csv and predictions.parquet of each model, as evaluate_clip leaves them; return the number of models.

    Without `predictions` their table has no rows.
    """
    rng = np.random.default_rng(0)
    answers = {testset: Answers(n, rng) for testset, n in TESTSETS.items()}
    models = [(pool, size, seed) for pool in pools for size in SIZES for seed in SEEDS]
    for pool, size, seed in models:
        model = f"{pool}-rn50-{size}-{seed}"
        x = -2.6 + 0.55 * np.log2(size / 1e6) + 0.02 * pools.index(pool) + rng.normal(0, 0.03)
        rows, tables = [], []
        for place, (testset, own) in enumerate(answers.items()):
            y = x if place == 0 else 0.9 * x - 0.3 * place + 0.1 * ((7 * pools.index(pool) + place) % 5)
            right = own.of(y + rng.normal(0, 0.03) * (place > 0))
            n, correct = len(right), int(right.sum())
            ends = [float(end) for end in clopper_pearson(correct, n)]
            rows.append([model, "rn50", pool, size, seed, testset, "all", "top1", n, correct, correct / n, *ends])
            tables.append(table_of_predictions(testset, own.keys, right))
        (folder / model).mkdir(parents=True)
        pd.DataFrame(rows, columns=EVALUATION_COLUMNS).to_csv(folder / model / "metrics.csv", index=False)
        table = pa.concat_tables(tables if predictions else [tables[0].slice(0, 0)])
        parquet.write_table(table, folder / model / "predictions.parquet", compression="zstd")
    return len(models)


def table_of_predictions(testset: str, keys: pa.Array, right: np.ndarray) -> pa.Table:
    """The predictions of one model on one test set of 1,000 classes."""
    labels = np.arange(len(right)) % 1000
    names = {"testset": pa.repeat(testset, len(right)), "classes": pa.repeat("all", len(right)), "key": keys}
    return pa.table(
        {**names, "label": labels, "prediction": (labels + ~right) % 1000, "rank": (~right).astype(np.int64)}
    )


def main(mixtures: int, predictions: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="statistics_"))
    try:
        for name in ("Snakefile", "workflow", "config", "envs", "resources", "profiles"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        config = experiment(mixtures)
        (folder / "generated.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        pools = [*config["sources"], *config["mixtures"]]
        count = write_evaluations(pools, folder / "results" / "evaluations", predictions)
        targets = [f"results/plots/mixtures/{mixture}.pdf" for mixture in config["mixtures"]]
        targets += ["results/plots/effective_robustness.pdf", "results/plots/data_efficiency.pdf", "results/claims.csv"]
        targets += ["results/report/explore.html"]
        targets += [f"results/tables/{name}.csv" for name in ("effective_robustness", "dilution", "scaling")]
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--configfile",
            "generated.yaml",
            "--quiet",
            "all",
            "--",
            *targets,
        ]
        started = time.monotonic()
        subprocess.run(command, cwd=folder, check=True, env=os.environ | {"PYTHONPATH": ""})
        took = time.monotonic() - started
        evaluations = pd.read_csv(folder / "results/tables/evaluations.csv")
        print(f"{count} models, {len(TESTSETS)} test sets, {len(evaluations)} rows, {mixtures + 2} plots: {took:.0f} s")
        for benchmark in sorted((folder / "results/benchmarks").rglob("*.tsv")):
            row = pd.read_csv(benchmark, sep="\t").iloc[0]
            print(f"{benchmark.stem}: {row['s']:.1f} s, at most {row['max_rss']} MB")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mixtures", type=int, default=19, help="mixtures beside six sources, 20 models each")
    parser.add_argument("--predictions", action="store_true", help="with 267,000 predictions of each model")
    main(**vars(parser.parse_args()))
