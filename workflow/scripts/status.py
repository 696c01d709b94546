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
from testbed.experiment.filter_checks import NEAR_METHODS
from testbed.experiment.products import is_linked, is_local, is_retrieved
from testbed.local.files import TARS
from testbed.local.remote_tars import is_fetched
from testbed.planning.local_costs import groups_of
from testbed.records.log import failure_in, log_to, progress_of, read_progress
from testbed.records.manifest import ManifestError, read_json

if TYPE_CHECKING:
    from snakemake.script import snakemake

DONE, RUNNING, FAILED, WAITING, INTERRUPTED = "done", "running", "failed", "waiting", "interrupted"
TOP_CAUSES = 3


class State(NamedTuple):
    """The state of a job, and the reason if it failed or was interrupted, or its progress if it is running."""

    name: str
    reason: str = ""


def is_locked(folder: Path) -> bool:
    """Return whether a job has locked a work folder (see `testbed.records.locks`)."""
    try:
        with open(folder / ".lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        # Other errors: there is no lock file, or the file system has no locks, without which no job runs.
        return isinstance(error, BlockingIOError)
    return False


def state_of(product: str, log: str) -> State:
    """Return the state of the job that makes `product` and writes `log`."""
    if Path(product).is_file():
        return State(DONE)
    if is_locked(Path(product).parent):
        return State(RUNNING, read_progress(progress_of(Path(log)))[0])
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
    return f"{entry['cause']}; the same command goes on at step {entry.get('step', 0)} of {entry['planned']}"


def source_row(experiment: Experiment, source: str, failures: list[str]) -> tuple[str, ...]:
    """Return the row of a source, and append the errors of its failed jobs, and the progress of others, to `failures`."""
    local = is_local(experiment, source)
    sharding = "link_shards" if is_linked(experiment, source) else "rewrite_shards" if local else "shard_samples"
    rule, folders = part_jobs(experiment, source)
    causes, states = Counter(tar_causes(source) if local else {}), Counter()
    for folder in folders:
        state = state_of(f"{folder}/manifest.json", f"results/logs/{rule}/{source}-{folder.name}.log")
        states[state.name] += 1
        if state.reason:
            failures.append(f"{rule} {source} {folder.name}: {state.reason}")
        for entry in chunk_records(folder) if not local else ():
            causes.update(entry["causes"])
    steps, fetched = {}, None
    if is_retrieved(experiment, source):
        fetched = state_of(f"results/lists/{source}/manifest.json", f"results/logs/retrieve_list/{source}.log")
        if fetched.reason:
            failures.append(f"retrieve_list {source}: {fetched.reason}")
    for step, product in {
        "collect_index" if local else "prepare_metadata": f"results/metadata/{source}/pairs.parquet",
        "shuffle_metadata": f"results/shuffled/{source}/manifest.json",
        sharding: f"results/shards/{source}/manifest.json",
    }.items():
        state = state_of(product, f"results/logs/{step}/{source}.log")
        steps[step] = state.name
        if state.reason:
            failures.append(f"{step} {source}: {state.reason}")
    listed, shuffled, sharded = steps.values()
    if sharding == "link_shards":
        # Whole tars are in a random order, and samples are not.
        shuffled = ""
    for group in groups_of(experiment, source) if is_fetched(experiment.sources[source].get("shards", {})) else ():
        state = state_of(f"{TARS}/{source}/{group}/manifest.json", f"results/logs/retrieve_shards/{source}-{group}.log")
        if state.reason:
            failures.append(f"retrieve_shards {source} {group}: {state.reason}")
        if state.name in (RUNNING, FAILED):
            fetched = state
    if fetched and fetched.name in (RUNNING, FAILED):
        # The list is not there before it is fetched, nor the index of tars.
        listed = fetched.name
    tried, images = causes.total(), causes.pop("success", 0)
    top = ", ".join(f"{cause} {count:,}" for cause, count in causes.most_common(TOP_CAUSES))
    return (
        source,
        listed,
        shuffled,
        f"{states[DONE]}/{states.total()}",
        str(states[RUNNING]),
        str(states[FAILED]),
        f"{images:,}",
        f"{images / tried:.1%}" if tried else "",
        sharded,
        top,
    )


def part_jobs(experiment: Experiment, source: str) -> tuple[str, list[Path]]:
    """Return the rule that works on the parts of a source, and the folder of each part: downloads, or groups of tars."""
    if is_local(experiment, source):
        rule = "index_shards" if "shards" in experiment.sources[source] else "index_files"
        return rule, [Path(f"results/indexed/{source}/{group}") for group in groups_of(experiment, source)]
    return "download_images", [Path(f"results/downloads/{source}/{part}") for part in experiment.parts(source)]


def tar_causes(source: str) -> dict[str, int]:
    """Return the samples in the tars of a source that are usable (success) and those left out, by cause."""
    try:
        counts = read_json(f"results/metadata/{source}/counts.json")
    except ManifestError:
        return {}
    return {"success": counts["kept"], **{cause: count for cause, count in counts["dropped"].items() if count}}


def filter_row(experiment: Experiment, name: str, failures: list[str]) -> tuple[str, ...]:
    """Return the row of a filter, and append the errors of its failed jobs to `failures`."""
    entry, states = experiment.filters[name], []
    find = "find_similar" if "similarity" in entry else "find_duplicates"
    rules = {
        "metaclip": {"match_entries": "matches", "balance_samples": "samples"},
        "clip_score": {"score_pairs": "scores", "select_samples": "samples"},
        **dict.fromkeys(NEAR_METHODS, {find: "duplicates", "select_samples": "samples"}),
    }.get(entry["method"], {"select_samples": "samples"})
    rules = ({"join_columns": "columns"} if "columns_from" in entry else {}) | rules
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
