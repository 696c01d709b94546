"""Evaluate one model zero-shot on all test sets: CLIP_benchmark's prompts and metric code, one process per model.

Test sets are local WebDatasets in CLIP_benchmark's format, with their own class names and prompt templates, whose images
decode_testset has decoded. Their task is classification, multi-label classification or retrieval. Text heads are computed
once for each list of classes. Of classifications each image's prediction is kept, so that accuracies over fewer classes
or of several models together can be had without a GPU.

In:  a model's manifest (and its folder), the test sets' folders and those of their decoded images
Out: a table of metrics with the columns of results/tables/evaluations.csv, and a parquet table with a row per image:
     testset, key, label, prediction, rank (place of the label among the five best classes, 0 the best; null below);
     beside them manifest.json, which records them and where they come from
"""

import csv
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testbed.framing import Framing
from testbed.imports import skip_compiler, skip_pandas, skip_sklearn, skip_unused_imports
from testbed.log import log_to
from testbed.manifest import problem, publish, read_json, record, write_json
from testbed.provenance import circumstances, made_from, now
from testbed.testsets import Decoded, open_decoded, read_lines
from testbed.work import follow_parent, locked

if TYPE_CHECKING:
    import torch
    from snakemake.script import snakemake

PACKAGES = ("torch", "open_clip_torch", "clip_benchmark", "numpy")
"""Packages that decide what an evaluation gives, whose versions are recorded."""

TOP = 5
RECALLS = (1, 5, 10)
PREDICTION_COLUMNS = ("testset", "key", "label", "prediction", "rank")


class EvaluationError(RuntimeError):
    """A model or a test set cannot be evaluated as it is."""


class Batches:
    """A decoded test set's batches as CLIP_benchmark wants them: normalised images (B, 3, H, W) on `device`, and answers."""

    def __init__(self, decoded: Decoded, preprocess: dict, batch_size: int, device: str):
        import torch

        self.decoded, self.batch_size, self.device = decoded, batch_size, device
        self.mean, self.std = (torch.tensor(preprocess[name], device=device).view(-1, 1, 1) for name in ("mean", "std"))

    def __iter__(self) -> Iterator[tuple["torch.Tensor", "torch.Tensor | list"]]:
        import torch

        starts = range(0, len(self.decoded.keys), self.batch_size)
        # The next batch comes from the disk while the model works on this one.
        with ThreadPoolExecutor(1) as reader:
            pending = [reader.submit(self.read, start) for start in starts[:1]]
            for place, start in enumerate(starts):
                images = pending.pop().result()
                pending += [reader.submit(self.read, later) for later in starts[place + 1 : place + 2]]
                answers = self.decoded.answers[start : start + self.batch_size]
                if self.decoded.task != "retrieval":
                    answers = torch.tensor(answers)
                # The steps of torchvision's ToTensor and Normalize, in their order: bit for bit the same numbers.
                pixels = images.to(self.device).permute(0, 3, 1, 2).contiguous().float().div(255)
                yield pixels.sub_(self.mean).div_(self.std), answers

    def read(self, start: int) -> "torch.Tensor":
        """Images (B, H, W, 3) from `start` on, in bytes."""
        import torch

        return torch.from_numpy(np.array(self.decoded.images[start : start + self.batch_size]))


def label_ranks(logits: "torch.Tensor", labels: "torch.Tensor") -> list[int | None]:
    """Place of each label among the `TOP` best classes of `logits` (N, C), 0 the best; None where it is not among them."""
    best = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
    hits = best.eq(labels.view(-1, 1))
    places, found = hits.int().argmax(dim=1).tolist(), hits.any(dim=1).tolist()
    return [place if is_found else None for place, is_found in zip(places, found, strict=True)]


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


@dataclass
class Evaluator:
    """A model that is evaluated on one test set after the other."""

    model: object
    tokenizer: object
    device: str
    batch_size: int
    heads: dict[tuple, "torch.Tensor"] = field(default_factory=dict)

    def head(self, names: list[str], templates: list[str]) -> "torch.Tensor":
        """The text embeddings (D, C) of classes, which test sets with the same classes and templates share."""
        from clip_benchmark.metrics.zeroshot_classification import zero_shot_classifier

        key = (tuple(names), tuple(templates))
        if key not in self.heads:
            # Without automatic mixed precision: bfloat16 logits tie, and ties make accuracy depend on the order of classes.
            self.heads[key] = zero_shot_classifier(self.model, self.tokenizer, names, templates, self.device, amp=False)
        return self.heads[key]

    def evaluate(self, folder: Path, decoded: Decoded) -> tuple[list[dict], dict]:
        """Metrics and per-image predictions (of classifications) on the test set in `folder`.

        Raises `EvaluationError` where its images were decoded for another framing, or where a label has no class name.
        """
        preprocess = self.model.visual.preprocess_cfg
        framing = Framing.of(preprocess)
        if decoded.framing != framing:
            raise EvaluationError(
                f"{folder}: was decoded with {decoded.framing}, and the model takes {framing}. Delete "
                "results/decoded to have it decoded again."
            )
        batches = Batches(decoded, preprocess, self.batch_size, self.device)
        if decoded.task == "retrieval":
            return self.retrieval(batches), {}
        from clip_benchmark.metrics.zeroshot_classification import average_precision_per_class, run_classification

        names = read_lines(folder / "classnames.txt")
        head = self.head(names, read_lines(folder / "zeroshot_classification_templates.txt"))
        logits, labels = run_classification(self.model, head, batches, self.device, amp=False)
        classes = labels.shape[1] if decoded.task == "multilabel" else int(labels.max()) + 1
        if classes > len(names):
            raise EvaluationError(
                f"{folder}: an image has label {classes - 1}, and classnames.txt has {len(names)} names. "
                "Labels count from 0, in the order of classnames.txt."
            )
        if decoded.task == "multilabel":
            value = float(average_precision_per_class(logits, labels).mean())
            return [{"metric": "mean_average_precision", "n": len(labels), "correct": None, "value": value}], {}
        predictions = {
            "key": decoded.keys,
            "label": labels.tolist(),
            "prediction": logits.argmax(dim=1).tolist(),
            "rank": label_ranks(logits, labels),
        }
        return metrics_of(logits, labels), predictions

    def retrieval(self, batches: Batches) -> list[dict]:
        """CLIP_benchmark's recalls: the share of texts with their image among the k best, and of images with a text."""
        from clip_benchmark.metrics.zeroshot_retrieval import evaluate

        images = len(batches.decoded.keys)
        queries = {"image": sum(len(captions) for captions in batches.decoded.answers), "text": images}
        ks = [k for k in RECALLS if k <= images]
        values = evaluate(self.model, batches, self.tokenizer, self.device, amp=False, recall_k_list=ks)
        return [
            {
                "metric": f"{kind}_recall@{k}",
                "n": n,
                "correct": round(values[f"{kind}_retrieval_recall@{k}"] * n),
                "value": values[f"{kind}_retrieval_recall@{k}"],
            }
            for kind, n in queries.items()
            for k in ks
        ]


def load_model(folder: Path, device: str):
    """Model and tokenizer from a model's folder; raises `EvaluationError` if its files are not whole."""
    import open_clip

    for file in read_json(folder / "manifest.json")["files"]:
        wrong = problem(folder, file)
        if wrong:
            raise EvaluationError(f"{wrong}. Delete {folder}/manifest.json to train the model again.")
    name = f"local-dir:{folder}"
    return open_clip.create_model(name, device=device).eval(), open_clip.get_tokenizer(name)


def evaluate_clip(
    folder: Path, testsets: dict[str, tuple[Path, Path]], device: str, batch_size: int
) -> tuple[list[dict], dict]:
    """Evaluate the model in `folder` on `testsets`, name to its folder and that of its decoded images.

    Returns metric rows and the table of predictions.
    """
    evaluator = Evaluator(*load_model(folder, device), device, batch_size)
    rows, table = [], {name: [] for name in PREDICTION_COLUMNS}
    for testset, (path, decoded) in testsets.items():
        metrics, predictions = evaluator.evaluate(path, open_decoded(decoded))
        first = metrics[0]
        logging.info("%s: %s %.4f of %d", testset, first["metric"], first["value"], first["n"])
        rows += [{"testset": testset, "classes": "all", **row} for row in metrics]
        if predictions:
            for column, values in {"testset": [testset] * len(predictions["key"]), **predictions}.items():
                table[column].extend(values)
    return rows, table


def write_metrics(rows: list[dict], model: dict, confidence: float, path: Path) -> None:
    """Write metric rows of `model` (its columns of evaluations.csv), with Clopper-Pearson intervals, to `path`."""
    from testbed.columns import EVALUATION_COLUMNS
    from testbed.statistics import clopper_pearson

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
    skip_pandas()
    if params.device == "cpu":
        skip_compiler()
    testsets = {name: (Path(path), Path(decoded)) for name, (path, decoded) in params.testsets.items()}
    with locked(Path(snakemake.output.metrics).parent) as own:
        # Made for the files of before, it would speak of others.
        (own / "manifest.json").unlink(missing_ok=True)
        run = circumstances(params.device, PACKAGES)
        rows, predictions = evaluate_clip(folder, testsets, params.device, params.batch_size)
        write_predictions(predictions, Path(snakemake.output.predictions))
        write_metrics(rows, dict(params.model), params.confidence, Path(snakemake.output.metrics))
        content = {
            **run,
            "finished": now(),
            "made_from": made_from(snakemake.input.model, *snakemake.input.decoded),
            "files": [record(snakemake.output.metrics), record(snakemake.output.predictions)],
        }
        write_json(own / "manifest.json", content)
