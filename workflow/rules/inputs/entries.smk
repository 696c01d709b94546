# What entries.smk asks of the experiment.
from testbed.experiment.products import is_local, is_mini, metadata_of
from testbed.filtering.entry_lists import EntryError, find_lists
from testbed.lists.pairs import ListError
from testbed.planning.given_files import entry_problems


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


def root_pairs(wildcards):
    """The prepared list of the source that the samples of a filter are from."""
    source = experiment.root(wildcards.filter)
    pairs = f"results/metadata/{source}/pairs.parquet"
    has_list = not is_mini(experiment, source) and not is_local(experiment, source)
    if has_list and not Path(pairs).is_file():
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
            **metadata_of(experiment, source),
            private_networks=private_networks(wildcards),
        )
    except ListError:
        # Reported with the list.
        return
    except EntryError as error:
        report_missing(f"{key}: {error}.")
