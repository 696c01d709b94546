# Trainings.
include: "inputs/train.smk"


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
        runtime=training_time,
    params:
        recipe=lookup(within=settings, dpath="architectures/{architecture}"),
    message:
        "Training {wildcards.architecture} on {wildcards.size} samples of {wildcards.pool}, seed {wildcards.seed}"
    script:
        "../scripts/train_clip.py"
