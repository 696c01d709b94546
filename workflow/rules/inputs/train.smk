# What train.smk asks of the experiment.
from functools import cache

from testbed.models.networks import NetworkError, check_network, check_random
from testbed.planning.resources import gpu_model_problem, training_resources


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
        set_resources = workflow.resource_settings.overwrite_resources
        if problem := gpu_model_problem(
            wildcards.architecture, architecture_of(wildcards), set_resources
        ):
            report_missing(problem)
    return f"results/trainsets/{wildcards.pool}/{wildcards.size}/manifest.json"


def of_training(name):
    """A resource of a training, or its threads, by its architecture."""

    def resource(wildcards):
        return training_resources(architecture_of(wildcards))[name]

    return resource


def training_time(wildcards):
    return within_limit(architecture_of(wildcards)["runtime"])


def training_memory(wildcards, attempt):
    return architecture_of(wildcards)["memory_mb"] * attempt
