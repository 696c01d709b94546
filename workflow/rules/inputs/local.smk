# What local.smk asks of the experiment.
from functools import cache

from testbed.lists.pairs import ListError
from testbed.experiment.products import is_linked, is_local
from testbed.local import remote_tars
from testbed.local.files import describe_files, describe_tars, group_names
from testbed.planning.given_files import local_problems
from testbed.records.manifest import ManifestError, read_json


@cache
def names_of_tars(source):
    """The tars of a source and their names in the index. A source may have tens of thousands, in thousands of jobs."""
    return remote_tars.names_of_tars(source, experiment.sources[source]["shards"])


def tars_to_fetch(wildcards):
    """The address and the name of each tar in a group that is fetched."""
    address = experiment.sources[wildcards.source]["shards"]["retrieve"]
    return [list(tar) for tar in remote_tars.group_of_tars(address, wildcards.group)]


def retrieved_tars_of_group(wildcards):
    """The manifest of a group of tars that are fetched; of the user's own, nothing."""
    source, group = wildcards.source, wildcards.group
    fetched = remote_tars.is_fetched(experiment.sources[source]["shards"])
    return f"results/tars/{source}/{group}/manifest.json" if fetched else []


def tars_to_index(wildcards):
    """The tars of a group: their paths, names in the index, sizes and times. Once they are indexed, they may be missing.

    Those that are fetched are in the manifest of their group.
    """
    source, group = wildcards.source, wildcards.group
    if remote_tars.is_fetched(experiment.sources[source]["shards"]):
        return []
    try:
        return describe_tars(names_of_tars(source), group)
    except ListError:
        return recorded_in_index(source, group, "tars")


def path_of_files(wildcards):
    return experiment.sources[wildcards.source]["files"]["path"]


def files_to_index(wildcards):
    """The list or the folder of a source, with size and time. Once it is indexed, it may be missing."""
    source, group = wildcards.source, wildcards.group
    entry = experiment.sources[source]["files"]
    try:
        return describe_files(entry["path"], entry)
    except ListError:
        return recorded_in_index(source, group, "found")


def recorded_in_index(source, group, key):
    indexed = Path(f"results/indexed/{source}/{group}/manifest.json")
    return read_json(indexed)[key] if indexed.is_file() else []


def indices_of_groups(wildcards):
    """The indices of all groups of a source's tars or files; where these are missing, those that were made of them."""
    source = wildcards.source
    entry = experiment.sources[source]
    problems = list(local_problems(source, entry))
    if not problems:
        tars = list(names_of_tars(source)) if "shards" in entry else []
        groups = group_names(tars) or ["00000"]
    elif not (groups := indexed_groups(source)):
        report_missing(*problems)
    return [f"results/indexed/{source}/{group}/manifest.json" for group in groups]


def indexed_groups(source):
    """The groups of a source's tars or files, if all of them have been indexed."""
    try:
        counts = read_json(f"results/metadata/{source}/counts.json")
    except ManifestError:
        return []
    return ["00000"] if "base" in counts else group_names(counts["list"])


def index_options(wildcards):
    """What the experiment says of a source's tars or files, but for where they are."""
    source = settings["sources"][wildcards.source]
    entry = source["shards"] if "shards" in source else source["files"]
    return {
        key: value
        for key, value in entry.items()
        if key not in ("path", "retrieve", "as_is")
    }


def local_sources(linked):
    """A regular expression for the names of the sources of tars or files: of tars that are shards as they are, or of all others."""
    names = [
        source
        for source in experiment.sources
        if is_local(experiment, source) and is_linked(experiment, source) == linked
    ]
    return "|".join(names) or "(?!)"


def stored_form(wildcards):
    """How images are stored, which decides the bytes of shards."""
    keys = ("image_size", "quality", "minimum_size", "rotate")
    return {key: settings["download"][key] for key in keys}
