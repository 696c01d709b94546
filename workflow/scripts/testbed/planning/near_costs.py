"""The cost of finding near-duplicates, for filters and cards: hashes of images and of test images, and the search."""

from testbed.experiment.experiment import Experiment
from testbed.experiment.products import near_filters, overlapping_sources
from testbed.planning.stages import HOUR, Expected, Stage


def near_stages(
    experiment: Experiment, expected: dict[str, Expected], read: dict[str, int], tested: dict[str, int | None]
) -> list[Stage]:
    """Return the stages that find near-duplicates.

    `read` is the number of samples that each filter begins with, and `tested` the number of images of each test set.
    """
    costs, filters = experiment.config["costs"], near_filters(experiment, "distance")
    counted = overlapping_sources(experiment)
    sources = list(dict.fromkeys([*counted, *(experiment.root(name) for name in filters)]))
    images = sum(expected[source].images for source in sources)
    named = [one for name in filters for one in experiment.filters[name].get("against", [])]
    # Sources with a card are compared with every test set.
    against = list(dict.fromkeys([*(experiment.testsets if counted else []), *named]))
    known = sum(tested[name] or 0 for name in against)
    unknown = [name for name in against if tested[name] is None]
    compared = sum(read[name] for name in filters)
    overlapping = sum(expected[source].images for source in counted)
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
        Stage(
            "measure_overlap",
            f"{overlapping:,} samples",
            [f"results/overlap/{source}/manifest.json" for source in counted],
            cpu=overlapping / costs["compared_per_second"] / HOUR,
        ),
    ]
