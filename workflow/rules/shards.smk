# From images to shards, and from shards to trainsets.
from testbed.experiment import products as paths


# Seconds each: too short for a queue.
localrules:
    link_trainset,


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


rule shard_samples:
    input:
        shuffled="results/shuffled/{source}/manifest.json",
        downloads=download_manifests,
    output:
        manifest="results/shards/{source}/manifest.json",
    log:
        "results/logs/shard_samples/{source}.log",
    benchmark:
        "results/benchmarks/shard_samples/{source}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(720),
    params:
        parts=part_folders,
        shard_size=lookup(within=settings, dpath="shards/shard_size"),
    message:
        "Sharding {wildcards.source}"
    script:
        "../scripts/shard_samples.py"


rule link_trainset:
    input:
        shards=shard_manifests,
    output:
        manifest="results/trainsets/{pool}/{size}/manifest.json",
    log:
        "results/logs/link_trainset/{pool}-{size}.log",
    benchmark:
        "results/benchmarks/link_trainset/{pool}-{size}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        shards=shard_folders,
        composition=composition,
    message:
        "Linking {wildcards.size} samples of {wildcards.pool}"
    script:
        "../scripts/link_trainset.py"
