"""The cost of measuring how near test images are to training images: embeddings, and the search."""

from testbed.experiment.experiment import Experiment
from testbed.experiment.products import compared_prefixes, near_filters
from testbed.planning.stages import HOUR, Expected, Stage

EMBEDDING = 512
"""Numbers in an embedding of ViT-B/32."""

FLOPS = {"cpu": 5e10, "cuda": 2e13}
"""Operations per second of matrix products in float32, of one core and of a GPU. Both are on the safe side."""


def similarity_stages(
    experiment: Experiment, expected: dict[str, Expected], read: dict[str, int], tested: dict[str, int | None]
) -> list[Stage]:
    """Return the stages that measure similarity, and filter by it; none without a teacher.

    `read` is the number of samples that each filter begins with, and `tested` the number of images of each test set.
    """
    if not experiment.config["similarity"]:
        return []
    costs, prefixes = experiment.config["costs"], compared_prefixes(experiment)
    sources = list(dict.fromkeys(experiment.root(pool) for pool in prefixes))
    images = sum(expected[source].images for source in sources)
    known = sum(count or 0 for count in tested.values())
    unknown = [name for name, count in tested.items() if count is None]
    compared = sum(sizes[-1] for sizes in prefixes.values())
    filters = near_filters(experiment, "similarity")
    device, workers = experiment.device_of_teacher(), 1 + experiment.config["evaluation"]["workers"]

    def on_device(seconds: float) -> dict[str, float]:
        hours = seconds / HOUR
        return {"cpu": hours * workers, "gpu": hours if device == "cuda" else 0.0}

    def compare(pairs: float) -> dict[str, float]:
        # A product and a sum for each number of an embedding.
        return on_device(2 * pairs * EMBEDDING / FLOPS[device])

    def pairs_of(name: str) -> float:
        against = experiment.filters[name].get("against")
        return read[name] * (sum(tested[one] or 0 for one in against) if against else read[name] / 2)

    return [
        Stage(
            "embed_images",
            f"{images:,} images",
            [f"results/embeddings/{source}/manifest.json" for source in sources],
            disk=images * costs["embedded_kb"] / 1e6,
            **on_device(images / costs["scored_per_second"]),
        ),
        Stage(
            "embed_testset",
            f"{known:,} images" + (f" and those of {', '.join(unknown)}" if unknown else ""),
            [f"results/testset_embeddings/{name}/manifest.json" for name in tested],
            disk=known * costs["embedded_kb"] / 1e6,
            **on_device(known / costs["scored_per_second"]),
        ),
        Stage(
            "measure_similarity",
            f"{compared:,} samples",
            [f"results/similarity/{pool}/manifest.json" for pool in prefixes],
            **compare(compared * known),
        ),
        Stage(
            "find_similar",
            f"{sum(read[name] for name in filters):,} samples",
            [f"results/duplicates/{name}/manifest.json" for name in filters],
            **compare(sum(pairs_of(name) for name in filters)),
        ),
    ]
