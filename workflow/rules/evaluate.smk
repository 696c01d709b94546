# Evaluations of models and ensembles on all test sets.
include: "inputs/evaluate.smk"


# Seconds each: too short for a queue.
localrules:
    collect_evaluations,


rule decode_testset:
    input:
        testset=own_files,
    output:
        manifest="results/decoded/{testset}-{network}/manifest.json",
    log:
        "results/logs/decode_testset/{testset}-{network}.log",
    benchmark:
        "results/benchmarks/decode_testset/{testset}-{network}.tsv"
    # A wrong label is to be known before anything is trained.
    priority: 10
    conda:
        "../../envs/evaluate.yaml"
    threads: decoding_threads
    resources:
        mem_mb=growing(4000),
        runtime=growing_time(120),
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
        runtime=growing_time(config["evaluation"]["runtime"]),
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
