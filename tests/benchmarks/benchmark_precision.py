"""How far CLIP scores move, and how many pairs are scored in a second, in each precision of a filter's teacher.

Scores the first pairs of a filter of an experiment that has run, by its own teacher and on its device. A CPU has no
TensorFloat-32. "changed" is the share of what is selected at a fraction that fp32 does not select.

    uv run python tests/benchmarks/benchmark_precision.py mini_laion_clip
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from tables import ROOT

sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "workflow" / "scripts")]

from select_samples import fraction_threshold  # noqa: E402
from testbed.evaluation.teacher import Teacher  # noqa: E402
from testbed.experiment.products import teacher_manifest  # noqa: E402
from testbed.records.parts import read_parts  # noqa: E402

FRACTIONS = (0.1, 0.3, 0.5)


def precisions_of(device: str) -> list[str]:
    """The precisions that differ on `device` (cpu or cuda)."""
    return ["fp32", "tf32", "bf16"] if device == "cuda" else ["fp32", "bf16"]


def first_pairs(samples: Path, pairs: int) -> list[pa.Table]:
    """The first `pairs` rows of the table of samples in the folder `samples`, in its parts."""
    tables = []
    for table in read_parts(samples):
        tables.append(table.slice(0, pairs))
        pairs -= len(tables[-1])
        if not pairs:
            break
    return tables


def scores_of(teacher: Teacher, shards: Path, tables: list[pa.Table]) -> tuple[np.ndarray, float]:
    """Scores of the pairs in `tables`, and how many were scored in a second. A first batch is not counted."""
    teacher.score(shards, tables[0].slice(0, teacher.batch_size))
    started = time.monotonic()
    scores = np.concatenate([teacher.score(shards, table)["clip_score"].to_numpy() for table in tables])
    return scores, len(scores) / (time.monotonic() - started)


def movement(exact: np.ndarray, moved: np.ndarray) -> dict[str, float]:
    """How far scores moved: the largest and the mean difference, the rank correlation, and the samples that selections
    at FRACTIONS have and `exact` has not, as a share of the selection."""
    ranks = [np.argsort(np.argsort(scores)) for scores in (exact, moved)]
    difference = np.abs(moved - exact)
    found = {"max": difference.max(), "mean": difference.mean(), "rank correlation": np.corrcoef(*ranks)[0, 1]}
    for fraction in FRACTIONS:
        kept = [scores >= fraction_threshold(scores, fraction) for scores in (exact, moved)]
        found[f"changed at {fraction}"] = (kept[1] & ~kept[0]).sum() / kept[1].sum()
    return {name: float(value) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("filter")
    parser.add_argument("--experiment", type=Path, default=ROOT / "config" / "demo.yaml")
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    # Not needed by benchmark_gpu.py, and it needs packages that a machine with a GPU may lack.
    from experiments import load

    experiment, results = load(yaml.safe_load(asked.experiment.read_text())), Path("results")
    folder, device = Path(teacher_manifest(experiment, asked.filter)).parent, experiment.device_of_teacher(asked.filter)
    shards = results / "shards" / experiment.root(asked.filter)
    tables = first_pairs(results / "samples" / experiment.filters[asked.filter]["from"], asked.pairs)
    exact = None
    print(f"| | pairs/s | max | mean | rank correlation | {' | '.join(f'changed at {f}' for f in FRACTIONS)} |")
    print("|---" * (5 + len(FRACTIONS)) + "|")
    for precision in precisions_of(device):
        options = {"workers": asked.workers, "precision": precision}
        teacher = Teacher(folder, device, asked.batch_size, **options)
        scores, rate = scores_of(teacher, shards, tables)
        exact = scores if exact is None else exact
        moves = " | ".join(f"{value:.4g}" for value in movement(exact, scores).values())
        print(f"| {precision} | {rate:,.0f} | {moves} |")


if __name__ == "__main__":
    main()
