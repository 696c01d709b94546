# What filters.smk asks of the experiment.
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
