# From images to shards, and from shards to trainsets.
include: "inputs/shards.smk"


# Seconds each: too short for a queue.
localrules:
    link_trainset,


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
    wildcard_constraints:
        source=sources_by("metadata"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing_time(720),
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
