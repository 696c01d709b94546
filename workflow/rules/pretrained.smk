# Published checkpoints, which are evaluated beside the models.
include: "inputs/pretrained.smk"


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
        runtime=growing_time(120),
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
        runtime=growing_time(config["evaluation"]["runtime"]),
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
