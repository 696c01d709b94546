"""Readable names of test sets and pools, for figures and statements."""

from testbed.experiment.pools import Pool

TITLES = {
    "imagenet": "ImageNet",
    "imagenet-v2": "ImageNet-V2",
    "imagenet-r": "ImageNet-R",
    "imagenet-sketch": "ImageNet-Sketch",
    "imagenet-a": "ImageNet-A",
    "objectnet": "ObjectNet",
    "mini_imagenet": "Mini-ImageNet",
    "mini_v2": "Mini-V2",
    "mini_rendition": "Mini-Rendition",
    "mini_sketch": "Mini-Sketch",
    "mini_objectnet": "Mini-ObjectNet",
}


def title_of(testset: str) -> str:
    """The readable name of a test set: the usual spelling of a known one, otherwise the name without underscores."""
    return TITLES.get(testset, testset.replace("_", " "))


def title_of_pool(pool: Pool) -> str:
    """Return the name of a pool for figures: its title, or its name."""
    return pool.get("title") or pool["name"]
