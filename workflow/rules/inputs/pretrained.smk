# What pretrained.smk asks of the experiment.
from testbed.experiment import products as paths
from testbed.experiment.products import published_weights
from testbed.models.networks import check_network, open_clip_config
from testbed.planning.given_files import checkpoint_problems


def pretrained_weights(wildcards):
    return published_weights(experiment.pretrained[wildcards.pretrained])


def checkpoint_files(key, entry, product):
    """The file of a published checkpoint that is given as one; what has a tag is fetched, and its tokenizer with it."""
    check = check_network if "checkpoint" in entry else open_clip_config
    check_model(f"{key}.model", entry["model"], check)
    problems = list(checkpoint_problems(key, entry, product))
    report_missing(*problems)
    return [entry["checkpoint"]] if "checkpoint" in entry and not problems else []


def pretrained_checkpoint(wildcards):
    name = wildcards.pretrained
    return checkpoint_files(
        f"pretrained.{name}",
        pretrained_weights(wildcards),
        f"results/pretrained/{name}",
    )


def pretrained_gpus(wildcards):
    return int(experiment.pretrained[wildcards.pretrained]["device"] == "cuda")


def pretrained_columns(wildcards):
    return paths.pretrained_columns(experiment, wildcards.pretrained)
