# Evaluations of models and ensembles on all test sets.
from functools import cache

from testbed.evaluation.class_subsets import ClassesError, check_class_map
from testbed.experiment import products as paths
from testbed.experiment.experiment import Model
from testbed.experiment.products import testset_folder


# Seconds each: too short for a queue.
localrules:
    collect_evaluations,


def evaluation_gpus(wildcards):
    return min(1, architecture_of(wildcards)["gpus"])


def evaluation_threads(wildcards):
    """One core to feed a GPU, and one that reads the next batch; on a CPU reading takes next to nothing."""
    return 2 if device_of(wildcards) == "cuda" else 1


def device_of(wildcards):
    """Where a training, an evaluation or a filter's teacher runs: cpu or cuda."""
    if "filter" in wildcards.keys():
        return experiment.device_of_teacher(wildcards.filter)
    networks = config["architectures"] | experiment.pretrained
    return networks[network_of(wildcards)]["device"]


def decoding_threads(wildcards):
    return max(1, config["evaluation"]["workers"])


def network_of(wildcards):
    """The architecture, or the published checkpoint, that test sets are decoded for."""
    return wildcards.get("pretrained") or wildcards.architecture


def network_entry(wildcards):
    """Model and, of published checkpoints, tag, which decide how images are resized and cropped."""
    entry = (config["architectures"] | experiment.pretrained)[wildcards.network]
    return {"model": entry["model"], "tag": entry.get("tag")}


def testset_folders(wildcards):
    return paths.testset_folders(experiment, network_of(wildcards))


def decoded_manifests(wildcards):
    network = network_of(wildcards)
    return [
        f"{paths.decoded_folder(testset, network)}/manifest.json"
        for testset in experiment.testsets
    ]


def evaluated_model(wildcards):
    """The model, or the ensemble of models, that an evaluation is of."""
    pool = wildcards.get("ensemble") or wildcards.pool
    size, seed = int(wildcards.size), int(wildcards.seed)
    return Model(pool, wildcards.architecture, size, seed)


def model_columns(wildcards):
    return paths.model_columns(evaluated_model(wildcards))


def ensemble_models(wildcards):
    """The manifests of an ensemble's members: the models of its pools with its architecture, size and seed."""
    rest = f"{wildcards.architecture}-{wildcards.size}-{wildcards.seed}"
    return [
        f"results/models/{pool}-{rest}/manifest.json"
        for pool in experiment.members(wildcards.ensemble)
    ]


def ensemble_shares(wildcards):
    return list(experiment.members(wildcards.ensemble).values())


@cache
def check_class_maps():
    """Report maps of classes that do not hold; those that name classes which only a fetched test set shows hold so far."""
    for testset, path in experiment.class_maps.items():
        try:
            names = (
                f"{testset_folder(experiment, one)}/classnames.txt"
                for one in (testset, experiment.reference)
            )
            check_class_map(path, *names)
        except ClassesError as error:
            report_missing(f"testsets.{testset}.classes: {error}")


def class_map_files(wildcards):
    check_class_maps()
    maps = experiment.class_maps.values()
    return [path for path in maps if Path(path).is_file()]


rule decode_testset:
    input:
        testset=own_files,
    output:
        manifest="results/decoded/{testset}-{network}/manifest.json",
    log:
        "results/logs/decode_testset/{testset}-{network}.log",
    benchmark:
        "results/benchmarks/decode_testset/{testset}-{network}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: decoding_threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        testset=own_folder,
        task=lookup(within=settings, dpath="testsets/{testset}/task"),
        network=network_entry,
    message:
        "Decoding {wildcards.testset} for {wildcards.network}"
    script:
        "../scripts/decode_testset.py"


rule evaluate_clip:
    input:
        models=["results/models/{pool}-{architecture}-{size}-{seed}/manifest.json"],
        decoded=decoded_manifests,
        class_maps=class_map_files,
    output:
        metrics="results/evaluations/{pool}-{architecture}-{size}-{seed}/metrics.csv",
        predictions="results/evaluations/{pool}-{architecture}-{size}-{seed}/predictions.parquet",
    log:
        "results/logs/evaluate_clip/{pool}-{architecture}-{size}-{seed}.log",
    benchmark:
        "results/benchmarks/evaluate_clip/{pool}-{architecture}-{size}-{seed}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: evaluation_threads
    resources:
        gpu=evaluation_gpus,
        mem_mb=growing(config["evaluation"]["memory_mb"]),
        runtime=growing(config["evaluation"]["runtime"]),
    params:
        model=model_columns,
        shares=[1.0],
        average="logits",
        testsets=testset_folders,
        reference=lookup(within=settings, dpath="reference"),
        class_maps=canonical(experiment.class_maps),
        device=lookup(within=settings, dpath="architectures/{architecture}/device"),
        confidence=lookup(within=settings, dpath="statistics/point_confidence"),
    message:
        "Evaluating {wildcards.architecture} on {wildcards.size} samples of {wildcards.pool}, seed {wildcards.seed}"
    script:
        "../scripts/evaluate_clip.py"


use rule evaluate_clip as evaluate_ensemble with:
    input:
        models=ensemble_models,
        decoded=decoded_manifests,
        class_maps=class_map_files,
    output:
        metrics="results/evaluations/{ensemble}-{architecture}-{size}-{seed}/metrics.csv",
        predictions="results/evaluations/{ensemble}-{architecture}-{size}-{seed}/predictions.parquet",
    log:
        "results/logs/evaluate_ensemble/{ensemble}-{architecture}-{size}-{seed}.log",
    benchmark:
        "results/benchmarks/evaluate_ensemble/{ensemble}-{architecture}-{size}-{seed}.tsv"
    params:
        model=model_columns,
        shares=ensemble_shares,
        average=lookup(within=settings, dpath="ensembles/{ensemble}/average"),
        testsets=testset_folders,
        reference=lookup(within=settings, dpath="reference"),
        class_maps=canonical(experiment.class_maps),
        device=lookup(within=settings, dpath="architectures/{architecture}/device"),
        confidence=lookup(within=settings, dpath="statistics/point_confidence"),
    message:
        "Evaluating {wildcards.ensemble} of {wildcards.architecture} on {wildcards.size} samples, seed {wildcards.seed}"


rule collect_evaluations:
    input:
        metrics=metrics_of(experiment.evaluated()),
    output:
        evaluations="results/tables/evaluations.csv",
    log:
        "results/logs/collect_evaluations.log",
    benchmark:
        "results/benchmarks/collect_evaluations.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Collecting evaluations"
    script:
        "../scripts/collect_evaluations.py"
