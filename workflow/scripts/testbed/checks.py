"""Whether the parts of an experiment fit together: names, test sets, baselines, claims, sizes."""

import ipaddress
from typing import TYPE_CHECKING

from testbed.ensembles import check_ensembles
from testbed.errors import ExperimentError
from testbed.filters import check_filters

if TYPE_CHECKING:
    from testbed.experiment import Experiment


def check_experiment(experiment: "Experiment") -> None:
    """Raise `ExperimentError` for the first name that does not fit, or size that cannot be reached."""
    _check_names(experiment)
    _check_sizes(experiment)


def _check_names(experiment: "Experiment") -> None:
    both = sorted(set(experiment.pretrained) & set(experiment.config["architectures"]))
    if both:
        raise ExperimentError(f"pretrained.{both[0]}: is the name of an architecture too. Give it another name.")
    both = sorted(set(experiment.sources) & set(experiment.mixtures))
    if both:
        raise ExperimentError(f"mixtures.{both[0]}: is the name of a source too. Give the mixture another name.")
    for mixture in experiment.mixtures:
        _check_mixture(experiment, mixture, ())
    check_ensembles(experiment)
    check_filters(experiment)
    for network in experiment.config["download"]["private_networks"]:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ExperimentError(
                f"download.private_networks: {error}. Write an address (127.0.0.1) or a network (10.1.2.0/24)."
            ) from error
    for architecture in experiment.config["costs"]["trained_per_second"]:
        if architecture not in experiment.config["architectures"]:
            raise ExperimentError(
                f"costs.trained_per_second: {architecture} is not an architecture. Name one of: "
                f"{', '.join(experiment.config['architectures'])}."
            )
    if experiment.reference not in experiment.testsets:
        raise ExperimentError(
            f"reference: {experiment.reference} is not a test set. Name one of: {', '.join(experiment.testsets)}."
        )
    if experiment.reference not in experiment.classifications or not experiment.shifts:
        raise ExperimentError(
            f"testsets: the reference ({experiment.reference}) and at least one other have to be classifications. Set their "
            "task."
        )
    _check_originals(experiment)
    _check_claims(experiment)
    baseline = experiment.config["statistics"]["baseline"]
    if baseline.startswith("standard") and experiment.reference != "imagenet":
        raise ExperimentError(
            f"statistics.baseline: {baseline} models are measured on imagenet, and the reference is "
            f"{experiment.reference}. Set the baseline to pool:<name of a pool> or to none."
        )
    for name in experiment.class_maps:
        if name not in experiment.shifts:
            raise ExperimentError(
                f"testsets.{name}.classes: {name} is no shift with classes of its own, but the reference or of another "
                "task. Leave classes out."
            )
    if experiment.baseline_pool is not None and experiment.baseline_pool not in experiment.pools:
        raise ExperimentError(
            f"statistics.baseline: pool {experiment.baseline_pool} is not in the experiment. Name one of: "
            f"{', '.join(experiment.pools)}, or set it to none."
        )


def _check_originals(experiment: "Experiment") -> None:
    corrupted = [name for name, entry in experiment.testsets.items() if "corrupt" in entry]
    whole = [name for name in experiment.classifications if name not in corrupted]
    for testset in corrupted:
        original = experiment.original(testset)
        if original not in whole:
            fault = "is corrupted itself" if original in corrupted else "is not a test set of a classification"
            raise ExperimentError(
                f"testsets.{testset}.corrupt.of: {original} {fault}. Name one of: {', '.join(whole) or 'none'}; "
                "where of is left out, it is the reference."
            )


def _check_claims(experiment: "Experiment") -> None:
    for claim in experiment.claims:
        unknown = [name for name in claim["best"] if name not in experiment.sources]
        if unknown:
            raise ExperimentError(
                f"claims: best names {unknown[0]}, which is not a source. Name some of: {', '.join(experiment.sources)}."
            )
        if claim["shift"] not in experiment.shifts:
            raise ExperimentError(
                f"claims: {claim['shift']} is not a shift. Name one of: {', '.join(experiment.shifts)}."
            )


def _check_mixture(experiment: "Experiment", mixture: str, above: tuple[str, ...]) -> None:
    if mixture in above:
        circle = " -> ".join([*above, mixture])
        raise ExperimentError(f"mixtures.{mixture}: contains itself ({circle}). Take one of them out.")
    for member in experiment.mixtures[mixture]["shares"]:
        if member in experiment.mixtures:
            _check_mixture(experiment, member, (*above, mixture))
        elif member not in experiment.sources and member not in experiment.filters:
            raise ExperimentError(
                f"mixtures.{mixture}.shares: {member} is not a pool of this experiment. Name one of: "
                f"{', '.join(experiment.pools)}, or add it under sources."
            )


def _check_sizes(experiment: "Experiment") -> None:
    for pool in experiment.pools:
        for size in experiment.sizes(pool):
            for member, count in experiment.composition(pool, size).items():
                source = experiment.root(member)
                available = experiment.sources[source]["samples"]
                if count > available:
                    raise ExperimentError(
                        f"sizes: {size} samples of {pool} need {count} of source {source}, which has only "
                        f"{available} (sources.{source}.samples). Lower the size, or raise samples if the list has more."
                    )
    for model in experiment.models():
        batch = experiment.config["architectures"][model.architecture]["batch_size"]
        if model.size < batch:
            raise ExperimentError(
                f"sizes: {model.size} samples of {model.pool} are fewer than one batch "
                f"(architectures.{model.architecture}.batch_size: {batch}). Raise the size or lower batch_size."
            )
