# Trainings.
from functools import cache

from testbed.models.networks import NetworkError, check_network, check_random
from testbed.planning.resources import training_resources


def architecture_of(wildcards):
    return config["architectures"][wildcards.architecture]


@cache
def check_model(key, model, *checks):
    """Report a model for which one of `checks` raises: what jobs would fail for, or have to fetch."""
    try:
        for check in checks:
            check(model)
    except NetworkError as error:
        report_missing(f"{key}: {error}")


def training_trainset(wildcards):
    """The trainset of a model, whose architecture is looked at before the model is trained."""
    rest = f"{wildcards.architecture}-{wildcards.size}-{wildcards.seed}"
    if not Path(f"results/models/{wildcards.pool}-{rest}/manifest.json").is_file():
        check_model(
            f"architectures.{wildcards.architecture}.model",
            architecture_of(wildcards)["model"],
            check_random,
            check_network,
        )
    return f"results/trainsets/{wildcards.pool}/{wildcards.size}/manifest.json"


def of_training(name):
    """A resource of a training, or its threads, by its architecture."""

    def resource(wildcards):
        return training_resources(architecture_of(wildcards))[name]

    return resource


def training_memory(wildcards, attempt):
    return architecture_of(wildcards)["memory_mb"] * attempt


rule train_clip:
    input:
        trainset=training_trainset,
    output:
        manifest="results/models/{pool}-{architecture}-{size}-{seed}/manifest.json",
    log:
        "results/logs/train_clip/{pool}-{architecture}-{size}-{seed}.log",
    benchmark:
        "results/benchmarks/train_clip/{pool}-{architecture}-{size}-{seed}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: of_training("threads")
    resources:
        gpu=of_training("gpu"),
        gres=of_training("gres"),
        nodes=lookup(within=config, dpath="architectures/{architecture}/nodes"),
        mpi=of_training("mpi"),
        tasks=of_training("tasks"),
        cpus_per_task=of_training("cpus_per_task"),
        mem_mb=training_memory,
        runtime=lookup(within=config, dpath="architectures/{architecture}/runtime"),
    params:
        recipe=lookup(within=settings, dpath="architectures/{architecture}"),
    message:
        "Training {wildcards.architecture} on {wildcards.size} samples of {wildcards.pool}, seed {wildcards.seed}"
    script:
        "../scripts/train_clip.py"
