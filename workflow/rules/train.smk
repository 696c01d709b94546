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
    threads: training_threads
    resources:
        gpu=training_gpus,
        gres=training_gres,
        nodes=lookup(within=config, dpath="architectures/{architecture}/nodes"),
        mpi=training_mpi,
        tasks=training_tasks,
        cpus_per_task=training_cpus,
        mem_mb=training_memory,
        runtime=lookup(within=config, dpath="architectures/{architecture}/runtime"),
    params:
        recipe=lookup(within=settings, dpath="architectures/{architecture}"),
    message:
        "Training {wildcards.architecture} on {wildcards.size} samples of {wildcards.pool}, seed {wildcards.seed}"
    script:
        "../scripts/train_clip.py"
