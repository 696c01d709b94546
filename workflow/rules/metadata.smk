# From released lists to shuffled ones.
from testbed.experiment.products import is_mini, metadata_of
from testbed.lists.list_files import find_files
from testbed.lists.pairs import ListError
from testbed.lists.released import resolve_format
from testbed.planning.given_files import list_problems


def released_list(wildcards):
    """The files of a source's released list; of one that the mini-web draws, the manifest of what it drew."""
    source = wildcards.source
    if is_mini(experiment, source):
        return f"results/miniweb/{source}/manifest.json"
    metadata = metadata_of(experiment, source)
    # A list that was read has its length in its counts, and may be gone.
    is_read = Path(f"results/metadata/{source}/pairs.parquet").is_file()
    needed = 0 if is_read else experiment.needed(source)
    if problems := list(list_problems(source, metadata, needed)):
        if not is_read:
            report_missing(*problems)
        return []
    kind = resolve_format(metadata["format"]).container
    return [str(file) for file in find_files(metadata["path"], kind)]


def of_metadata(key):
    """A parameter: the `key` of a source's released list."""

    def parameter(wildcards):
        return metadata_of(experiment, wildcards.source)[key]

    return parameter


def private_networks(wildcards):
    return sorted(config["download"]["private_networks"])


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
    conda:
        "../../envs/data.yaml"
    threads: lookup(within=config, dpath="shuffle/threads")
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
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
        runtime=growing(240),
    params:
        samples=lookup(within=settings, dpath="sources/{source}/samples"),
        part_size=lookup(within=settings, dpath="shuffle/part_size"),
        seed=lookup(within=settings, dpath="seed"),
    message:
        "Shuffling the list of {wildcards.source}"
    script:
        "../scripts/shuffle_metadata.py"
