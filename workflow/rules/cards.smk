# What is in the pools: descriptions, a card of each pool, and all of them side by side.
include: "inputs/cards.smk"


# Seconds each: too short for a queue.
localrules:
    draw_card,
    compare_pools,
    plot_pools,
    measure_concepts,
    plot_concepts,


rule describe_pool:
    input:
        samples="results/samples/{pool}/manifest.json",
        parent=parent_of_pool,
        shards=shards_of_root,
        scores=seen_classes,
        reference=class_files_of_reference,
        counts=counts_of_list,
        downloads=outcomes_of_downloads,
    output:
        description="results/descriptions/{pool}/description.json",
        words="results/descriptions/{pool}/words.parquet",
        sheet="results/descriptions/{pool}/sheet.parquet",
    log:
        "results/logs/describe_pool/{pool}.log",
    benchmark:
        "results/benchmarks/describe_pool/{pool}.tsv"
    wildcard_constraints:
        pool=any_of(described_pools(experiment)),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing_time(120),
    params:
        reference=testset_folder(experiment, experiment.reference),
        sampling=sampling,
    message:
        "Describing {wildcards.pool}"
    script:
        "../scripts/describe_pool.py"


rule draw_card:
    input:
        descriptions=shown_files("description.json"),
        words=shown_files("words.parquet"),
        sheets=shown_files("sheet.parquet"),
        rivals=words_of_rivals,
        overlap=overlap_of_source,
    output:
        page=report(
            "results/report/pools/{pool}.html",
            caption="../report/card.rst",
            category="Pools",
            labels={"pool": "{pool}", "content": "card"},
        ),
    log:
        "results/logs/draw_card/{pool}.log",
    benchmark:
        "results/benchmarks/draw_card/{pool}.tsv"
    wildcard_constraints:
        pool=any_of(paths.carded_pools(experiment)),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pool=card_of_pool,
        blur=lookup(within=settings, dpath="cards/blur"),
        testsets=titles_of_testsets,
    message:
        "Drawing the card of {wildcards.pool}"
    script:
        "../scripts/draw_card.py"


rule compare_pools:
    input:
        descriptions=described_files("description.json"),
        sheets=described_files("sheet.parquet"),
        overlaps=overlaps_of_sources,
    output:
        page=report(
            "results/report/pools.html",
            caption="../report/pools.rst",
            category="Pools",
            labels={"pool": "all", "content": "side by side"},
        ),
        pools=report(
            "results/tables/pools.csv",
            caption="../report/pools_table.rst",
            category="Pools",
            labels={"pool": "all", "content": "table"},
        ),
        classes="results/tables/pool_classes.csv",
    log:
        "results/logs/compare_pools.log",
    benchmark:
        "results/benchmarks/compare_pools.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        experiment=lookup(within=settings, dpath="experiment"),
        pools=card_entries,
        mixtures=mixture_entries,
        blur=lookup(within=settings, dpath="cards/blur"),
        testsets=titles_of_testsets,
    message:
        "Putting all pools side by side"
    script:
        "../scripts/compare_pools.py"


rule plot_pools:
    input:
        descriptions=described_files("description.json"),
    output:
        pdf="results/plots/pools.pdf",
        png=report(
            "results/plots/pools.png",
            caption="../report/pools_figure.rst",
            category="Pools",
            labels={"pool": "all", "content": "figure"},
        ),
    log:
        "results/logs/plot_pools.log",
    benchmark:
        "results/benchmarks/plot_pools.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pools=drawn_pools,
        reference=title_of(experiment.reference),
    message:
        "Drawing what is in the pools"
    script:
        "../scripts/plot_pools.py"


rule measure_concepts:
    input:
        descriptions=described_with_models,
        predictions=concept_predictions,
        testsets=class_files,
    output:
        concepts=report(
            "results/tables/concepts.csv",
            caption="../report/concepts_table.rst",
            category="Pools",
            labels={"pool": "all", "content": "concepts, table"},
        ),
        classes="results/tables/concept_classes.csv",
    log:
        "results/logs/measure_concepts.log",
    benchmark:
        "results/benchmarks/measure_concepts.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        models=concept_models,
        testsets=class_folders,
        reference=lookup(within=settings, dpath="reference"),
        confidence=lookup(within=settings, dpath="statistics/line_confidence"),
    message:
        "Measuring the accuracy of classes over captions that name them"
    script:
        "../scripts/measure_concepts.py"


rule plot_concepts:
    input:
        concepts="results/tables/concepts.csv",
        classes="results/tables/concept_classes.csv",
    output:
        pdf="results/plots/concepts.pdf",
        png=report(
            "results/plots/concepts.png",
            caption="../report/concepts.rst",
            category="Pools",
            labels={"pool": "all", "content": "concepts, figure"},
        ),
    log:
        "results/logs/plot_concepts.log",
    benchmark:
        "results/benchmarks/plot_concepts.tsv"
    conda:
        "../../envs/statistics.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        testsets=sorted(experiment.classifications),
        pools=drawn_pools,
        reference=lookup(within=settings, dpath="reference"),
    message:
        "Drawing the accuracy of classes over captions that name them"
    script:
        "../scripts/plot_concepts.py"
