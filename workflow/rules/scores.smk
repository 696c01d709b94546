# Filters by CLIP score: teachers and scores.
include: "inputs/scores.smk"


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
        runtime=growing_time(1440),
    params:
        device=device_of,
        precision=precision_of,
        reference=reference_folder,
    message:
        "Scoring pairs for {wildcards.filter}"
    script:
        "../scripts/score_pairs.py"
