# Seconds each: too short for a queue.
localrules:
    build_entries,
    check_entries,
    count_entries,


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
        runtime=growing(240),
    params:
        part=first_part,
    message:
        "Listing the samples of {wildcards.source}"
    script:
        "../scripts/list_samples.py"


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
        filter=filters_by("metaclip"),
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
        filter=filters_by("metaclip"),
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
        runtime=growing(240),
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
        runtime=growing(60),
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
        filter=filters_by("metaclip"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        filter=rules_of,
        seed=lookup(within=settings, dpath="seed"),
    message:
        "Balancing the samples of {params.filter[from]} into {wildcards.filter}"
    script:
        "../scripts/balance_samples.py"


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
        runtime=growing(1440),
    params:
        device=device_of,
        reference=reference_folder,
    message:
        "Scoring pairs for {wildcards.filter}"
    script:
        "../scripts/score_pairs.py"


rule select_samples:
    input:
        samples=parent_samples,
        scores=filter_scores,
    output:
        manifest="results/samples/{filter}/manifest.json",
    log:
        "results/logs/select_samples/{filter}.log",
    benchmark:
        "results/benchmarks/select_samples/{filter}.tsv"
    wildcard_constraints:
        filter=filters_by("clip_score", "sql", "basic"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
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
        runtime=growing(720),
    params:
        shard_size=lookup(within=settings, dpath="shards/shard_size"),
    message:
        "Sharding {wildcards.filter}"
    script:
        "../scripts/reshard_samples.py"
