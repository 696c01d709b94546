# Filters by CLIP score: teachers and scores.
from testbed.experiment import products as paths
from testbed.experiment.products import published_weights, testset_folder


def public_teacher(wildcards):
    return published_weights(experiment.filters[wildcards.filter]["teacher"])


def teacher_files(wildcards):
    name = wildcards.filter
    return checkpoint_files(
        f"filters.{name}.teacher", public_teacher(wildcards), f"results/teachers/{name}"
    )


def teacher_manifest(wildcards):
    return paths.teacher_manifest(experiment, wildcards.filter)


def scoring_gpus(wildcards):
    return int(device_of(wildcards) == "cuda")


def scoring_threads(wildcards):
    """One core to feed a GPU and those that decode images; on a CPU as many as may run at once."""
    return 1 + config["evaluation"]["workers"]


def asks_classes(wildcards):
    return experiment.filters[wildcards.filter].get("per_class", False)


def reference_files(wildcards):
    return files_of_testset(experiment.reference) if asks_classes(wildcards) else []


def reference_folder(wildcards):
    return testset_folder(experiment, experiment.reference) if asks_classes(wildcards) else None


use rule retrieve_pretrained as retrieve_teacher with:
    input:
        checkpoint=teacher_files,
    output:
        manifest="results/teachers/{filter}/manifest.json",
    log:
        "results/logs/retrieve_teacher/{filter}.log",
    benchmark:
        "results/benchmarks/retrieve_teacher/{filter}.tsv"
    params:
        entry=public_teacher,
        origin=lookup(within=settings, dpath="checkpoint_origin"),
    message:
        "Fetching the teacher of {wildcards.filter}"


rule score_pairs:
    input:
        samples=parent_samples,
        shards=root_shards,
        teacher=teacher_manifest,
        reference=reference_files,
    output:
        manifest="results/scores/{filter}/manifest.json",
    log:
        "results/logs/score_pairs/{filter}.log",
    benchmark:
        "results/benchmarks/score_pairs/{filter}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=growing(config["evaluation"]["memory_mb"]),
        runtime=growing(1440),
    params:
        device=device_of,
        reference=reference_folder,
    message:
        "Scoring pairs for {wildcards.filter}"
    script:
        "../scripts/score_pairs.py"
