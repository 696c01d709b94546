# What the rules of lists, downloads and shards ask of the experiment.
from pathlib import Path

from testbed.planning.given_files import list_problems
from testbed.lists.list_files import find_files
from testbed.lists.pairs import ListError
from testbed.lists.released import resolve_format


def metadata_of(source):
    """Path, format and columns of a source's released list, wherever it comes from."""
    metadata = dict(experiment.sources[source]["metadata"])
    kind = metadata.pop("miniweb", None)
    drawn = {
        "path": f"results/miniweb/{source}/list",
        "format": "csv" if kind == "imagenet" else kind,
    }
    return {"columns": {}, **(drawn if kind else {}), **metadata}


def released_list(wildcards):
    """Files of a source's released list; for a mini-source, the manifest of what the mini-web drew."""
    if is_mini(wildcards.source):
        return f"results/miniweb/{wildcards.source}/manifest.json"
    metadata = metadata_of(wildcards.source)
    # How long a list is that is read already stands in its counts.
    is_read = Path(f"results/metadata/{wildcards.source}/pairs.parquet").is_file()
    needed = 0 if is_read else experiment.needed(wildcards.source)
    if problems := list(list_problems(wildcards.source, metadata, needed)):
        if not is_read:
            report_missing(*problems)
        return []
    kind = resolve_format(metadata["format"]).container
    return [str(file) for file in find_files(metadata["path"], kind)]


def list_path(wildcards):
    return metadata_of(wildcards.source)["path"]


def list_format(wildcards):
    return metadata_of(wildcards.source)["format"]


def list_columns(wildcards):
    return metadata_of(wildcards.source)["columns"]


def private_networks(wildcards):
    return sorted(config["download"]["private_networks"])


def is_mini(source):
    return "miniweb" in experiment.sources[source]["metadata"]


def miniweb_manifest(wildcards):
    """The manifest of a mini-source's pages, which the mini-web serves; nothing for other sources."""
    source = wildcards.source
    if metadata_of(source)["format"] == "wit" and not config["download"]["contact"]:
        report_missing(
            f"download.contact: source {source} asks Wikimedia, which wants to know whom to write to. Give it a page or "
            "mail address.",
        )
    return [f"results/miniweb/{source}/manifest.json"] if is_mini(source) else []


def download_memory(wildcards, attempt):
    """MB of a download job: the process, the bodies that threads and queue hold at most, and one image being decoded.

    The process has 700 of its own, as img2dataset imports torch.
    """
    options = config["download"]
    bodies = 2 * options["threads"] * options["max_bytes"]
    # An image with transparency is blended in double precision.
    decoding = 64 * options["max_pixels"]
    return (1500 + (bodies + decoding) // 1_000_000) * attempt


def page_files(wildcards):
    return (
        [f"results/miniweb/{wildcards.source}/pages.parquet"]
        if is_mini(wildcards.source)
        else []
    )


def download_manifests(wildcards):
    return [
        f"results/downloads/{wildcards.source}/{part}/manifest.json"
        for part in experiment.parts(wildcards.source)
    ]


def part_folders(wildcards):
    """Pairs of a part's rows in the shuffled list and the folder of its downloads."""
    source = wildcards.source
    return [
        [
            f"results/shuffled/{source}/{part}.parquet",
            f"results/downloads/{source}/{part}",
        ]
        for part in experiment.parts(source)
    ]


def composition(wildcards):
    return experiment.composition(wildcards.pool, int(wildcards.size))


def shard_folders(wildcards):
    return {source: f"results/shards/{source}" for source in composition(wildcards)}


def shard_manifests(wildcards):
    return [f"{folder}/manifest.json" for folder in shard_folders(wildcards).values()]
