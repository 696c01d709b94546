# Samples of sources, and those that filters select of them.
include: "inputs/filters.smk"


rule list_samples:
    input:
        shards="results/shards/{source}/manifest.json",
    output:
        manifest="results/samples/{source}/manifest.json",
    log:
        "results/logs/list_samples/{source}.log",
    benchmark:
        "results/benchmarks/list_samples/{source}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing_time(240),
    params:
        part=first_part,
    message:
        "Listing the samples of {wildcards.source}"
    script:
        "../scripts/list_samples.py"


rule join_columns:
    input:
        samples=parent_samples,
        tables=column_tables,
    output:
        manifest="results/columns/{filter}/manifest.json",
    log:
        "results/logs/join_columns/{filter}.log",
    benchmark:
        "results/benchmarks/join_columns/{filter}.tsv"
    wildcard_constraints:
        filter=filters_with("columns_from"),
    conda:
        "../../envs/data.yaml"
    threads: lookup(within=config, dpath="shuffle/threads")
    resources:
        mem_mb=growing(4000),
        runtime=growing_time(240),
    params:
        given=joined_table,
    message:
        "Joining the columns of a table to the samples for {wildcards.filter}"
    script:
        "../scripts/join_columns.py"


rule select_samples:
    input:
        samples=parent_samples,
        scores=filter_scores,
        columns=filter_columns,
        subset=filter_subset,
        other=controlled_samples,
        duplicates=filter_duplicates,
    output:
        manifest="results/samples/{filter}/manifest.json",
    log:
        "results/logs/select_samples/{filter}.log",
    benchmark:
        "results/benchmarks/select_samples/{filter}.tsv"
    wildcard_constraints:
        filter=filters_of(
            "clip_score",
            "sql",
            "basic",
            "random",
            "all",
            "remove",
            "subset",
            *NEAR_METHODS,
        ),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing_time(240),
    params:
        filter=rules_of,
    message:
        "Selecting the samples of {params.filter[from]} that {wildcards.filter} keeps"
    script:
        "../scripts/select_samples.py"


rule reshard_samples:
    input:
        samples="results/samples/{filter}/manifest.json",
        shards=root_shards,
    output:
        manifest="results/shards/{filter}/manifest.json",
    log:
        "results/logs/reshard_samples/{filter}.log",
    benchmark:
        "results/benchmarks/reshard_samples/{filter}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing_time(720),
    params:
        shard_size=lookup(within=settings, dpath="shards/shard_size"),
    message:
        "Sharding {wildcards.filter}"
    script:
        "../scripts/reshard_samples.py"


rule write_subset:
    input:
        samples="results/samples/{pool}/manifest.json",
    output:
        subset="results/subsets/{pool}.npy",
    log:
        "results/logs/write_subset/{pool}.log",
    benchmark:
        "results/benchmarks/write_subset/{pool}.tsv"
    wildcard_constraints:
        pool="|".join([*experiment.sources, *experiment.filters]),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing_time(60),
    message:
        "Writing the uids of {wildcards.pool} as a subset file"
    script:
        "../scripts/write_subset.py"
