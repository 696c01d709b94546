# What duplicates.smk asks of the experiment.
from testbed.experiment.filter_checks import NEAR_DISTANCE
from testbed.experiment.products import described_pools, near_filters


def root_hashes(wildcards):
    """The hashes of the images that the samples of a filter have."""
    return f"results/hashes/{experiment.root(wildcards.filter)}/manifest.json"


def testset_hashes(wildcards):
    """The hashes of the test images that a filter compares samples with, in its order."""
    against = experiment.filters[wildcards.filter].get("against", [])
    return [f"results/testset_hashes/{testset}/manifest.json" for testset in against]


def hashes_of_all_testsets(wildcards):
    """The hashes of the images of all test sets, in the order of the experiment."""
    return [
        f"results/testset_hashes/{testset}/manifest.json"
        for testset in experiment.testsets
    ]


def folders_of_all_testsets(wildcards):
    """The folder of each test set."""
    return {
        testset: testset_folder(experiment, testset)
        for testset in sorted(experiment.testsets)
    }


def overlaps(wildcards):
    """The near-duplicates that are counted in each source with a card."""
    sources = [
        name for name in described_pools(experiment) if name in experiment.sources
    ]
    return [f"results/overlap/{source}/manifest.json" for source in sources]
