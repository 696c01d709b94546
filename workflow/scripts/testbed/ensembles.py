"""Ensembles: models of several pools that are averaged, the paper's output mixing."""

from typing import TYPE_CHECKING

from testbed.errors import ExperimentError

if TYPE_CHECKING:
    from testbed.experiment import Experiment


def common_sizes(experiment: "Experiment", ensemble: str) -> list[int]:
    """The trainset sizes of `ensemble`: its own, or all that its members have in common."""
    entry = experiment.ensembles[ensemble]
    common = set.intersection(*(set(experiment.sizes(member)) for member in entry["shares"]))
    return sorted(entry.get("sizes", common))


def check_ensembles(experiment: "Experiment") -> None:
    """Raise `ExperimentError` for an ensemble with a taken name, with unknown members, or with sizes that one lacks."""
    taken = {
        "sources": experiment.sources,
        "mixtures": experiment.mixtures,
        "pools": experiment.pools,
        "published checkpoints": experiment.pretrained,
        "architectures": experiment.config["architectures"],
    }
    for name, entry in experiment.ensembles.items():
        for kind, names in taken.items():
            if name in names:
                raise ExperimentError(f"ensembles.{name}: is among the {kind} too. Give the ensemble another name.")
        for member in entry["shares"]:
            if member not in experiment.pools:
                raise ExperimentError(
                    f"ensembles.{name}.shares: {member} is not a pool of this experiment. Name one of: "
                    f"{', '.join(experiment.pools)}."
                )
        _check_sizes(experiment, name)
    _check_repeats(experiment)


def _check_sizes(experiment: "Experiment", name: str) -> None:
    sizes = {member: experiment.sizes(member) for member in experiment.ensembles[name]["shares"]}
    for member, own in sizes.items():
        missing = [size for size in experiment.ensembles[name].get("sizes", []) if size not in own]
        if missing:
            raise ExperimentError(
                f"ensembles.{name}.sizes: {member} has no model of size {missing[0]}, only of "
                f"{', '.join(map(str, own))}. Take it out, or add it to the sizes of {member}."
            )
    if not experiment.sizes(name):
        listed = "; ".join(f"{member} has {', '.join(map(str, own))}" for member, own in sizes.items())
        raise ExperimentError(f"ensembles.{name}.shares: the members have no size in common ({listed}). Give them one.")


def _check_repeats(experiment: "Experiment") -> None:
    """Mixtures are compared with the ensemble of their shares: of two, the order in the file would decide with which."""
    known: dict[tuple, str] = {}
    for name, entry in experiment.ensembles.items():
        first = known.setdefault((entry["average"], *experiment.members(name).items()), name)
        if first != name:
            raise ExperimentError(
                f"ensembles.{name}: averages the same members in the same shares as ensembles.{first}. Leave one out."
            )
