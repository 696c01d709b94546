"""Metrics of logits, and the rank of each image's label."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

EVALUATION_COLUMNS = [
    *["model", "architecture", "pool", "size", "seed", "testset", "classes", "metric"],
    *["n", "correct", "value", "value_low", "value_high"],
]
"""Columns of results/tables/evaluations.csv."""

TOP = 5
PREDICTION_COLUMNS = ("testset", "classes", "key", "label", "prediction", "rank")


def label_ranks(logits: "torch.Tensor", labels: "torch.Tensor") -> list[int | None]:
    """Rank of each label among the `TOP` best classes of `logits` (N, C), 0 for the best; None if it is not among them."""
    best = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
    hits = best.eq(labels.view(-1, 1))
    ranks, found = hits.int().argmax(dim=1).tolist(), hits.any(dim=1).tolist()
    return [rank if is_found else None for rank, is_found in zip(ranks, found, strict=True)]


def metrics_of(logits: "torch.Tensor", labels: "torch.Tensor") -> list[dict]:
    """CLIP_benchmark's metrics of `logits` (N, C) against `labels` (N,): metric, n, correct (None for means), value."""
    from clip_benchmark.metrics.zeroshot_classification import accuracy

    n, classes = logits.shape
    ks = [k for k in (1, TOP) if k <= classes]
    rows = [
        {"metric": f"top{k}", "n": n, "correct": round(value * n), "value": value}
        for k, value in zip(ks, accuracy(logits, labels, topk=ks), strict=True)
    ]
    counts = labels.bincount(minlength=classes).double()
    hits = labels[logits.argmax(dim=1) == labels].bincount(minlength=classes)
    # Equal to scikit-learn's balanced accuracy, which CLIP_benchmark uses: classes without an image do not count.
    recall = float((hits / counts)[counts > 0].mean())
    return [*rows, {"metric": "mean_per_class_recall", "n": n, "correct": None, "value": recall}]


def metrics_by_average(averages: Mapping[str, "torch.Tensor"], labels: "torch.Tensor") -> list[dict]:
    """Rows as of `metrics_of` with the accuracy by each of `averages` (N, C), for an ensemble; none for a single one."""
    rows = []
    for average, scores in averages.items() if len(averages) > 1 else ():
        correct = int((scores.argmax(dim=1) == labels).sum())
        rows.append({"metric": top1_by(average), "n": len(labels), "correct": correct, "value": correct / len(labels)})
    return rows


def top1_by(average: str) -> str:
    """The name of the metric that is an ensemble's top-1 accuracy by `average`, one of `averages.AVERAGES`."""
    return f"top1_{average}"
