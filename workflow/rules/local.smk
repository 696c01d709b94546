# From tars and files on disk to shards in the seeded order.
include: "inputs/local.smk"


rule retrieve_shards:
    output:
        manifest="results/tars/{source}/{group}/manifest.json",
    log:
        "results/logs/retrieve_shards/{source}-{group}.log",
    benchmark:
        "results/benchmarks/retrieve_shards/{source}-{group}.tsv"
    wildcard_constraints:
        source=sources_by("shards"),
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
        mem_mb=1000,
        runtime=growing_time(720),
    params:
        tars=tars_to_fetch,
        as_is=lookup(within=settings, dpath="sources/{source}/shards/as_is"),
        hub=lookup(within=settings, dpath="checkpoint_origin"),
    message:
        "Fetching tars {wildcards.group} of {wildcards.source}"
    script:
        "../scripts/retrieve_shards.py"


# The user's tars are parameters and no inputs: once they are rewritten they may go, and nothing is made again for that.
rule index_shards:
    input:
        retrieved=retrieved_tars_of_group,
    output:
        manifest="results/indexed/{source}/{group}/manifest.json",
    log:
        "results/logs/index_shards/{source}-{group}.log",
    benchmark:
        "results/benchmarks/index_shards/{source}-{group}.tsv"
    wildcard_constraints:
        source=sources_by("shards"),
    # A source with too few samples is to be known before anything is downloaded.
    priority: 10
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing_time(240),
    params:
        tars=tars_to_index,
        options=index_options,
        minimum_size=lookup(within=settings, dpath="download/minimum_size"),
    message:
        "Indexing tars {wildcards.group} of {wildcards.source}"
    script:
        "../scripts/index_shards.py"


rule index_files:
    output:
        manifest="results/indexed/{source}/{group}/manifest.json",
    log:
        "results/logs/index_files/{source}-{group}.log",
    benchmark:
        "results/benchmarks/index_files/{source}-{group}.tsv"
    wildcard_constraints:
        source=sources_by("files"),
    priority: 10
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing_time(720),
    params:
        path=path_of_files,
        found=files_to_index,
        options=index_options,
        minimum_size=lookup(within=settings, dpath="download/minimum_size"),
    message:
        "Indexing the files of {wildcards.source}"
    script:
        "../scripts/index_files.py"


rule collect_index:
    input:
        indices=indices_of_groups,
    output:
        pairs="results/metadata/{source}/pairs.parquet",
        counts="results/metadata/{source}/counts.json",
    log:
        "results/logs/collect_index/{source}.log",
    benchmark:
        "results/benchmarks/collect_index/{source}.tsv"
    wildcard_constraints:
        source=sources_by("shards", "files"),
    priority: 10
    conda:
        "../../envs/data.yaml"
    threads: lookup(within=config, dpath="shuffle/threads")
    resources:
        mem_mb=growing(4000),
        runtime=growing_time(240),
    message:
        "Collecting the samples of {wildcards.source}"
    script:
        "../scripts/collect_index.py"


rule rewrite_shards:
    input:
        counts="results/metadata/{source}/counts.json",
        shuffled="results/shuffled/{source}/manifest.json",
    output:
        manifest="results/shards/{source}/manifest.json",
    log:
        "results/logs/rewrite_shards/{source}.log",
    benchmark:
        "results/benchmarks/rewrite_shards/{source}.tsv"
    wildcard_constraints:
        source=local_sources(linked=False),
    conda:
        "../../envs/data.yaml"
    threads: lookup(within=config, dpath="shuffle/threads")
    resources:
        mem_mb=growing(8000),
        runtime=growing_time(720),
    params:
        storage=stored_form,
        shard_size=lookup(within=settings, dpath="shards/shard_size"),
    message:
        "Rewriting the samples of {wildcards.source}"
    script:
        "../scripts/rewrite_shards.py"


rule link_shards:
    input:
        counts="results/metadata/{source}/counts.json",
        pairs="results/metadata/{source}/pairs.parquet",
    output:
        manifest="results/shards/{source}/manifest.json",
    log:
        "results/logs/link_shards/{source}.log",
    benchmark:
        "results/benchmarks/link_shards/{source}.tsv"
    wildcard_constraints:
        source=local_sources(linked=True),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing_time(240),
    message:
        "Linking the tars of {wildcards.source}"
    script:
        "../scripts/link_shards.py"
