# What the rules of filters ask of the experiment.
from testbed.planning.given_files import entry_problems
from testbed.shards.samples import no_samples
from testbed.filtering.entry_lists import EntryError, find_lists


def filter_names(*methods):
    return [
        name for name, entry in experiment.filters.items() if entry["method"] in methods
    ]


def filters_by(*methods):
    """A regular expression for the names of the filters of some methods; nothing fits it where there are none."""
    return "|".join(filter_names(*methods)) or "(?!)"


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
    metadata = metadata_of(source)
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


def root_pairs(wildcards):
    """The prepared list of the source that the samples of a filter are from."""
    source = experiment.root(wildcards.filter)
    pairs = f"results/metadata/{source}/pairs.parquet"
    if not is_mini(source) and not Path(pairs).is_file():
        check_match(wildcards, source)
    return pairs


def check_match(wildcards, source):
    """Report entries that no caption of a source has, where the files of both are at hand."""
    # Arrow takes a moment to load.
    from check_entries import expect_match

    key = f"filters.{wildcards.filter}.entries"
    if any(entry_problems(wildcards.filter, entry_lists(wildcards))):
        # Reported with the files.
        return
    try:
        expect_match(
            wildcards.filter,
            entry_lists(wildcards),
            **metadata_of(source),
            private_networks=private_networks(wildcards),
        )
    except ListError:
        # Reported with the list.
        return
    except EntryError as error:
        report_missing(f"{key}: {error}.")


def root_shards(wildcards):
    """The shards that the samples of a filter lie in."""
    return f"results/shards/{experiment.root(wildcards.filter)}/manifest.json"


def first_part(wildcards):
    """The part of a shuffled list that tells the types of its columns."""
    return f"results/shuffled/{wildcards.source}/{experiment.parts(wildcards.source)[0]}.parquet"


def entry_lists(wildcards):
    """The lists of entries of a filter, each with all keys."""
    return settings["filters"][wildcards.filter]["entries"]


def entry_files(wildcards):
    """The files of a filter's lists of entries."""
    lists = entry_lists(wildcards)
    problems = list(entry_problems(wildcards.filter, lists))
    report_missing(*problems)
    if problems:
        return []
    return [
        shipped_input(file)
        for entry in lists
        if "path" in entry
        for file in find_lists(entry["path"])
    ]


def public_teacher(wildcards):
    return weights_of(experiment.filters[wildcards.filter]["teacher"])


def teacher_files(wildcards):
    name = wildcards.filter
    return checkpoint_files(
        f"filters.{name}.teacher", public_teacher(wildcards), f"results/teachers/{name}"
    )


def teacher_manifest(wildcards):
    """The manifest of the model that a filter scores with."""
    model = experiment.teacher(wildcards.filter)
    folder = (
        f"results/models/{model.name}"
        if model
        else f"results/teachers/{wildcards.filter}"
    )
    return f"{folder}/manifest.json"


def scoring_gpus(wildcards):
    return int(device_of(wildcards) == "cuda")


def scoring_threads(wildcards):
    """One core to feed a GPU and those that decode images; on a CPU as many as may run at once."""
    return 1 + config["evaluation"]["workers"]


def asks_classes(wildcards):
    return experiment.filters[wildcards.filter].get("per_class", False)


def reference_files(wildcards):
    return files_of_testset(experiment.reference) if asks_classes(wildcards) else []


def reference_folder(wildcards):
    return testset_folder(experiment.reference) if asks_classes(wildcards) else None


def filter_scores(wildcards):
    """The scores that a filter selects by."""
    entry = experiment.filters[wildcards.filter]
    if entry["method"] != "clip_score":
        return []
    return [f"results/scores/{wildcards.filter}/manifest.json"]


def filter_plots():
    """The data cards of all filters that have one."""
    return [
        *(f"results/plots/entries/{name}.pdf" for name in filter_names("metaclip")),
        *(f"results/plots/scores/{name}.pdf" for name in filter_names("clip_score")),
    ]
