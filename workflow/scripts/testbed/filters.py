"""What the experiment says of its filters, checked before any work."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from testbed.errors import ExperimentError

if TYPE_CHECKING:
    from testbed.experiment import Experiment

COMMON = {"from", "method", "sizes"}
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
}
"""The keys of each method; nobody else's."""

NEEDED = {
    "metaclip": [["entries"], ["t", "tail_fraction"]],
    "clip_score": [["teacher"], ["threshold", "fraction"]],
    "sql": [["where"]],
    "basic": [],
}
"""Of each method the groups of keys of which exactly one must be given."""

WITHOUT_FILE = ("numbers", "miniweb")
"""Kinds of entries that no file holds."""


def check_filters(experiment: "Experiment") -> None:
    """Raise `ExperimentError` for the first thing that is wrong with the filters of an experiment."""
    for name, entry in experiment.filters.items():
        others = {"source": experiment.sources, "mixture": experiment.mixtures, "checkpoint": experiment.pretrained}
        for kind, names in others.items():
            if name in names:
                raise ExperimentError(f"filters.{name}: is the name of a {kind} too. Give the filter another name.")
        _check_parent(experiment, name, entry)
        _check_keys(name, entry)
        if entry["method"] == "metaclip":
            _check_entries(name, entry["entries"])
        if entry["method"] == "clip_score":
            _check_teacher(experiment, name, entry["teacher"])
        if entry["method"] == "sql":
            _check_where(name, entry["where"])
        if "language" in entry:
            _check_language(name, entry["language"])
    for name in experiment.filters:
        _check_circle(experiment, name, ())


def _check_parent(experiment: "Experiment", name: str, entry: Mapping) -> None:
    parent = entry["from"]
    if parent in experiment.mixtures:
        raise ExperimentError(
            f"filters.{name}.from: {parent} is a mixture. Filter its members, and mix what comes of them."
        )
    if parent not in experiment.sources and parent not in experiment.filters:
        raise ExperimentError(
            f"filters.{name}.from: {parent} is no source and no filter of this experiment. Name one of: "
            f"{', '.join([*experiment.sources, *experiment.filters])}."
        )


def _check_keys(name: str, entry: Mapping) -> None:
    method = entry["method"]
    allowed = KEYS[method] | COMMON
    foreign = sorted(set(entry) - allowed)
    if foreign:
        raise ExperimentError(
            f"filters.{name}: {', '.join(foreign)} does not belong to method {method}. Its keys are: "
            f"{', '.join(sorted(KEYS[method]))}."
        )
    for group in NEEDED[method]:
        given = [key for key in group if key in entry]
        if len(given) != 1:
            raise ExperimentError(
                f"filters.{name}: method {method} has {' and '.join(given) or 'none'} of {', '.join(group)}. Give "
                f"{'exactly one of them' if len(group) > 1 else 'it'}."
            )
    if method == "basic":
        if not set(entry) & set(BASIC):
            raise ExperimentError(f"filters.{name}: says nothing. Give one or more of: {', '.join(BASIC)}.")
        for unit in ("words", "characters"):
            low, high = entry.get(f"minimum_{unit}", 0), entry.get(f"maximum_{unit}", float("inf"))
            if low > high:
                raise ExperimentError(
                    f"filters.{name}.minimum_{unit}: {low} is above maximum_{unit}, {high}. Nothing would be kept."
                )


def _check_entries(name: str, lists: list[Mapping]) -> None:
    for place, entry in enumerate(lists):
        key = f"filters.{name}.entries.{place}"
        if ("path" in entry) == (entry["kind"] in WITHOUT_FILE):
            fault = "needs no path" if "path" in entry else "needs a path"
            raise ExperimentError(f"{key}: kind {entry['kind']} {fault}.")


def _check_teacher(experiment: "Experiment", name: str, teacher: Mapping) -> None:
    key = f"filters.{name}.teacher"
    own, public = {"pool", "size", "architecture", "seed"}, {"model", "tag", "checkpoint", "device"}
    if "pool" not in teacher:
        if "model" not in teacher or ("tag" in teacher) == ("checkpoint" in teacher) or set(teacher) & own:
            raise ExperimentError(
                f"{key}: has {', '.join(teacher)}. Give pool and size of a model of this experiment, or model and either "
                "tag or checkpoint."
            )
        return
    if set(teacher) & public or "size" not in teacher:
        raise ExperimentError(
            f"{key}: has {', '.join(teacher)}. A model of this experiment is named by pool, size, architecture and seed."
        )
    model = experiment.teacher(name)
    if model not in experiment.models():
        sizes = experiment.sizes(model.pool) if model.pool in experiment.pools else []
        raise ExperimentError(
            f"{key}: {model.name} is not a model of this experiment. "
            + (f"{model.pool} has the sizes {', '.join(map(str, sizes))}, " if sizes else "")
            + f"the pools are {', '.join(experiment.pools)}, the architectures "
            f"{', '.join(experiment.config['architectures'])} and the seeds "
            f"{', '.join(map(str, experiment.config['seeds']))}."
        )


def _check_where(name: str, where: str) -> None:
    # DuckDB takes a moment to load, and most experiments have no use for it here.
    from testbed.predicates import PredicateError, check_predicate

    try:
        check_predicate(where)
    except PredicateError as error:
        raise ExperimentError(f"filters.{name}.where: {error}.") from error


def _check_language(name: str, language: str) -> None:
    # Loading what names languages takes a second.
    from testbed.captions import known_languages

    if language not in (known := known_languages()):
        raise ExperimentError(
            f"filters.{name}.language: {language} is none of the {len(known)} languages that py3langid knows. Write a code "
            "of ISO 639-1, such as en."
        )


def _check_circle(experiment: "Experiment", pool: str, above: tuple[str, ...]) -> None:
    """Raise `ExperimentError` where `pool` is made from itself, by way of filters, mixtures and teachers."""
    if pool in above:
        raise ExperimentError(
            f"filters.{above[0]}: is made from itself ({' -> '.join([*above, pool])}). Take one of them out."
        )
    for origin in made_from(experiment, pool):
        _check_circle(experiment, origin, (*above, pool))


def made_from(experiment: "Experiment", pool: str) -> list[str]:
    """The pools that `pool` is made from directly: a mixture's members, a filter's parent and its teacher's pool."""
    if pool in experiment.mixtures:
        return list(experiment.mixtures[pool]["shares"])
    if pool not in experiment.filters:
        return []
    teacher = experiment.filters[pool].get("teacher", {})
    return [experiment.filters[pool]["from"], *([teacher["pool"]] if "pool" in teacher else [])]
