# What download.smk asks of the experiment.
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
