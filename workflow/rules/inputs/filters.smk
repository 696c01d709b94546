# What filters.smk asks of the experiment.
from testbed.experiment.filter_checks import NEAR_METHODS
from testbed.experiment.products import filters_by, is_linked, is_local, metadata_of
from testbed.lists.pairs import ListError
from testbed.lists.released import find_list
from testbed.planning.given_files import selection_problems
from testbed.shards.samples import no_samples


def filters_of(*methods):
    """A regular expression for the names of the filters of some methods; nothing fits it where there are none."""
    return "|".join(filters_by(experiment, *methods)) or "(?!)"


def filters_with(key):
    """A regular expression for the names of the filters with a key; nothing fits it where none has it."""
    names = [name for name, entry in experiment.filters.items() if key in entry]
    return "|".join(names) or "(?!)"


def rules_of(wildcards):
    """What a filter's entry says of the samples that it keeps, but for what its inputs stand for."""
    entry = settings["filters"][wildcards.filter]
    elsewhere = ("sizes", "teacher", "entries", "columns_from", "path")
    rules = {key: value for key, value in entry.items() if key not in elsewhere}
    # Only what is drawn depends on the seed.
    is_drawn = entry["method"] == "random" or "share" in entry
    return rules | ({"seed": settings["seed"]} if is_drawn else {})


def joined_table(wildcards):
    """How the columns of a user's table are joined; its files are inputs."""
    given = settings["filters"][wildcards.filter]["columns_from"]
    return {key: value for key, value in given.items() if key != "path"}


def column_tables(wildcards):
    """The files of a user's table."""
    # DuckDB takes a moment to load.
    from testbed.filtering.user_tables import find_tables

    problems = list(
        selection_problems(wildcards.filter, experiment.filters[wildcards.filter])
    )
    report_missing(*problems)
    if problems:
        return []
    given = experiment.filters[wildcards.filter]["columns_from"]
    return [str(file) for file in find_tables(given["path"])]


def filter_columns(wildcards):
    """The columns of a user's table that a filter selects by."""
    if "columns_from" not in experiment.filters[wildcards.filter]:
        return []
    return [f"results/columns/{wildcards.filter}/manifest.json"]


def filter_subset(wildcards):
    """The file of the uids that a filter keeps."""
    entry = experiment.filters[wildcards.filter]
    if entry["method"] != "subset":
        return []
    problems = list(selection_problems(wildcards.filter, {"path": entry["path"]}))
    report_missing(*problems)
    return [] if problems else [entry["path"]]


def controlled_samples(wildcards):
    """The samples of the filter that a random one keeps as many as."""
    controlled = experiment.filters[wildcards.filter].get("as_many_as")
    return [f"results/samples/{controlled}/manifest.json"] if controlled else []


def check_columns(wildcards):
    """Report columns and conditions of a filter that do not fit its list or its table, where both are at hand."""
    # DuckDB takes a moment to load.
    from prepare_metadata import pairs_schema
    from testbed.filtering.planned_columns import check_filter
    from testbed.lists.released_batches import own_columns

    source = experiment.root(wildcards.filter)
    if is_local(experiment, source):
        # The columns are in the tars, and select_samples checks the condition before it begins.
        return
    metadata = metadata_of(experiment, source)
    try:
        resolved, files = find_list(**metadata)
        rows = pairs_schema(own_columns(files, resolved), resolved.hash_kind)
    except ListError:
        # Reported with the list, or drawn by the run.
        return
    report_missing(
        *check_filter(experiment.filters, wildcards.filter, no_samples(rows))
    )


def parent_samples(wildcards):
    """The table of the samples that a filter begins with."""
    entry = experiment.filters[wildcards.filter]
    if {"where", "columns_from", "caption"} & set(entry):
        check_columns(wildcards)
    return f"results/samples/{entry['from']}/manifest.json"


def root_shards(wildcards):
    """The shards that the samples of a filter lie in."""
    return f"results/shards/{experiment.root(wildcards.filter)}/manifest.json"


def first_part(wildcards):
    """The part of a shuffled list that tells the types of its columns; the whole list of tars that are not shuffled."""
    if is_linked(experiment, wildcards.source):
        return f"results/metadata/{wildcards.source}/pairs.parquet"
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
