# Published checkpoints, which are evaluated beside the models.
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


rule retrieve_pretrained:
    input:
        checkpoint=pretrained_checkpoint,
    output:
        manifest="results/pretrained/{pretrained}/manifest.json",
    log:
        "results/logs/retrieve_pretrained/{pretrained}.log",
    benchmark:
        "results/benchmarks/retrieve_pretrained/{pretrained}.tsv"
    # What cannot be fetched is to be known before images are.
    priority: 10
    conda:
        "../../envs/evaluate.yaml"
    resources:
        downloads=1,
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        entry=pretrained_weights,
        origin=lookup(within=settings, dpath="checkpoint_origin"),
    message:
        "Fetching {wildcards.pretrained}"
    script:
        "../scripts/retrieve_pretrained.py"


use rule evaluate_clip as evaluate_pretrained with:
    input:
        models=["results/pretrained/{pretrained}/manifest.json"],
        decoded=decoded_manifests,
        class_maps=class_map_files,
    output:
        metrics="results/evaluations/{pretrained}/metrics.csv",
        predictions="results/evaluations/{pretrained}/predictions.parquet",
    log:
        "results/logs/evaluate_pretrained/{pretrained}.log",
    benchmark:
        "results/benchmarks/evaluate_pretrained/{pretrained}.tsv"
    threads: evaluation_threads
    resources:
        gpu=pretrained_gpus,
        mem_mb=growing(config["evaluation"]["memory_mb"]),
        runtime=growing(config["evaluation"]["runtime"]),
    params:
        model=pretrained_columns,
        shares=[1.0],
        average="logits",
        testsets=testset_folders,
        reference=lookup(within=settings, dpath="reference"),
        class_maps=canonical(experiment.class_maps),
        device=lookup(within=settings, dpath="pretrained/{pretrained}/device"),
        confidence=lookup(within=settings, dpath="statistics/point_confidence"),
    message:
        "Evaluating {wildcards.pretrained}"
