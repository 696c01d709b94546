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

What was found on each test set is kept, with a record of what it depends on. So a restarted job, or one with another test
set, evaluates on the rest only, unless the user forces the rule.

In:  manifests of models (and their folders), the folders of the test sets and of their decoded images
Out: a table of metrics with the columns of results/tables/evaluations.csv, and a parquet table with a row per image and
     scoring: testset, classes (all, or the shift whose classes were scored), key, label, prediction, rank (of the label
     among the five best classes, 0 for the best, else null). Over a shift's classes, labels and predictions are the
     shift's. Beside them manifest.json, which records the files and their inputs, and the folder testsets with the rows of
     each test set
"""

import csv
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.evaluation.class_subsets import Subset, find_subsets
from testbed.evaluation.evaluator import Evaluator, load_evaluator
from testbed.evaluation.metrics import PREDICTION_COLUMNS, label_ranks, metrics_by_average, metrics_of
from testbed.evaluation.preprocessing import EVALUATION
from testbed.evaluation.tasks import CLASS_FILES, read_lines, task_of
from testbed.evaluation.testsets import open_decoded
from testbed.models.precision import computing_in
from testbed.records.files import publish
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, record, write_json
from testbed.records.parts import make_parts, read_part
from testbed.records.processes import is_forced, terminate_with_parent
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
    return joined([evaluate_on(testset, evaluator, testsets, reference, subsets) for testset in testsets])


def evaluate_on(
    testset: str,
    evaluator: Evaluator,
    testsets: Mapping[str, tuple[Path, Path]],
    reference: str,
    subsets: Sequence[Subset],
) -> tuple[list[dict], dict[str, list]]:
    """The metric rows and the table of predictions on one of `testsets`."""
    folders = {name: folder for name, (folder, _) in testsets.items()}
    rows, table = [], {name: [] for name in PREDICTION_COLUMNS}

    def add(classes: str, metrics: list[dict]) -> None:
        for first in metrics[:1]:
            logging.info("%s, classes %s: %s %.4f of %d", testset, classes, *map(first.get, ("metric", "value", "n")))
        rows.extend({"testset": testset, "classes": classes, **row} for row in metrics)

    folder, path = testsets[testset]
    decoded = open_decoded(path)
    if decoded.task == "retrieval":
        add("all", evaluator.retrieval(folder, decoded))
    elif decoded.task == "multilabel":
        add("all", evaluator.precision(folder, decoded))
    else:
        for classes, averages, labels, keys in evaluator.classify(testset, folders, decoded, reference, subsets):
            logits, *_ = averages.values()
            add(classes, metrics_of(logits, labels) + metrics_by_average(averages, labels))
            table["testset"] += [testset] * len(keys)
            table["classes"] += [classes] * len(keys)
            table["key"] += keys.tolist()
            table["label"] += labels.tolist()
            table["prediction"] += logits.argmax(dim=1).tolist()
            table["rank"] += label_ranks(logits, labels)
    return rows, table


def joined(found: Sequence[tuple[list[dict], dict[str, list]]]) -> tuple[list[dict], dict[str, list]]:
    """Rows and tables of several test sets, one after the other."""
    rows = [row for own, _ in found for row in own]
    return rows, {name: [value for _, table in found for value in table[name]] for name in PREDICTION_COLUMNS}


def keep_evaluations(
    folder: Path,
    requests: Mapping[str, object],
    evaluate: Callable[[str], tuple[list[dict], dict[str, list]]],
    run: Mapping,
) -> tuple[list[dict], dict[str, list], dict[str, dict]]:
    """The metric rows and the table of predictions on the test sets in `requests`, which say what each depends on.

    `evaluate` finds those of a test set. They are kept in `folder`, in a part for each test set, with the environment of the
    `run` that found them. Also returns these environments by test set.
    """
    import pyarrow as pa

    def make(testset: str) -> pa.Table:
        rows, table = evaluate(testset)
        return pa.table(table).replace_schema_metadata({"rows": json.dumps(rows), "run": json.dumps(run)})

    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.stem not in requests:
            path.unlink()
    parts = [read_part(folder, file) for file in make_parts(folder, requests, make, "evaluating")]
    facts = [{name: json.loads(part.schema.metadata[name]) for name in (b"rows", b"run")} for part in parts]
    found = joined([(own[b"rows"], part.to_pydict()) for own, part in zip(facts, parts, strict=True)])
    return *found, {testset: own[b"run"] for testset, own in zip(requests, facts, strict=True)}


def request_of(
    testset: str, testsets: Mapping[str, tuple[Path, Path]], reference: str, subsets: Sequence[Subset]
) -> list[object]:
    """What the evaluation on `testset` depends on, beside the models and how they are evaluated."""
    folder, decoded = testsets[testset]
    own = [subset for subset in subsets if testset in (subset.shift, reference)]
    texts = [folder, *(testsets[reference][0] for _ in own)]
    files = [
        path.read_text(encoding="utf-8") for text in texts for path in map(text.joinpath, CLASS_FILES) if path.is_file()
    ]
    images = read_json(decoded / "manifest.json")
    return [
        images["preprocessing"],
        [file["sha256"] for file in images["files"]],
        files,
        [[one.shift, one.groups] for one in own],
    ]


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
        given = testsets, params.reference, subsets
        models = [read_json(manifest)["files"] for manifest in snakemake.input.models]
        common = [models, list(params.shares), params.average, params.device, run["versions"]]
        requests = {testset: [*common, *request_of(testset, *given)] for testset in testsets}
        batch_size = config["evaluation"]["batch_size"]
        load = cache(partial(load_evaluator, folders, list(params.shares), params.average, params.device, batch_size))
        if is_forced(snakemake.rule):
            shutil.rmtree(own / "testsets", ignore_errors=True)
        # A GPU's convolutions would compute in TensorFloat-32, other than those of a CPU.
        with computing_in("fp32", params.device):
            rows, predictions, runs = keep_evaluations(
                own / "testsets", requests, lambda testset: evaluate_on(testset, load(), *given), run
            )
        write_predictions(predictions, Path(snakemake.output.predictions))
        write_metrics(rows, dict(params.model), params.confidence, Path(snakemake.output.metrics))
        content = {
            **run,
            # Those of test sets that an earlier run evaluated are of that run.
            "testsets": runs,
            "finished": now(),
            "made_from": made_from(*snakemake.input.models, *snakemake.input.decoded),
            "files": [record(snakemake.output.metrics), record(snakemake.output.predictions)],
        }
        write_json(own / "manifest.json", content)
