# Filters by MetaCLIP's balancing: entries, matches, counts.
include: "inputs/entries.smk"


# Seconds each: too short for a queue.
localrules:
    build_entries,
    check_entries,
    count_entries,


rule build_entries:
    input:
        lists=entry_files,
    output:
        manifest="results/entries/{filter}/manifest.json",
    log:
        "results/logs/build_entries/{filter}.log",
    benchmark:
        "results/benchmarks/build_entries/{filter}.tsv"
    wildcard_constraints:
        filter=filters_of("metaclip"),
    # A list that cannot be used is to be known before anything is fetched.
    priority: 10
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        lists=entry_lists,
    message:
        "Listing the entries of {wildcards.filter}"
    script:
        "../scripts/build_entries.py"


rule check_entries:
    input:
        entries="results/entries/{filter}/manifest.json",
        pairs=root_pairs,
    output:
        checked="results/entries/{filter}/checked.json",
    log:
        "results/logs/check_entries/{filter}.log",
    benchmark:
        "results/benchmarks/check_entries/{filter}.tsv"
    wildcard_constraints:
        filter=filters_of("metaclip"),
    priority: 10
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    message:
        "Looking for the entries of {wildcards.filter} in captions"
    script:
        "../scripts/check_entries.py"


rule match_entries:
    input:
        checked="results/entries/{filter}/checked.json",
        entries="results/entries/{filter}/manifest.json",
        samples=parent_samples,
    output:
        manifest="results/matches/{filter}/manifest.json",
    log:
        "results/logs/match_entries/{filter}.log",
    benchmark:
        "results/benchmarks/match_entries/{filter}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing_time(240),
    message:
        "Matching captions with the entries of {wildcards.filter}"
    script:
        "../scripts/match_entries.py"


rule count_entries:
    input:
        entries="results/entries/{filter}/manifest.json",
        matches="results/matches/{filter}/manifest.json",
    output:
        manifest="results/counts/{filter}/manifest.json",
    log:
        "results/logs/count_entries/{filter}.log",
    benchmark:
        "results/benchmarks/count_entries/{filter}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing_time(60),
    message:
        "Counting the entries of {wildcards.filter}"
    script:
        "../scripts/count_entries.py"


rule balance_samples:
    input:
        samples=parent_samples,
        matches="results/matches/{filter}/manifest.json",
        counts="results/counts/{filter}/manifest.json",
    output:
        manifest="results/samples/{filter}/manifest.json",
        table=report(
            "results/tables/entries/{filter}.csv",
            caption="../report/entries_table.rst",
            category="Filters",
            labels={"filter": "{filter}", "what": "entries"},
        ),
    log:
        "results/logs/balance_samples/{filter}.log",
    benchmark:
        "results/benchmarks/balance_samples/{filter}.tsv"
    wildcard_constraints:
        filter=filters_of("metaclip"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing_time(240),
    params:
        filter=rules_of,
        seed=lookup(within=settings, dpath="seed"),
    message:
        "Balancing the samples of {params.filter[from]} into {wildcards.filter}"
    script:
        "../scripts/balance_samples.py"
