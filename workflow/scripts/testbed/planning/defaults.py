"""Defaults that depend on other keys of the experiment, so that the schema cannot set them."""

from testbed.experiment.experiment import Experiment
from testbed.experiment.filter_checks import NEAR_DISTANCE, NEAR_METHODS
from testbed.filtering.entry_lists import MINIMUM
from testbed.lists.formats import GENERIC


def fill_defaults(experiment: Experiment) -> None:
    """Write missing defaults into the checked `experiment`, so that it makes no difference whether the user wrote them."""
    for source in experiment.sources.values():
        metadata = source.get("metadata", {})
        if "://" not in metadata.get("retrieve", "://"):
            metadata.setdefault("format", metadata["retrieve"])
        if metadata.get("format") in GENERIC:
            columns = {"url": "url", "caption": "caption"} | metadata.get("columns", {})
            # Left out, it means the same, and lists that were read before it existed are not read again.
            metadata["columns"] = {key: value for key, value in columns.items() if (key, value) != ("several", "first")}
    for name, testset in experiment.testsets.items():
        if "corrupt" in testset:
            testset["corrupt"]["of"] = experiment.original(name)
    for name, entry in experiment.filters.items():
        for one in entry.get("entries", []):
            if one["kind"] in MINIMUM:
                one.setdefault("minimum", MINIMUM[one["kind"]])
        if entry["method"] in NEAR_METHODS and "similarity" not in entry:
            entry.setdefault("distance", NEAR_DISTANCE)
        if entry["method"] == "clip_score":
            entry.setdefault("per_class", False)
            fill_teacher(experiment, name)
    if experiment.config["similarity"]:
        fill_teacher(experiment)


def fill_teacher(experiment: Experiment, filter: str | None = None) -> None:
    """Write missing defaults into the entry of the teacher of `filter`, or without one of the teacher of `similarity`."""
    _, entry = experiment.teacher_entry(filter)
    if model := experiment.teacher(filter):
        entry |= {"architecture": model.architecture, "seed": model.seed}
    else:
        entry.setdefault("device", experiment.device_of_teacher(filter))
