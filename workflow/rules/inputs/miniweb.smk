# What miniweb.smk asks of the experiment.
from testbed.miniweb.world import NEAR_TESTSETS


def images_near(wildcards):
    """The number of images in each test set, for a source with near-duplicates of them; 0 for others, which stay as they are."""
    kind = experiment.sources[wildcards.source]["metadata"]["miniweb"]
    return settings["miniweb"]["testset_images"] if kind == NEAR_TESTSETS else 0
