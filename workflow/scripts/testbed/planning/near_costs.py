"""The cost of finding near-duplicates: hashes of images and of test images, and the search."""

from testbed.experiment.experiment import Experiment
from testbed.experiment.filter_checks import NEAR_METHODS
from testbed.experiment.products import filters_by
from testbed.planning.stages import HOUR, Expected, Stage


def near_stages(
    experiment: Experiment, expected: dict[str, Expected], read: dict[str, int], tested: dict[str, int | None]
) -> list[Stage]:
    """Return the stages that find near-duplicates.

    `read` is the number of samples that each filter begins with, and `tested` the number of images of each test set.
    """
    costs, filters = experiment.config["costs"], filters_by(experiment, *NEAR_METHODS)
    sources = list(dict.fromkeys(experiment.root(name) for name in filters))
    images = sum(expected[source].images for source in sources)
    against = list(dict.fromkeys(one for name in filters for one in experiment.filters[name].get("against", [])))
    known = sum(tested[name] or 0 for name in against)
    unknown = [name for name in against if tested[name] is None]
    compared = sum(read[name] for name in filters)
    return [
        Stage(
            "hash_images",
            f"{images:,} images",
            [f"results/hashes/{source}/manifest.json" for source in sources],
            disk=images * costs["hashed_kb"] / 1e6,
            cpu=images / costs["hashed_per_second"] / HOUR,
        ),
        Stage(
            "hash_testset",
            f"{known:,} images" + (f" and those of {', '.join(unknown)}" if unknown else ""),
            [f"results/testset_hashes/{name}/manifest.json" for name in against],
            disk=known * costs["hashed_kb"] / 1e6,
            cpu=known / costs["hashed_per_second"] / HOUR,
        ),
        Stage(
            "find_duplicates",
            f"{compared:,} samples",
            [f"results/duplicates/{name}/manifest.json" for name in filters],
            cpu=compared / costs["compared_per_second"] / HOUR,
        ),
    ]
