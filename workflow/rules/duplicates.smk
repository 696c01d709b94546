# Near-duplicates: perceptual hashes of images, and the pairs that are near.
include: "inputs/duplicates.smk"


# Seconds: too short for a queue.
localrules:
    collect_overlap,


rule hash_images:
    input:
        samples="results/samples/{source}/manifest.json",
        shards="results/shards/{source}/manifest.json",
    output:
        manifest="results/hashes/{source}/manifest.json",
    log:
        "results/logs/hash_images/{source}.log",
    benchmark:
        "results/benchmarks/hash_images/{source}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=growing(2000),
        runtime=growing_time(720),
    message:
        "Hashing the images of {wildcards.source}"
    script:
        "../scripts/hash_images.py"


rule hash_testset:
    input:
        testset=own_files,
    output:
        manifest="results/testset_hashes/{testset}/manifest.json",
    log:
        "results/logs/hash_testset/{testset}.log",
    benchmark:
        "results/benchmarks/hash_testset/{testset}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=growing(2000),
        runtime=growing_time(60),
    params:
        testset=own_folder,
    message:
        "Hashing the images of {wildcards.testset}"
    script:
        "../scripts/hash_testset.py"


rule find_duplicates:
    input:
        samples=parent_samples,
        hashes=root_hashes,
        testsets=testset_hashes,
    output:
        manifest="results/duplicates/{filter}/manifest.json",
    log:
        "results/logs/find_duplicates/{filter}.log",
    benchmark:
        "results/benchmarks/find_duplicates/{filter}.tsv"
    wildcard_constraints:
        filter="|".join(near_filters(experiment, "distance")) or "(?!)",
    conda:
        "../../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=growing(8000),
        runtime=growing_time(240),
    params:
        distance=lookup(within=settings, dpath="filters/{filter}/distance"),
    message:
        "Finding near-duplicates for {wildcards.filter}"
    script:
        "../scripts/find_duplicates.py"


rule measure_overlap:
    input:
        samples="results/samples/{source}/manifest.json",
        shards="results/shards/{source}/manifest.json",
        hashes="results/hashes/{source}/manifest.json",
        testsets=hashes_of_all_testsets,
    output:
        manifest="results/overlap/{source}/manifest.json",
    log:
        "results/logs/measure_overlap/{source}.log",
    benchmark:
        "results/benchmarks/measure_overlap/{source}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing_time(240),
    params:
        distance=NEAR_DISTANCE,
        testsets=folders_of_all_testsets,
    message:
        "Counting near-duplicates in {wildcards.source}"
    script:
        "../scripts/measure_overlap.py"


rule collect_overlap:
    input:
        overlaps=overlaps,
    output:
        table=report(
            "results/tables/overlap.csv",
            caption="../report/overlap.rst",
            category="Pools",
            labels={"pool": "all", "content": "near-duplicates, table"},
        ),
    log:
        "results/logs/collect_overlap.log",
    benchmark:
        "results/benchmarks/collect_overlap.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Collecting near-duplicates of all sources"
    script:
        "../scripts/collect_overlap.py"
