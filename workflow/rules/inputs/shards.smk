# What shards.smk asks of the experiment.
from testbed.experiment import products as paths


def download_manifests(wildcards):
    return paths.download_manifests(experiment, wildcards.source)


def part_folders(wildcards):
    return paths.part_folders(experiment, wildcards.source)


def composition(wildcards):
    """How many samples of each source and filter a trainset holds."""
    return experiment.composition(wildcards.pool, int(wildcards.size))


def shard_folders(wildcards):
    return {source: f"results/shards/{source}" for source in composition(wildcards)}


def shard_manifests(wildcards):
    return [f"{folder}/manifest.json" for folder in shard_folders(wildcards).values()]
