# From parts of a shuffled list to images.
from testbed.experiment.products import is_mini, metadata_of
from testbed.planning.resources import download_memory


def miniweb_manifest(wildcards):
    """The manifest of the pages that the mini-web serves; nothing for sources of the real web."""
    source = wildcards.source
    is_wit = metadata_of(experiment, source)["format"] == "wit"
    if is_wit and not config["download"]["contact"]:
        report_missing(
            f"download.contact: source {source} asks Wikimedia, which wants to know whom to write to. Give it a page or "
            "mail address.",
        )
    mini = is_mini(experiment, source)
    return [f"results/miniweb/{source}/manifest.json"] if mini else []


def page_files(wildcards):
    source = wildcards.source
    mini = is_mini(experiment, source)
    return [f"results/miniweb/{source}/pages.parquet"] if mini else []


rule download_images:
    input:
        shuffled="results/shuffled/{source}/manifest.json",
        miniweb=miniweb_manifest,
    output:
        manifest="results/downloads/{source}/{part}/manifest.json",
    log:
        "results/logs/download_images/{source}-{part}.log",
    benchmark:
        "results/benchmarks/download_images/{source}-{part}.tsv"
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
        mem_mb=growing(download_memory(config["download"])),
        runtime=growing(720),
    params:
        part="results/shuffled/{source}/{part}.parquet",
        options=lookup(within=settings, dpath="download"),
        pages=page_files,
    message:
        "Downloading part {wildcards.part} of {wildcards.source}"
    script:
        "../scripts/download_images.py"
