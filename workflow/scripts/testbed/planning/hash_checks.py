"""What it costs to compare images with the hashes of their lists: CPU time only, because the bytes are fetched anyway."""

from collections.abc import Mapping

from testbed.experiment.experiment import Experiment
from testbed.lists.formats import JOINED, resolve_format
from testbed.lists.pairs import ListError
from testbed.planning.stages import HOUR


def hashed_sources(experiment: Experiment) -> dict[str, str]:
    """Return the sources whose images are compared with hashes, and the kind of hash (sha256 or md5)."""
    if not experiment.config["download"]["verify_hashes"]:
        return {}
    kinds = {}
    for name, source in experiment.sources.items():
        metadata = source.get("metadata", {})
        try:
            found = resolve_format(metadata["format"], metadata.get("columns")) if "format" in metadata else None
        except ListError:
            # Another check reports the columns.
            found = None
        if found and found.hash:
            kinds[name] = found.hash[0]
        elif "join" in metadata and metadata["format"] in JOINED:
            kinds[name] = "sha256"
    return kinds


def hash_hours(experiment: Experiment, images: Mapping[str, int]) -> dict[str, float]:
    """Return the core-hours of the hash checks of each source with hashes. `images` is the number of fetched images."""
    costs = experiment.config["costs"]
    seconds = costs["fetched_kb"] / 1000 / costs["hashed_mb_per_second"]
    return {name: images[name] * seconds / HOUR for name in hashed_sources(experiment)}
