"""Print what of an experiment is done, running, interrupted or failed, and why: a line per source, filter and model.

In:  the experiment, and the files under results/, which are only read
Out: tables on standard output, and the errors in the logs of failed jobs
"""

import fcntl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from plan import table_of
from testbed.experiment.experiment import Experiment
from testbed.records.log import failure_in, log_to
from testbed.records.manifest import ManifestError, read_json

if TYPE_CHECKING:
    from snakemake.script import snakemake

DONE, RUNNING, FAILED, WAITING, INTERRUPTED = "done", "running", "failed", "waiting", "interrupted"
TOP_CAUSES = 3


class State(NamedTuple):
    """The state of a job, and the reason if it failed or was interrupted."""

    name: str
    reason: str = ""


def is_locked(folder: Path) -> bool:
    """Return whether a job has locked a work folder (see `testbed.records.locks`)."""
    try:
        with open(folder / ".lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def state_of(product: str, log: str) -> State:
    """Return the state of the job that makes `product` and writes `log`."""
    if Path(product).is_file():
        return State(DONE)
    if is_locked(Path(product).parent):
        return State(RUNNING)
    if (reason := interruption_of(Path(product).parent)) is not None:
        return State(INTERRUPTED, reason)
    reason = failure_in(Path(log))
    return State(FAILED, reason) if reason else State(WAITING)


def interruption_of(folder: Path) -> str | None:
    """Return the cause and progress of an interrupted training, or None; see train_clip."""
    try:
        entry = read_json(folder / "interrupted.json")
    except ManifestError:
        return None
    return f"{entry['cause']} after {entry['checkpoints']} of {entry['planned']} checkpoints; the same command goes on"


def source_row(experiment: Experiment, source: str, failures: list[str]) -> tuple[str, ...]:
    """Return the row of a source, and append the errors of its failed jobs to `failures`."""
    causes, states = Counter(), Counter()
    for part in experiment.parts(source):
        folder = Path(f"results/downloads/{source}/{part}")
        state = state_of(f"{folder}/manifest.json", f"results/logs/download_images/{source}-{part}.log")
        states[state.name] += 1
        if state.reason:
            failures.append(f"download_images {source} {part}: {state.reason}")
        for entry in chunk_records(folder):
            causes.update(entry["causes"])
    steps = {}
    for rule, product in {
        "prepare_metadata": f"results/metadata/{source}/pairs.parquet",
        "shuffle_metadata": f"results/shuffled/{source}/manifest.json",
        "shard_samples": f"results/shards/{source}/manifest.json",
    }.items():
        steps[rule] = state_of(product, f"results/logs/{rule}/{source}.log")
        if steps[rule].reason:
            failures.append(f"{rule} {source}: {steps[rule].reason}")
    tried, images = causes.total(), causes.pop("success", 0)
    top = ", ".join(f"{cause} {count:,}" for cause, count in causes.most_common(TOP_CAUSES))
    return (
        source,
        steps["prepare_metadata"].name,
        steps["shuffle_metadata"].name,
        f"{states[DONE]}/{states.total()}",
        str(states[RUNNING]),
        str(states[FAILED]),
        f"{images:,}",
        f"{images / tried:.1%}" if tried else "",
        steps["shard_samples"].name,
        top,
    )


def filter_row(experiment: Experiment, name: str, failures: list[str]) -> tuple[str, ...]:
    """Return the row of a filter, and append the errors of its failed jobs to `failures`."""
    entry, states = experiment.filters[name], []
    rules = {
        "metaclip": {"match_entries": "matches", "balance_samples": "samples"},
        "clip_score": {"score_pairs": "scores", "select_samples": "samples"},
    }.get(entry["method"], {"select_samples": "samples"})
    for rule, kind in {**rules, "reshard_samples": "shards"}.items():
        folder = Path(f"results/{kind}/{name}")
        state = state_of(f"{folder}/manifest.json", f"results/logs/{rule}/{name}.log")
        states.append(f"{rule} {state.name}" + (f" ({parts} parts)" if (parts := part_count(folder, state)) else ""))
        if state.reason:
            failures.append(f"{rule} {name}: {state.reason}")
    try:
        facts = read_json(f"results/samples/{name}/manifest.json")
        kept = f"{facts['samples']:,} of {facts['of']:,}"
    except ManifestError:
        kept = ""
    return (name, entry["from"], kept, ", ".join(states))


def part_count(folder: Path, state: State) -> int:
    """Return the number of parts that an unfinished job has finished."""
    return 0 if state.name == DONE else len(list(folder.glob("[0-9]*.json")))


def chunk_records(folder: Path) -> Iterator[dict]:
    """Yield the records of the chunks of a part so far."""
    for path in folder.glob("[0-9]*.json"):
        try:
            yield read_json(path)
        except ManifestError:
            continue


def model_row(model, failures: list[str]) -> tuple[str, ...]:
    """Return the row of a model, and append the errors of its failed jobs to `failures`."""
    states = []
    for rule, product in {
        "train_clip": f"results/models/{model.name}/manifest.json",
        "evaluate_clip": f"results/evaluations/{model.name}/metrics.csv",
    }.items():
        state = state_of(product, f"results/logs/{rule}/{model.name}.log")
        states.append(state.name)
        if state.reason:
            failures.append(f"{rule} {model.name}: {state.reason}")
    return (model.name, *states)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    experiment = Experiment(snakemake.config)
    failures: list[str] = []
    header = ("source", "list", "shuffled", "parts", "running", "failed", "images", "success", "shards", "top causes")
    print(table_of([header, *(source_row(experiment, source, failures) for source in experiment.sources)]), end="\n\n")
    if experiment.filters:
        filters = [filter_row(experiment, name, failures) for name in experiment.filters]
        print(table_of([("filter", "from", "kept", "stages"), *filters]), end="\n\n")
    rows = [model_row(model, failures) for model in experiment.models()]
    print(table_of([("model", "training", "evaluation"), *rows]), end="\n\n")
    totals = [Counter(row[column] for row in rows) for column in (1, 2)]
    for word, counts in zip(("trainings", "evaluations"), totals, strict=True):
        print(f"{word}: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    for failure in failures:
        print(failure)
