"""Evaluate a model, or an ensemble, zero-shot on all test sets, with CLIP_benchmark's prompts and metric code.

Test sets are local WebDatasets in CLIP_benchmark's format, with their own class names and prompt templates.
decode_testset has decoded their images. Their task is classification, multi-label classification or retrieval. If a shift
has a subset of the reference's classes, both are also scored over these classes only (see
testbed.evaluation.class_subsets). For classification the prediction for each image is recorded, so that accuracies can be
recomputed.

The members of an ensemble are models of one architecture. Their outputs are averaged in one of three conventions
(testbed.evaluation.averages); the accuracies by the other two are metrics of their own, such as top1_probabilities. With
`average: weights` their weights are averaged, which gives one model. Recall@k for retrieval is computed from embeddings,
which cannot be averaged across models: ensembles with averaged outputs have none.

In:  manifests of models (and their folders), the folders of the test sets and of their decoded images
Out: a table of metrics with the columns of results/tables/evaluations.csv, and a parquet table with a row per image and
     scoring: testset, classes (all, or the shift whose classes were scored), key, label, prediction, rank (of the label
     among the five best classes, 0 for the best, else null). Over a shift's classes, labels and predictions are the
     shift's. Beside them manifest.json, which records the files and their inputs
"""

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.evaluation.class_subsets import Subset, find_subsets
from testbed.evaluation.evaluator import Evaluator, load_evaluator
from testbed.evaluation.metrics import PREDICTION_COLUMNS, label_ranks, metrics_by_average, metrics_of
from testbed.evaluation.preprocessing import EVALUATION
from testbed.evaluation.tasks import read_lines, task_of
from testbed.evaluation.testsets import open_decoded
from testbed.models.precision import computing_in
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import record, write_json
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from, now, run_environment
from testbed.records.warm_worker import run_warm

if TYPE_CHECKING:
    from snakemake.script import snakemake

PACKAGES = ("torch", "open_clip_torch", "clip_benchmark", "numpy")
"""Packages that affect the result of an evaluation; their versions are recorded."""


def evaluate_clip(
    evaluator: Evaluator,
    testsets: Mapping[str, tuple[Path, Path]],
    reference: str,
    subsets: Sequence[Subset],
) -> tuple[list[dict], dict[str, list]]:
    """The metric rows and the table of predictions on `testsets` (name to its folder and that of its decoded images)."""
    folders = {testset: folder for testset, (folder, _) in testsets.items()}
    rows, table = [], {name: [] for name in PREDICTION_COLUMNS}

    def add(testset: str, classes: str, metrics: list[dict]) -> None:
        for first in metrics[:1]:
            logging.info("%s, classes %s: %s %.4f of %d", testset, classes, *map(first.get, ("metric", "value", "n")))
        rows.extend({"testset": testset, "classes": classes, **row} for row in metrics)

    for testset, (folder, path) in testsets.items():
        decoded = open_decoded(path)
        if decoded.task == "retrieval":
            add(testset, "all", evaluator.retrieval(folder, decoded))
        elif decoded.task == "multilabel":
            add(testset, "all", evaluator.precision(folder, decoded))
        else:
            for classes, averages, labels, keys in evaluator.classify(testset, folders, decoded, reference, subsets):
                logits, *_ = averages.values()
                add(testset, classes, metrics_of(logits, labels) + metrics_by_average(averages, labels))
                table["testset"] += [testset] * len(keys)
                table["classes"] += [classes] * len(keys)
                table["key"] += keys.tolist()
                table["label"] += labels.tolist()
                table["prediction"] += logits.argmax(dim=1).tolist()
                table["rank"] += label_ranks(logits, labels)
    return rows, table


def subsets_of(
    testsets: Mapping[str, tuple[Path, Path]], reference: str, class_maps: Mapping[str, Path | str]
) -> list[Subset]:
    """The class subsets of the test sets for classification; raises `ClassesError` as `find_subsets` does."""
    names = {
        testset: read_lines(folder / "classnames.txt")
        for testset, (folder, _) in testsets.items()
        if task_of(folder) == "classification"
    }
    return find_subsets(names, reference, class_maps)


def write_metrics(rows: list[dict], model: dict, confidence: float, path: Path) -> None:
    """Write metric rows of `model` (its columns of evaluations.csv), with Clopper-Pearson intervals, to `path`."""
    from testbed.evaluation.metrics import EVALUATION_COLUMNS
    from testbed.statistics.lines import clopper_pearson

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
    run_warm(*EVALUATION)
    log_to(snakemake.log[0], prints=True)
    terminate_with_parent()
    folders = [Path(manifest).parent for manifest in snakemake.input.models]
    params, config = snakemake.params, snakemake.config
    # In the experiment's order, which is the order of the rows.
    testsets = {name: tuple(map(Path, params.testsets[name])) for name in config["testsets"]}
    with locked(Path(snakemake.output.metrics).parent) as own:
        # The old manifest describes the old files.
        (own / "manifest.json").unlink(missing_ok=True)
        run = run_environment(params.device, PACKAGES)
        subsets = subsets_of(testsets, params.reference, dict(params.class_maps))
        batch_size = config["evaluation"]["batch_size"]
        evaluator = load_evaluator(folders, list(params.shares), params.average, params.device, batch_size)
        # A GPU's convolutions would compute in TensorFloat-32, other than those of a CPU.
        with computing_in("fp32", params.device):
            rows, predictions = evaluate_clip(evaluator, testsets, params.reference, subsets)
        write_predictions(predictions, Path(snakemake.output.predictions))
        write_metrics(rows, dict(params.model), params.confidence, Path(snakemake.output.metrics))
        content = {
            **run,
            "finished": now(),
            "made_from": made_from(*snakemake.input.models, *snakemake.input.decoded),
            "files": [record(snakemake.output.metrics), record(snakemake.output.predictions)],
        }
        write_json(own / "manifest.json", content)
