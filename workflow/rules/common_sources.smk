# What the rules of lists, downloads and shards ask of the experiment.
from pathlib import Path

from testbed.list_files import find_files
from testbed.pairs import ListError
from testbed.released import check_list, resolve_format
from testbed.sources import where_from


def metadata_of(source):
    """Path, format and columns of a source's released list, wherever it comes from."""
    metadata = experiment.sources[source]["metadata"]
    if "miniweb" not in metadata:
        return {"columns": {}, **metadata}
    kind = metadata["miniweb"]
    path = f"results/miniweb/{source}/list"
    return {
        "path": path,
        "format": "csv" if kind == "imagenet" else kind,
        "columns": {},
    }


def released_list(wildcards):
    """Files of a source's released list; for a mini-source, the manifest of what the mini-web drew."""
    if is_mini(wildcards.source):
        return f"results/miniweb/{wildcards.source}/manifest.json"
    metadata = metadata_of(wildcards.source)
    try:
        check_list(**metadata)
        return [
            str(file)
            for file in find_files(
                metadata["path"], resolve_format(metadata["format"]).container
            )
        ]
    except ListError as error:
        if not Path(f"results/metadata/{wildcards.source}/pairs.parquet").is_file():
            origin = where_from("resources/sources.csv", metadata["format"])
            message = f"sources.{wildcards.source}.metadata: {error}{origin}"
            report_missing(wildcards.source, message)
        return []


def list_path(wildcards):
    return metadata_of(wildcards.source)["path"]


def list_format(wildcards):
    return metadata_of(wildcards.source)["format"]


def list_columns(wildcards):
    return metadata_of(wildcards.source)["columns"]


def needed_samples(wildcards):
    return experiment.needed(wildcards.source)


def is_mini(source):
    return "miniweb" in experiment.sources[source]["metadata"]


def miniweb_manifest(wildcards):
    """The manifest of a mini-source's pages, which the mini-web serves; nothing for other sources."""
    source = wildcards.source
    if is_mini(source):
        return [f"results/miniweb/{source}/manifest.json"]
    if metadata_of(source)["format"] == "wit" and not config["download"]["contact"]:
        report_missing(
            "contact",
            f"download.contact: source {source} asks Wikimedia, which wants to know whom to write to. Give it a page or "
            "mail address.",
        )
    return []


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


def download_options(wildcards):
    """The experiment's download options; the images of mini-sources come through the mini-web's own server.

    Jobs do not know of each other, so that each gets its part of what all together may ask of a host.
    """
    options = dict(config["download"])
    jobs = options.pop("jobs")
    options["requests_per_second"] /= jobs
    options["hosts"] = {host: rate / jobs for host, rate in options["hosts"].items()}
    return options | ({"proxy": "miniweb"} if is_mini(wildcards.source) else {})


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
