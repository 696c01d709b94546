"""Evaluate one model zero-shot on all test sets: CLIP_benchmark's prompts and metric code, one process per model.

Test sets are local WebDatasets in CLIP_benchmark's format, with their own class names and prompt templates. Each image's
prediction is kept, so that accuracies over fewer classes or of several models together can be had without a GPU.

In:  a model's manifest (and its folder), the test sets' folders
Out: a table of metrics with the columns of results/tables/evaluations.csv, and a parquet table with a row per image:
     testset, key, label, prediction, rank (place of the label among the five best classes, 0 the best; null below)
"""

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.imports import skip_compiler, skip_sklearn, skip_unused_imports
from testbed.log import log_to
from testbed.manifest import problem, publish, read_json
from testbed.work import follow_parent, locked

if TYPE_CHECKING:
    import torch
    from snakemake.script import snakemake

TOP = 5


class EvaluationError(RuntimeError):
    """A model or a test set cannot be evaluated as it is."""


@dataclass
class Batches:
    """A test set's batches as CLIP_benchmark wants them, (images, labels), with the images' keys noted on the way."""

    loader: "torch.utils.data.DataLoader"
    keys: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
        for images, labels, keys in self.loader:
            self.keys.extend(keys)
            yield images, labels


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").strip("\n").split("\n")


def open_testset(folder: Path, transform, batch_size: int, workers: int) -> Batches:
    """The images of a local test set, transformed, in batches of (images (B, 3, H, W), labels (B,), keys)."""
    import torch
    import webdataset

    shards = int((folder / "test" / "nshards.txt").read_text())
    urls = [str(folder / "test" / f"{shard}.tar") for shard in range(shards)]
    dataset = (
        webdataset.WebDataset(urls, shardshuffle=False, nodesplitter=webdataset.single_node_only)
        .decode(webdataset.autodecode.ImageHandler("pil", extensions=["webp", "png", "jpg", "jpeg"]))
        .to_tuple("webp;png;jpg;jpeg", "cls", "__key__")
        .map_tuple(transform, int, str)
    )
    return Batches(torch.utils.data.DataLoader(dataset, batch_size=batch_size, num_workers=min(workers, shards)))


def label_ranks(logits: "torch.Tensor", labels: "torch.Tensor") -> list[int | None]:
    """Place of each label among the `TOP` best classes of `logits` (N, C), 0 the best; None where it is not among them."""
    best = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
    hits = best.eq(labels.view(-1, 1))
    return [int(row.nonzero()) if row.any() else None for row in hits]


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
    # As scikit-learn's balanced accuracy, which CLIP_benchmark takes: classes without an image do not count.
    recall = float((hits / counts)[counts > 0].mean())
    return [*rows, {"metric": "mean_per_class_recall", "n": n, "correct": None, "value": recall}]


def evaluate_testset(model, tokenizer, transform, folder: Path, device: str, options: dict) -> tuple[list[dict], dict]:
    """Metrics and per-image predictions of `model` on the test set in `folder`.

    `options` is the experiment's `evaluation` section. Raises `EvaluationError` where a label has no class name.
    """
    from clip_benchmark.metrics.zeroshot_classification import run_classification, zero_shot_classifier

    names = read_lines(folder / "classnames.txt")
    templates = read_lines(folder / "zeroshot_classification_templates.txt")
    # Without automatic mixed precision: bfloat16 logits tie, and ties make accuracy depend on the order of classes.
    classifier = zero_shot_classifier(model, tokenizer, names, templates, device, amp=False)
    batches = open_testset(folder, transform, options["batch_size"], options["workers"])
    logits, labels = run_classification(model, classifier, batches, device, amp=False)
    if labels.max() >= len(names):
        raise EvaluationError(
            f"{folder}: an image has label {int(labels.max())}, and classnames.txt has {len(names)} names. "
            "Labels count from 0, in the order of classnames.txt."
        )
    predictions = {
        "key": batches.keys,
        "label": labels.tolist(),
        "prediction": logits.argmax(dim=1).tolist(),
        "rank": label_ranks(logits, labels),
    }
    return metrics_of(logits, labels), predictions


def load_model(folder: Path, device: str):
    """Model, tokenizer and image transform from a model's folder; raises `EvaluationError` if its files are not whole."""
    import open_clip

    for file in read_json(folder / "manifest.json")["files"]:
        wrong = problem(folder, file)
        if wrong:
            raise EvaluationError(f"{wrong}. Delete {folder}/manifest.json to train the model again.")
    name = f"local-dir:{folder}"
    model, _, transform = open_clip.create_model_and_transforms(name, device=device)
    return model.eval(), open_clip.get_tokenizer(name), transform


def evaluate_clip(folder: Path, testsets: dict[str, Path], device: str, options: dict) -> tuple[list[dict], dict]:
    """Evaluate the model in `folder` on `testsets` (name to folder); returns metric rows and the table of predictions."""
    model, tokenizer, transform = load_model(folder, device)
    rows, table = [], {}
    for testset, path in testsets.items():
        metrics, predictions = evaluate_testset(model, tokenizer, transform, path, device, options)
        logging.info("%s: top1 %.4f of %d images", testset, metrics[0]["value"], metrics[0]["n"])
        rows += [{"testset": testset, "classes": "all", **row} for row in metrics]
        predictions = {"testset": [testset] * len(predictions["key"]), **predictions}
        for column, values in predictions.items():
            table.setdefault(column, []).extend(values)
    return rows, table


def write_metrics(rows: list[dict], model: dict, confidence: float, path: Path) -> None:
    """Write metric rows of `model` (its columns of evaluations.csv), with Clopper-Pearson intervals, to `path`."""
    from testbed.statistics import clopper_pearson
    from testbed.tables import EVALUATION_COLUMNS

    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, EVALUATION_COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            low, high = (
                (None, None) if row["correct"] is None else clopper_pearson(row["correct"], row["n"], confidence)
            )
            writer.writerow({**model, **row, "value_low": low, "value_high": high})
    publish(temporary, path)


def write_predictions(predictions: dict[str, list], path: Path) -> None:
    """Write the table of predictions (column to values) as parquet to `path`."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    temporary = path.with_name(f".{path.name}.tmp")
    parquet.write_table(pa.table(predictions), temporary, compression="zstd")
    publish(temporary, path)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    follow_parent()
    folder = Path(snakemake.input.model).parent
    params = snakemake.params
    skip_unused_imports(read_json(folder / "open_clip_config.json"))
    skip_sklearn()
    if params.device == "cpu":
        skip_compiler()
    testsets = {name: Path(path) for name, path in params.testsets.items()}
    with locked(Path(snakemake.output.metrics).parent):
        rows, predictions = evaluate_clip(folder, testsets, params.device, dict(params.options))
        write_predictions(predictions, Path(snakemake.output.predictions))
        write_metrics(rows, dict(params.model), params.confidence, Path(snakemake.output.metrics))
