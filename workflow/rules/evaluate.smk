# Seconds each: too short for a queue.
localrules:
    collect_evaluations,


rule evaluate_clip:
    input:
        model="results/models/{pool}-{architecture}-{size}-{seed}/manifest.json",
        testsets=testset_files,
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
        testsets=testset_folders,
        device=lookup(within=config, dpath="architectures/{architecture}/device"),
        options=lookup(within=config, dpath="evaluation"),
        confidence=lookup(within=config, dpath="statistics/point_confidence"),
    message:
        "Evaluating {wildcards.architecture} on {wildcards.size} samples of {wildcards.pool}, seed {wildcards.seed}"
    script:
        "../scripts/evaluate_clip.py"


rule collect_evaluations:
    input:
        metrics=metrics_of(experiment.models()),
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
