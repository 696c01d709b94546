"""Checks of the ensembles of an experiment: names, members, sizes."""

from collections.abc import Iterator

from testbed.experiment.errors import did_you_mean
from testbed.experiment.experiment import Experiment


def ensemble_problems(experiment: Experiment, valid: list[str]) -> Iterator[str]:
    """Yield a line for each ensemble whose name is in use, with an unknown member, or with sizes that a member lacks.

    Sizes are checked of the pools that are `valid`.
    """
    taken = {
        "sources": experiment.sources,
        "mixtures": experiment.mixtures,
        "pools": experiment.pools,
        "published checkpoints": experiment.pretrained,
        "architectures": experiment.config["architectures"],
    }
    for name, entry in experiment.ensembles.items():
        if kinds := [kind for kind, names in taken.items() if name in names]:
            yield f"ensembles.{name}: is also the name of one of the {kinds[0]}. Give the ensemble another name."
        for member in entry["shares"]:
            if member not in experiment.pools:
                yield (
                    f"ensembles.{name}.shares: {member} is not a pool of this experiment."
                    f"{did_you_mean(member, experiment.pools)} Name one of: {', '.join(experiment.pools)}."
                )
        if set(entry["shares"]) <= set(valid):
            yield from _size_problems(experiment, name)
    yield from _repeats(experiment)


def _size_problems(experiment: Experiment, name: str) -> Iterator[str]:
    sizes = {member: experiment.sizes(member) for member in experiment.ensembles[name]["shares"]}
    for member, own in sizes.items():
        missing = [size for size in experiment.ensembles[name].get("sizes", []) if size not in own]
        if missing:
            yield (
                f"ensembles.{name}.sizes: {member} has no model of size {', '.join(map(str, missing))}, only of "
                f"{', '.join(map(str, own))}. Remove it, or add it to {experiment.sizes_key(member)}."
            )
    if not experiment.sizes(name):
        listed = "; ".join(f"{member} has {', '.join(map(str, own))}" for member, own in sizes.items())
        yield f"ensembles.{name}.shares: the members have no size in common ({listed}). Give them a common size."


def _repeats(experiment: Experiment) -> Iterator[str]:
    """Yield a line for each ensemble that repeats another. A mixture is compared with the one ensemble of its shares."""
    known: dict[tuple, str] = {}
    for name, entry in experiment.ensembles.items():
        first = known.setdefault((entry["average"], *experiment.members(name).items()), name)
        if first != name:
            yield f"ensembles.{name}: averages the same members in the same shares as ensembles.{first}. Remove one."
