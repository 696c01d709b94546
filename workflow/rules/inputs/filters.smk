# What filters.smk asks of the experiment.
from testbed.experiment.filter_checks import NEAR_METHODS
from testbed.experiment.products import filters_by, is_local, metadata_of
from testbed.lists.pairs import ListError
from testbed.lists.released import find_list
from testbed.shards.samples import no_samples


def filters_of(*methods):
    """A regular expression for the names of the filters of some methods; nothing fits it where there are none."""
    return "|".join(filters_by(experiment, *methods)) or "(?!)"


def rules_of(wildcards):
    """What a filter's entry says of the samples that it keeps, but for what its inputs stand for."""
    entry = settings["filters"][wildcards.filter]
    elsewhere = ("sizes", "teacher", "entries")
    rules = {key: value for key, value in entry.items() if key not in elsewhere}
    # Only what is drawn depends on the seed.
    return rules | ({"seed": settings["seed"]} if entry["method"] == "random" else {})


def check_condition(wildcards):
    """Report a filter's condition in SQL that does not fit the columns of its list, where the list is at hand."""
    # DuckDB takes a moment to load.
    from prepare_metadata import pairs_schema
    from testbed.filtering.conditions import PredicateError, keep_rows
    from testbed.lists.released_batches import own_columns

    source = experiment.root(wildcards.filter)
    if is_local(experiment, source):
        # The columns are in the tars, and select_samples checks the condition before it begins.
        return
    metadata = metadata_of(experiment, source)
    try:
        resolved, files = find_list(**metadata)
        rows = pairs_schema(own_columns(files, resolved), resolved.hash_kind)
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
    return f"results/shuffled/{wildcards.source}/00000.parquet"


def filter_scores(wildcards):
    """The scores that a filter selects by."""
    entry = experiment.filters[wildcards.filter]
    if entry["method"] != "clip_score":
        return []
    return [f"results/scores/{wildcards.filter}/manifest.json"]


def filter_duplicates(wildcards):
    """The near-duplicates that a filter drops."""
    entry = experiment.filters[wildcards.filter]
    if entry["method"] not in NEAR_METHODS:
        return []
    return [f"results/duplicates/{wildcards.filter}/manifest.json"]
