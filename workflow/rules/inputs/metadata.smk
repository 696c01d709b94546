# What metadata.smk asks of the experiment.
from testbed.experiment.products import is_mini, is_retrieved, metadata_of
from testbed.lists.list_files import find_files
from testbed.lists.pairs import ListError
from testbed.lists.released import find_list
from testbed.planning.given_files import address_problems, list_problems


def released_list(wildcards):
    """The files of a source's released list; of one that is drawn or fetched, the manifest of what came."""
    source = wildcards.source
    if is_mini(experiment, source):
        return f"results/miniweb/{source}/manifest.json"
    if is_retrieved(experiment, source):
        address = experiment.sources[source]["metadata"]["retrieve"]
        report_missing(*address_problems(source, address, config["released_lists"]))
        return [f"results/lists/{source}/manifest.json", *joined_files(source)]
    metadata = metadata_of(experiment, source)
    # A list that was read has its length in its counts, and may be gone.
    is_read = Path(f"results/metadata/{source}/pairs.parquet").is_file()
    needed = 0 if is_read else experiment.needed(source)
    if problems := list(list_problems(source, metadata, needed)):
        if not is_read:
            report_missing(*problems)
        return []
    resolved, files = find_list(**metadata)
    joined = [resolved.subset] if resolved.subset else resolved.hashes
    return [str(file) for file in [*joined, *files]]


def joined_files(source):
    """The files that the user has beside a list that is fetched."""
    join = metadata_of(experiment, source).get("join")
    if join is None:
        return []
    try:
        return [str(file) for file in find_files(join, "lines")]
    except ListError as error:
        if not Path(f"results/metadata/{source}/pairs.parquet").is_file():
            report_missing(f"sources.{source}.metadata.join: {error}.")
        return []


def of_metadata(key):
    """A parameter: the `key` of a source's released list."""

    def parameter(wildcards):
        return metadata_of(experiment, wildcards.source)[key]

    return parameter


def private_networks(wildcards):
    return sorted(config["download"]["private_networks"])
