# From released lists to shuffled ones.
include: "inputs/metadata.smk"


rule retrieve_list:
    output:
        manifest="results/lists/{source}/manifest.json",
    log:
        "results/logs/retrieve_list/{source}.log",
    benchmark:
        "results/benchmarks/retrieve_list/{source}.tsv"
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
        mem_mb=1000,
        runtime=growing_time(720),
    params:
        address=lookup(within=settings, dpath="sources/{source}/metadata/retrieve"),
        hub=lookup(within=settings, dpath="checkpoint_origin"),
    message:
        "Fetching the list of {wildcards.source}"
    script:
        "../scripts/retrieve_list.py"


rule prepare_metadata:
    input:
        list=released_list,
    output:
        pairs="results/metadata/{source}/pairs.parquet",
        counts="results/metadata/{source}/counts.json",
    log:
        "results/logs/prepare_metadata/{source}.log",
    benchmark:
        "results/benchmarks/prepare_metadata/{source}.tsv"
    wildcard_constraints:
        source=sources_by("metadata"),
    conda:
        "../../envs/data.yaml"
    threads: lookup(within=config, dpath="shuffle/threads")
    resources:
        mem_mb=growing(4000),
        runtime=growing_time(240),
    params:
        path=of_metadata("path"),
        format=of_metadata("format"),
        columns=of_metadata("columns"),
        private_networks=private_networks,
    message:
        "Reading the released list of {wildcards.source}"
    script:
        "../scripts/prepare_metadata.py"


rule shuffle_metadata:
    input:
        pairs="results/metadata/{source}/pairs.parquet",
        counts="results/metadata/{source}/counts.json",
    output:
        manifest="results/shuffled/{source}/manifest.json",
    log:
        "results/logs/shuffle_metadata/{source}.log",
    benchmark:
        "results/benchmarks/shuffle_metadata/{source}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: lookup(within=config, dpath="shuffle/threads")
    resources:
        mem_mb=growing(4000),
        runtime=growing_time(240),
    params:
        samples=lookup(within=settings, dpath="sources/{source}/samples", default=None),
        part_size=lookup(within=settings, dpath="shuffle/part_size"),
        seed=lookup(within=settings, dpath="seed"),
    message:
        "Shuffling the list of {wildcards.source}"
    script:
        "../scripts/shuffle_metadata.py"
