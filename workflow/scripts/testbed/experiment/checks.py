"""Checks that the parts of an experiment are consistent: names, test sets, baselines, claims, sizes."""

import ipaddress
from collections.abc import Iterator

from testbed.experiment.ensemble_checks import ensemble_problems
from testbed.experiment.errors import did_you_mean
from testbed.experiment.experiment import Experiment
from testbed.experiment.filter_checks import cycles, filter_problems, parents_of
from testbed.experiment.teacher_checks import teacher_problems


def experiment_problems(experiment: Experiment) -> Iterator[str]:
    """Yield a line for each invalid name and each size that is not possible. No files are read."""
    valid = valid_pools(experiment)
    # A size that is not possible comes before the keys that refer to it.
    yield from _size_problems(experiment, valid)
    yield from _pool_problems(experiment)
    yield from _list_problems(experiment)
    yield from ensemble_problems(experiment, valid)
    yield from filter_problems(experiment, valid)
    if experiment.config["similarity"]:
        yield from teacher_problems(experiment, valid)
    yield from _testset_problems(experiment)
    yield from _claim_problems(experiment)
    yield from _setting_problems(experiment)


def valid_pools(experiment: Experiment) -> list[str]:
    """Return the pools whose sizes can be checked: they and all their parents exist once, and there is no cycle."""

    def is_valid(pool: str, above: tuple[str, ...] = ()) -> bool:
        if pool in above or [*experiment.pools, *experiment.ensembles].count(pool) != 1:
            return False
        return all(is_valid(parent, (*above, pool)) for parent in parents_of(experiment, pool))

    return [pool for pool in experiment.pools if is_valid(pool)]


def _pool_problems(experiment: Experiment) -> Iterator[str]:
    for name in sorted(set(experiment.pretrained) & set(experiment.config["architectures"])):
        yield f"pretrained.{name}: is also the name of an architecture. Give it another name."
    for name in sorted(set(experiment.sources) & set(experiment.mixtures)):
        yield f"mixtures.{name}: is also the name of a source. Give the mixture another name."
    for mixture, entry in experiment.mixtures.items():
        for member in entry["shares"]:
            if member not in experiment.pools:
                yield (
                    f"mixtures.{mixture}.shares: {member} is not a pool of this experiment."
                    f"{did_you_mean(member, experiment.pools)} Name one of: {', '.join(experiment.pools)}, or add it under "
                    "sources."
                )
    for cycle in cycles(experiment):
        section = "filters" if cycle[0] in experiment.filters else "mixtures"
        yield f"{section}.{cycle[0]}: is derived from itself ({' -> '.join(cycle)}). Remove one of them."


def _list_problems(experiment: Experiment) -> Iterator[str]:
    for name, source in experiment.sources.items():
        metadata = source.get("metadata", {})
        reading = [key for key in ("format", "columns", "join") if key in metadata]
        if reading and not {"path", "retrieve"} & set(metadata):
            yield (
                f"sources.{name}.metadata: {', '.join(reading)} without a list; path, format and columns must be given "
                "together, or retrieve in place of path."
            )
        if "://" in metadata.get("retrieve", "") and "format" not in metadata:
            yield f"sources.{name}.metadata.retrieve: {metadata['retrieve']} is an address. Say how to read it: add format."
        if source.get("shards", {}).get("as_is") and "caption" in source["shards"]:
            yield (
                f"sources.{name}.shards: with as_is, captions are those in key.txt, and caption names a field of key.json. "
                "Remove one of them."
            )


def _testset_problems(experiment: Experiment) -> Iterator[str]:
    if experiment.reference not in experiment.testsets:
        yield (
            f"reference: {experiment.reference} is not a test set."
            f"{did_you_mean(experiment.reference, experiment.testsets)} Name one of: {', '.join(experiment.testsets)}."
        )
        return
    if experiment.reference not in experiment.classifications or not experiment.shifts:
        yield (
            f"testsets: the reference ({experiment.reference}) and at least one other must have the task "
            "classification. Set their task."
        )
    corrupted = [name for name, entry in experiment.testsets.items() if "corrupt" in entry]
    uncorrupted = [name for name in experiment.classifications if name not in corrupted]
    for testset in corrupted:
        original = experiment.original(testset)
        if original not in uncorrupted:
            fault = "is itself corrupted" if original in corrupted else "is not a test set with the task classification"
            yield (
                f"testsets.{testset}.corrupt.of: {original} {fault}.{did_you_mean(original, uncorrupted)} Name one of: "
                f"{', '.join(uncorrupted) or 'none'}. Without the key of, it is the reference."
            )
    for name in experiment.class_maps:
        if name not in experiment.shifts:
            yield (
                f"testsets.{name}.classes: {name} is the reference or has another task than classification, so it "
                "has no class map. Remove the key classes."
            )
    baseline = experiment.config["statistics"]["baseline"]
    if baseline.startswith("standard") and experiment.reference != "imagenet":
        yield (
            f"statistics.baseline: {baseline} models are evaluated on imagenet, but the reference is "
            f"{experiment.reference}. Set the baseline to pool:<name of a pool> or to none."
        )


def _claim_problems(experiment: Experiment) -> Iterator[str]:
    for claim in experiment.claims:
        for name in claim["best"]:
            if name not in experiment.sources:
                yield (
                    f"claims: best has {name}, which is not a source.{did_you_mean(name, experiment.sources)} Name one or "
                    f"more of: {', '.join(experiment.sources)}."
                )
        if claim["shift"] not in experiment.shifts:
            yield (
                f"claims: {claim['shift']} is not a shift.{did_you_mean(claim['shift'], experiment.shifts)} Name one of: "
                f"{', '.join(experiment.shifts)}."
            )


def _setting_problems(experiment: Experiment) -> Iterator[str]:
    for network in experiment.config["download"]["private_networks"]:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            yield f"download.private_networks: {error}. Write an address (127.0.0.1) or a network (10.1.2.0/24)."
    own = [
        name for name, source in experiment.sources.items() if "miniweb" not in source.get("metadata", {"miniweb": ""})
    ]
    if own and experiment.config["download"]["proxy"] == "miniweb":
        yield f"download.proxy: miniweb does not serve the images of {', '.join(own)}. Write none, or http://host:port."
    architectures = experiment.config["architectures"]
    for name in experiment.config["costs"]["trained_per_second"]:
        if name not in architectures:
            yield (
                f"costs.trained_per_second: {name} is not an architecture.{did_you_mean(name, architectures)} Name one of: "
                f"{', '.join(architectures)}."
            )
    baseline = experiment.baseline_pool
    if baseline is not None and baseline not in experiment.pools:
        yield (
            f"statistics.baseline: pool {baseline} is not in the experiment.{did_you_mean(baseline, experiment.pools)} "
            f"Name one of: {', '.join(experiment.pools)}, or set it to none."
        )


def _size_problems(experiment: Experiment, valid: list[str]) -> Iterator[str]:
    """Yield a line for each key of sizes that has a size too large, and for each that has one too small."""
    short: dict[tuple[str, str], tuple[int, int, str, int]] = {}
    for pool in valid:
        for size in experiment.sizes(pool):
            for member, count in experiment.composition(pool, size).items():
                source = experiment.root(member)
                available = experiment.sources.get(source, {}).get("samples", count)
                key = experiment.sizes_key(pool), source
                if count > short.get(key, (available,))[0]:
                    short[key] = count, size, pool, available
    for key in dict.fromkeys(key for key, _ in short):
        lacking = {source: largest for (own, source), largest in short.items() if own == key}
        (source, (count, size, pool, available)), *others = lacking.items()
        also = ", ".join(f"{name} ({largest[-1]})" for name, largest in others)
        yield (
            f"{key}: {size} samples of {pool} need {count} of source {source}, which has only {available} "
            f"(sources.{source}.samples){f'; these also have too few: {also}' if also else ''}. Lower the size"
            f"{'' if key.startswith('sources.') else f' (sources.{source}.sizes for this source alone)'}, or raise samples "
            "if the list has more."
        )
    small: dict[tuple[str, str], str] = {}
    for model in experiment.models(valid):
        batch, key = (
            experiment.config["architectures"][model.architecture]["batch_size"],
            experiment.sizes_key(model.pool),
        )
        if model.size < batch:
            message = (
                f"{key}: {model.size} samples of {model.pool} are fewer than one batch "
                f"(architectures.{model.architecture}.batch_size: {batch}). Raise the size or lower batch_size."
            )
            small.setdefault((key, model.architecture), message)
    yield from small.values()
