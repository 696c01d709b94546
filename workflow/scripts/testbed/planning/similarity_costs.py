"""The cost of measuring how near test images are to training images: embeddings, and the search."""

from testbed.experiment.experiment import Experiment
from testbed.experiment.products import compared_prefixes
from testbed.planning.stages import HOUR, Expected, Stage

EMBEDDING = 512
"""Numbers in an embedding of ViT-B/32."""

FLOPS = {"cpu": 5e10, "cuda": 2e13}
"""Operations per second of matrix products in float32, of one core and of a GPU. Both are on the safe side."""


def similarity_stages(
    experiment: Experiment, expected: dict[str, Expected], tested: dict[str, int | None]
) -> list[Stage]:
    """Return the stages that measure similarity; none without a teacher. `tested` has the images of each test set."""
    if not experiment.config["similarity"]:
        return []
    costs, prefixes = experiment.config["costs"], compared_prefixes(experiment)
    sources = list(dict.fromkeys(experiment.root(pool) for pool in prefixes))
    images = sum(expected[source].images for source in sources)
    known = sum(count or 0 for count in tested.values())
    unknown = [name for name, count in tested.items() if count is None]
    compared = sum(sizes[-1] for sizes in prefixes.values())
    # A product and a sum for each number of an embedding.
    operations = 2 * compared * known * EMBEDDING
    device, workers = experiment.device_of_teacher(), 1 + experiment.config["evaluation"]["workers"]

    def on_device(seconds: float) -> dict[str, float]:
        hours = seconds / HOUR
        return {"cpu": hours * workers, "gpu": hours if device == "cuda" else 0.0}

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
            **on_device(operations / FLOPS[device]),
        ),
    ]
