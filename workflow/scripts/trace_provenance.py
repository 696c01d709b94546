"""Write the provenance of every model: its evaluation, weights, trainset, shards and lists; code, packages and machine.

Manifests record what they were derived from (`made_from`). This rule reads these records down to the released lists, and
hashes the manifests again. For weights, shards and lists it uses the recorded hashes, which `snakemake verify` compares
with the files. Facts that older results do not record stay empty. The exception are trainsets: the digest of a model's
request can prove them.

In:  results/tables/evaluations.csv, and the manifests of models, trainsets, shards, lists and evaluations
Out: results/provenance/<model>.json with the whole lineage; results/provenance.csv with a row per model; and
     results/experiment.json, the experiment with all defaults filled in
"""

import csv
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.models.networks import CONFIG_FILE
from testbed.records.files import publish, sha256
from testbed.records.lineage import lineage_of, lists_of, mismatches, read_node, reference_to
from testbed.records.log import log_to
from testbed.records.manifest import ManifestError, read_json, write_json
from testbed.training.recipe import request_of

if TYPE_CHECKING:
    from snakemake.script import snakemake

TRAINSET = "results/trainsets/{pool}/{size}/manifest.json"
EVALUATION = "results/evaluations/{model}"

TABLE_COLUMNS = (
    *("model", "pool", "architecture", "size", "seed", "weights_sha256", "trainset_sha256", "sources"),
    *("experiment_sha256", "revision", "python", "torch", "open_clip", "clip_benchmark"),
    *("device", "hardware", "started", "finished", "evaluated", "broken"),
)


class ProvenanceError(ValueError):
    """The table of evaluations has a model that the experiment does not have."""


def trace_evaluation(model: str, manifest: str | None) -> dict:
    """Return the lineage of the evaluation of `model`: its table and, if recorded, what the table was derived from.

    The model's own `manifest` is only named: its lineage is stored beside the evaluation.
    """
    folder = Path(EVALUATION.format(model=model))
    node = {"path": str(folder / "metrics.csv"), "sha256": sha256(folder / "metrics.csv")}
    if not (folder / "manifest.json").is_file():
        return {"metrics": node}
    record = read_node(str(folder / "manifest.json"))
    recorded = {file["path"]: file["sha256"] for file in record.get("files", [])}.get(node["path"])
    if recorded and recorded != node["sha256"]:
        node["recorded_sha256"] = recorded
    origins = [reference_to(entry) if entry["path"] == manifest else entry for entry in record.get("made_from", [])]
    return {"metrics": node, **record, "made_from": origins}


def trace_model(entry: dict, experiment: dict, architectures: dict) -> dict:
    """Return the lineage of one model. `entry` has its columns of the table and the `manifest` of its files, if any.

    `experiment` is the record of the current experiment, and `architectures` are its architectures.
    """
    columns = {name: value for name, value in entry.items() if name != "manifest"}
    lineage = columns | {"evaluation": trace_evaluation(entry["model"], entry["manifest"])}
    if entry["manifest"]:
        trained = lineage_of(entry["manifest"])
        if "request" in trained and "made_from" not in trained:
            trained = trained | {"made_from": proven_trainset(entry, trained["request"], architectures)}
        lineage["trained"] = trained
    return lineage | {"experiment": experiment}


def proven_trainset(entry: dict, request: str, architectures: dict) -> list[dict]:
    """Return the lineage of a model's trainset that the model does not record, if the digest of its `request` proves it.

    The digest covers the recipe too, so it proves nothing if the architecture has changed since.
    """
    path = TRAINSET.format(pool=entry["pool"], size=entry["size"])
    try:
        config = read_json(Path(entry["manifest"]).parent / CONFIG_FILE)
        asked = request_of(architectures[entry["architecture"]], config, read_json(path), entry["seed"])
    except ManifestError:
        return []
    return [lineage_of(path)] if asked == request else []


def joined(values: list) -> str:
    """Return the distinct `values` that are not empty, in order, as one cell."""
    return "; ".join(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def revision_of(code: dict) -> str | None:
    return f"{code['revision']} (changed)" if code.get("changed") else code.get("revision")


def machine_of(hardware: dict) -> str:
    """Return the machine of a run as text: GPUs, processor and node."""
    gpus = hardware.get("gpus") or []
    names = [f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus)]
    return ", ".join([*names, hardware["cpu"], f"node {hardware['node']}"])


def row_of(lineage: dict) -> dict:
    """Return the row of results/provenance.csv for the lineage of one model; unknown facts are empty."""
    evaluation = lineage["evaluation"]
    # An ensemble has no weights of its own: its evaluation is derived from its members.
    members = [node for node in evaluation.get("made_from", []) if "request" in node]
    trained = [lineage["trained"]] if "trained" in lineage else members
    runs = [run for one in trained for run in one.get("runs", [])]
    versions = [*(run["versions"] for run in runs), *(one.get("versions", {}) for one in trained)]
    trainsets = [node for one in trained for node in one.get("made_from", []) if "sources" in node]
    sources = []
    for part in [part for trainset in trainsets for part in trainset["sources"]]:
        lists = joined(list(lists_of(part["shards"])))
        sources.append(f"{part['source']}: {part['samples']} samples, list {lists or 'not recorded'}")
    files = [file for one in trained for file in one.get("files", [])]
    weights = [file["sha256"] for file in files if file["path"].endswith(".safetensors")]
    return {
        **{name: lineage[name] for name in ("model", "pool", "architecture", "size", "seed")},
        "weights_sha256": joined(weights),
        "trainset_sha256": joined([trainset["sha256"] for trainset in trainsets]),
        "sources": "; ".join(sources),
        "experiment_sha256": lineage["experiment"]["sha256"],
        "revision": joined([revision_of(run["code"]) for run in [*runs, *trained] if "code" in run]),
        "python": joined([entry.get("python") for entry in versions]),
        "torch": joined([entry.get("torch") for entry in versions]),
        "open_clip": joined([entry.get("open_clip_torch") for entry in versions]),
        "clip_benchmark": evaluation.get("versions", {}).get("clip_benchmark", ""),
        "device": joined([run["hardware"]["device"] for run in runs]),
        "hardware": joined([machine_of(run["hardware"]) for run in runs]),
        "started": min((run["started"] for run in runs), default=""),
        "finished": max((one.get("finished", "") for one in trained), default=""),
        "evaluated": evaluation.get("finished", ""),
        "broken": joined(list(mismatches(lineage))),
    }


def check_models(evaluations: Path, models: list[dict]) -> None:
    """Raise `ProvenanceError` unless every model in the table `evaluations` is one of `models`."""
    with open(evaluations, newline="", encoding="utf-8") as file:
        evaluated = {row["model"] for row in csv.DictReader(file)}
    if unknown := sorted(evaluated - {entry["model"] for entry in models}):
        raise ProvenanceError(
            f"{evaluations}: has {', '.join(unknown[:3])}, which the experiment does not have. Delete the table and "
            "run the workflow again."
        )


def write_table(rows: list[dict], path: Path) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, TABLE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    publish(temporary, path)


def trace_provenance(
    evaluations: Path, models: list[dict], experiment: dict, written: Path, folder: Path, table: Path
) -> None:
    """Write the `experiment` to `written`, the lineage of each of `models` into `folder`, and the `table` of them.

    Each of `models` has the columns of `evaluations` and its `manifest`. Paths are relative to the working directory.
    """
    check_models(evaluations, models)
    write_json(written, experiment)
    record = {"path": str(written), "sha256": sha256(written)}
    rows = []
    for entry in models:
        lineage = trace_model(entry, record, experiment["architectures"])
        write_json(folder / f"{entry['model']}.json", lineage)
        rows.append(row_of(lineage))
        if rows[-1]["broken"]:
            logging.warning("%s: missing, or not as recorded: %s", entry["model"], rows[-1]["broken"])
    write_table(rows, table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    table = Path(snakemake.output.table)
    # Parameters are sorted by name; the metrics are in the order of the experiment.
    models = [snakemake.params.models[Path(metrics).parent.name] for metrics in snakemake.input.metrics]
    trace_provenance(
        Path(snakemake.input.evaluations),
        models,
        snakemake.config,
        Path(snakemake.output.experiment),
        table.with_suffix(""),
        table,
    )
