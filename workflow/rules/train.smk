rule train_clip:
    input:
        trainset="results/trainsets/{pool}/{size}/manifest.json",
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
        gpu=lookup(within=config, dpath="architectures/{architecture}/gpus"),
        mem_mb=lookup(within=config, dpath="architectures/{architecture}/memory_mb"),
        runtime=lookup(within=config, dpath="architectures/{architecture}/runtime"),
    params:
        architecture=lookup(within=config, dpath="architectures/{architecture}"),
    message:
        "Training {wildcards.architecture} on {wildcards.size} samples of {wildcards.pool}, seed {wildcards.seed}"
    script:
        "../scripts/train_clip.py"
