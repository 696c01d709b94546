"""Checks of the filters of an experiment, before any work."""

from collections.abc import Iterator, Mapping

from testbed.experiment.errors import did_you_mean
from testbed.experiment.experiment import Experiment
from testbed.experiment.teacher_checks import teacher_problems

COMMON = {"from", "method", "sizes", "title"}
BASIC = (
    "language",
    "minimum_words",
    "maximum_words",
    "minimum_characters",
    "maximum_characters",
    "minimum_side",
    "maximum_aspect_ratio",
)
KEYS = {
    "metaclip": {"entries", "t", "tail_fraction"},
    "clip_score": {"teacher", "threshold", "fraction", "per_class"},
    "sql": {"where"},
    "basic": set(BASIC),
    "random": {"fraction", "as_many_as"},
    "all": set(),
    "remove": {"where"},
    "subset": {"path"},
    "deduplicate": {"distance", "similarity"},
    "decontaminate": {"against", "distance", "similarity"},
}
"""The keys of each method; no other method has them."""

OF_SELECTION = {"columns_from", "caption", "share"}
"""Keys of all methods but metaclip."""

NEEDED = {
    "metaclip": [["entries"], ["t", "tail_fraction"]],
    "clip_score": [["teacher"], ["threshold", "fraction"]],
    "sql": [["where"]],
    "basic": [],
    "random": [["fraction", "as_many_as"]],
    "all": [],
    "remove": [["where"]],
    "subset": [["path"]],
    "deduplicate": [],
    "decontaminate": [["against"]],
}
"""For each method, the groups of keys of which exactly one is required."""

NEAR_METHODS = ("deduplicate", "decontaminate")
"""The methods that drop near-duplicates."""

NEAR_DISTANCE = 10
"""Their default distance, in bits; docs/duplicates.md says how it was chosen."""

WITHOUT_FILE = ("numbers", "miniweb")
"""Kinds of entries that need no file."""


def filter_problems(experiment: Experiment, valid: list[str]) -> Iterator[str]:
    """Yield a line for each problem of the filters of an experiment. Sizes are checked of the pools that are `valid`."""
    others = {"source": experiment.sources, "mixture": experiment.mixtures, "checkpoint": experiment.pretrained}
    for name, entry in experiment.filters.items():
        for kind, names in others.items():
            if name in names:
                yield f"filters.{name}: is also the name of a {kind}. Give the filter another name."
        yield from _parent_problems(experiment, name, entry["from"])
        yield from _key_problems(name, entry)
        yield from _caption_problems(name, entry)
        yield from _control_problems(experiment, name, entry)
        yield from _against_problems(experiment, name, entry.get("against", []))
        if "similarity" in entry:
            yield from _similarity_problems(experiment, name, entry)
        if entry["method"] == "metaclip":
            yield from _entry_problems(name, entry.get("entries", []))
        if entry["method"] == "clip_score" and "teacher" in entry:
            yield from teacher_problems(experiment, valid, name)


def _parent_problems(experiment: Experiment, name: str, parent: str) -> Iterator[str]:
    if parent in experiment.mixtures:
        yield f"filters.{name}.from: {parent} is a mixture. Filter its members, and mix the filtered pools."
    elif parent not in experiment.pools:
        known = [*experiment.sources, *experiment.filters]
        yield (
            f"filters.{name}.from: {parent} is not a source or a filter of this experiment.{did_you_mean(parent, known)} "
            f"Name one of: {', '.join(known)}."
        )


def _key_problems(name: str, entry: Mapping) -> Iterator[str]:
    method = entry["method"]
    allowed = KEYS[method] | (OF_SELECTION if method != "metaclip" else set())
    unknown = sorted(set(entry) - allowed - COMMON)
    if unknown:
        own = [*sorted(KEYS[method]), *sorted(allowed - KEYS[method])]
        yield (
            f"filters.{name}: {', '.join(unknown)} does not belong to method {method}. Its keys are: {', '.join(own)}."
            f"{_way_to_join(name, unknown)}"
        )
    for group in NEEDED[method]:
        given = [key for key in group if key in entry]
        if len(given) != 1:
            yield (
                f"filters.{name}: method {method} has {' and '.join(given) or 'none'} of {', '.join(group)}. Give "
                f"{'exactly one of them' if len(group) > 1 else 'it'}."
            )
    if method == "basic":
        if not set(entry) & set(BASIC):
            yield f"filters.{name}: has no condition. Give one or more of: {', '.join(BASIC)}."
        for unit in ("words", "characters"):
            low, high = entry.get(f"minimum_{unit}", 0), entry.get(f"maximum_{unit}", float("inf"))
            if low > high:
                yield (
                    f"filters.{name}.minimum_{unit}: {low} is above maximum_{unit}, {high}, so no sample would be kept. "
                    f"Lower it, or raise maximum_{unit}."
                )


def _way_to_join(name: str, unknown: list[str]) -> str:
    if not OF_SELECTION & set(unknown):
        return ""
    return f" Add a filter of method all with them, with sizes: [], and write its name in filters.{name}.from."


def _caption_problems(name: str, entry: Mapping) -> Iterator[str]:
    if "share" in entry and "caption" not in entry:
        yield f"filters.{name}.share: is the share of new captions, but there is no caption. Add caption, or remove share."
    if entry.get("caption", "").lower() in ("caption", "original_caption"):
        yield (
            f"filters.{name}.caption: {entry['caption']} is the column that is replaced or kept. Name the column with the "
            "new captions."
        )


def _control_problems(experiment: Experiment, name: str, entry: Mapping) -> Iterator[str]:
    other = entry.get("as_many_as")
    if other is None:
        return
    if other not in experiment.filters:
        yield (
            f"filters.{name}.as_many_as: {other} is not a filter of this experiment."
            f"{did_you_mean(other, experiment.filters)} Name one of: {', '.join(experiment.filters)}."
        )
        return
    above, seen = experiment.filters[other]["from"], {other}
    while above in experiment.filters and above != entry["from"] and above not in seen:
        seen.add(above)
        above = experiment.filters[above]["from"]
    if above != entry["from"]:
        yield (
            f"filters.{name}.as_many_as: {other} is not filtered from {entry['from']}, so that there is nothing to "
            f"compare. Set filters.{name}.from to {experiment.filters[other]['from']}."
        )


def _entry_problems(name: str, lists: list[Mapping]) -> Iterator[str]:
    for index, entry in enumerate(lists):
        if ("path" in entry) == (entry["kind"] in WITHOUT_FILE):
            fault = "needs no path" if "path" in entry else "needs a path"
            yield f"filters.{name}.entries.{index}: kind {entry['kind']} {fault}."


def _against_problems(experiment: Experiment, name: str, against: list[str]) -> Iterator[str]:
    """Yield a line for each unknown test set. Test sets of every task have images, so every task is possible."""
    for testset in against:
        if testset not in experiment.testsets:
            yield (
                f"filters.{name}.against: {testset} is not a test set.{did_you_mean(testset, experiment.testsets)} Name one "
                f"or more of: {', '.join(experiment.testsets)}."
            )


def _similarity_problems(experiment: Experiment, name: str, entry: Mapping) -> Iterator[str]:
    if "distance" in entry:
        yield f"filters.{name}: has distance, of hashes, and similarity, of embeddings. Remove one of them."
    if not experiment.config["similarity"]:
        yield (
            f"filters.{name}.similarity: is of the embeddings of a teacher, and the experiment names none. Add similarity: "
            "{teacher: ...}, or remove the key, and images are compared by their hashes."
        )


def cycles(experiment: Experiment) -> list[list[str]]:
    """Return the cycles of pools that are derived from each other through filters, mixtures and teachers.

    A cycle begins and ends with the same pool. Each cycle is returned once.
    """
    found: dict[frozenset[str], list[str]] = {}

    def search(path: list[str]) -> None:
        for parent in parents_of(experiment, path[-1]):
            if parent == path[0]:
                found.setdefault(frozenset(path), [*path, parent])
            elif parent not in path:
                search([*path, parent])

    for pool in [*experiment.filters, *experiment.mixtures]:
        search([pool])
    return list(found.values())


def parents_of(experiment: Experiment, pool: str) -> list[str]:
    """Return the direct parents of `pool`: a mixture's members, or a filter's parent, teacher and what it controls."""
    if pool in experiment.sources:
        return []
    if pool in experiment.mixtures:
        return list(experiment.mixtures[pool]["shares"])
    if pool not in experiment.filters:
        return []
    entry = experiment.filters[pool]
    _, teacher = experiment.teacher_entry(pool)
    other = entry.get("as_many_as")
    return [entry["from"], *([teacher["pool"]] if "pool" in teacher else []), *([other] if other else [])]
