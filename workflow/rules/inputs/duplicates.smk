# What duplicates.smk asks of the experiment.


def root_hashes(wildcards):
    """The hashes of the images that the samples of a filter have."""
    return f"results/hashes/{experiment.root(wildcards.filter)}/manifest.json"


def testset_hashes(wildcards):
    """The hashes of the test images that a filter compares samples with, in its order."""
    against = experiment.filters[wildcards.filter].get("against", [])
    return [f"results/testset_hashes/{testset}/manifest.json" for testset in against]
