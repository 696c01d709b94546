# How near test images are to the pools, by a teacher's embeddings.
include: "inputs/similarity.smk"


# Seconds each: too short for a queue.
localrules:
    compare_similarity,
    plot_similarity,


use rule retrieve_pretrained as retrieve_similarity_teacher with:
    input:
        checkpoint=similarity_teacher_files,
    output:
        manifest="results/similarity_teacher/manifest.json",
    log:
        "results/logs/retrieve_similarity_teacher.log",
    benchmark:
        "results/benchmarks/retrieve_similarity_teacher.tsv"
    params:
        entry=published_similarity_teacher,
        origin=lookup(within=settings, dpath="checkpoint_origin"),
    message:
        "Fetching the teacher that measures similarity"


rule embed_images:
    input:
        samples="results/samples/{source}/manifest.json",
        shards="results/shards/{source}/manifest.json",
        teacher=similarity_teacher,
    output:
        manifest="results/embeddings/{source}/manifest.json",
    log:
        "results/logs/embed_images/{source}.log",
    benchmark:
        "results/benchmarks/embed_images/{source}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=growing(config["evaluation"]["memory_mb"]),
        runtime=growing_time(1440),
    params:
        device=device_of,
        precision=similarity_precision,
    message:
        "Embedding the images of {wildcards.source}"
    script:
        "../scripts/embed_images.py"


rule embed_testset:
    input:
        testset=own_files,
        teacher=similarity_teacher,
    output:
        manifest="results/testset_embeddings/{testset}/manifest.json",
    log:
        "results/logs/embed_testset/{testset}.log",
    benchmark:
        "results/benchmarks/embed_testset/{testset}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=growing(config["evaluation"]["memory_mb"]),
        runtime=growing_time(120),
    params:
        testset=own_folder,
        device=device_of,
        precision=similarity_precision,
    message:
        "Embedding the images of {wildcards.testset}"
    script:
        "../scripts/embed_testset.py"


rule find_similar:
    input:
        samples=parent_samples,
        embeddings=root_embeddings,
        testsets=testset_embeddings,
    output:
        manifest="results/duplicates/{filter}/manifest.json",
    log:
        "results/logs/find_similar/{filter}.log",
    benchmark:
        "results/benchmarks/find_similar/{filter}.tsv"
    wildcard_constraints:
        filter="|".join(near_filters(experiment, "similarity")) or "(?!)",
    conda:
        "../../envs/evaluate.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=growing(config["evaluation"]["memory_mb"]),
        runtime=growing_time(720),
    params:
        similarity=lookup(within=settings, dpath="filters/{filter}/similarity"),
        device=device_of,
    message:
        "Finding near-duplicates for {wildcards.filter} by embeddings"
    script:
        "../scripts/find_similar.py"


rule measure_similarity:
    input:
        samples="results/samples/{pool}/manifest.json",
        embeddings=root_embeddings,
        testsets=expand(
            "results/testset_embeddings/{testset}/manifest.json",
            testset=experiment.testsets,
        ),
    output:
        manifest="results/similarity/{pool}/manifest.json",
    log:
        "results/logs/measure_similarity/{pool}.log",
    benchmark:
        "results/benchmarks/measure_similarity/{pool}.tsv"
    wildcard_constraints:
        pool="|".join(prefixes) or "(?!)",
    conda:
        "../../envs/evaluate.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=growing(config["evaluation"]["memory_mb"]),
        runtime=growing_time(720),
    params:
        sizes=prefixes_of_pool,
        device=device_of,
    message:
        "Finding the nearest samples of {wildcards.pool} to test images"
    script:
        "../scripts/measure_similarity.py"


rule compare_similarity:
    input:
        nearest=expand("results/similarity/{pool}/manifest.json", pool=prefixes),
        predictions=predictions_of_trainsets,
    output:
        similarity=report(
            "results/tables/similarity.csv",
            caption="../report/similarity_table.rst",
            category="Pools",
            labels={"pool": "all", "content": "similarity to test images, table"},
        ),
        accuracy="results/tables/similarity_accuracy.csv",
    log:
        "results/logs/compare_similarity.log",
    benchmark:
        "results/benchmarks/compare_similarity.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing_time(60),
    params:
        trainsets=compared_trainsets,
        confidence=lookup(within=settings, dpath="statistics/line_confidence"),
    message:
        "Comparing the similarity of test images to the pools"
    script:
        "../scripts/compare_similarity.py"


rule plot_similarity:
    input:
        similarity="results/tables/similarity.csv",
        accuracy="results/tables/similarity_accuracy.csv",
    output:
        pdf="results/plots/similarity.pdf",
        png=report(
            "results/plots/similarity.png",
            caption="../report/similarity.rst",
            category="Pools",
            labels={"pool": "all", "content": "similarity to test images, figure"},
        ),
    log:
        "results/logs/plot_similarity.log",
    benchmark:
        "results/benchmarks/plot_similarity.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=10,
    params:
        pools=pools_with_trainsets,
        testsets=sorted(experiment.testsets),
        teacher=similarity_teacher_title,
    message:
        "Drawing how near test images are to the pools"
    script:
        "../scripts/plot_similarity.py"
