# What metadata.smk asks of the experiment.
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
