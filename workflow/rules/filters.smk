# Samples of sources, and those that filters select of them.
from testbed.experiment.products import filters_by, metadata_of
from testbed.lists.list_files import find_files
from testbed.lists.pairs import ListError
from testbed.lists.released import resolve_format
from testbed.shards.samples import no_samples


def filters_of(*methods):
    """A regular expression for the names of the filters of some methods; nothing fits it where there are none."""
    return "|".join(filters_by(experiment, *methods)) or "(?!)"


def rules_of(wildcards):
    """What a filter's entry says of the samples that it keeps, but for what its inputs stand for."""
    entry = settings["filters"][wildcards.filter]
    elsewhere = ("sizes", "teacher", "entries")
    return {key: value for key, value in entry.items() if key not in elsewhere}


def check_condition(wildcards):
    """Report a filter's condition in SQL that does not fit the columns of its list, where the list is at hand."""
    # DuckDB takes a moment to load.
    from prepare_metadata import pairs_schema
    from testbed.filtering.conditions import PredicateError, keep_rows

    source = experiment.root(wildcards.filter)
    metadata = metadata_of(experiment, source)
    try:
        files = find_files(
            metadata["path"], resolve_format(metadata["format"]).container
        )
        rows = pairs_schema(
            files[0], resolve_format(metadata["format"], metadata["columns"])
        )
        keep_rows(no_samples(rows), experiment.filters[wildcards.filter]["where"])
    except ListError:
        # Reported with the list, or drawn by the run.
        return
    except PredicateError as error:
        report_missing(f"filters.{wildcards.filter}.where: {error}.")


def parent_samples(wildcards):
    """The table of the samples that a filter begins with."""
    if experiment.filters[wildcards.filter]["method"] == "sql":
        check_condition(wildcards)
    return (
        f"results/samples/{experiment.filters[wildcards.filter]['from']}/manifest.json"
    )


def root_shards(wildcards):
    """The shards that the samples of a filter lie in."""
    return f"results/shards/{experiment.root(wildcards.filter)}/manifest.json"


def first_part(wildcards):
    """The part of a shuffled list that tells the types of its columns."""
    return f"results/shuffled/{wildcards.source}/{experiment.parts(wildcards.source)[0]}.parquet"


def filter_scores(wildcards):
    """The scores that a filter selects by."""
    entry = experiment.filters[wildcards.filter]
    if entry["method"] != "clip_score":
        return []
    return [f"results/scores/{wildcards.filter}/manifest.json"]


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
        filter=filters_of("clip_score", "sql", "basic"),
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
