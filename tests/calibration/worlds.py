"""Simulated experiments with known truth: lines, trainsets, seeds, initialisations, and test images that all models share.

Models of a pool lie around its line on each shift, on the logit scale. Each image is as difficult as a normal number says
that all models share, models of one pool share another, and the rest is a model's own (a probit model of correctness).
`CORRELATION` gives correlations of correctness as measured in the demo with 126 models: 0.20 to 0.24 between pools and 0.23
to 0.35 within one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri

from testbed.statistics.joint_correct import JointCorrect

REFERENCE = "reference"
CORRELATION = (0.36, 0.10)
"""Shares of the variance of an image's difficulty that all models share, and that models of one pool share besides."""


@dataclass(frozen=True)
class World:
    """What is true of a simulated experiment.

    `lines` has for each pool its (slope, intercept) on every shift, at scaled reference accuracy 0. `sizes` (for each pool,
    or for all under `None`) are numbers of samples, and `reach` the scaled reference accuracies of the smallest and largest
    of all sizes. `trainset`, `seed` and `block` are standard deviations on the logit scale; `uneven` multiplies those of
    every second pool. `gains` are added to the scaled reference accuracies of pools, whose models stay on their lines. With
    `bend`, lines are curves that all bend alike: bend * x ** 2 is added.
    """

    lines: Mapping[str, Sequence[tuple[float, float]]]
    sizes: Mapping[str | None, Sequence[int]]
    reach: tuple[float, float] = (-1.2, 0.6)
    seeds: int = 1
    images: int | Sequence[int] = 1000
    trainset: float = 0.03
    seed: float = 0.06
    block: float = 0.04
    uneven: float = 1.0
    gains: Mapping[str, float] = field(default_factory=dict)
    bend: float = 0.0

    def sizes_of(self, pool: str) -> Sequence[int]:
        return self.sizes.get(pool, self.sizes.get(None, ()))


def simulate(world: World, rng: np.random.Generator) -> tuple[pd.DataFrame, JointCorrect]:
    """The table of evaluations of one run of `world`, and how often two models are right about one image."""
    models = pd.DataFrame(
        [(pool, size, seed) for pool in world.lines for size in world.sizes_of(pool) for seed in range(world.seeds)],
        columns=["pool", "size", "seed"],
    )
    models["model"] = [f"{pool}-rn-{size}-{seed}" for pool, size, seed in models.to_numpy()]
    shifts = len(next(iter(world.lines.values())))
    scaled = _scaled(world, models, shifts, rng)
    sizes = [world.images] * (shifts + 1) if np.isscalar(world.images) else world.images
    tables, counts = [], []
    for number, (accuracy, n) in enumerate(zip(expit(scaled), sizes, strict=True)):
        testset = REFERENCE if number == 0 else f"shift_{number}"
        both = _joint_correct(accuracy, pd.factorize(models["pool"])[0], n, rng)
        correct = both.diagonal()
        tables.append(
            models.assign(
                architecture="rn",
                testset=testset,
                classes="all",
                n=n,
                correct=correct,
                value=correct / n,
                metric="top1",
            )
        )
        first, second = np.triu_indices(len(models))
        names = models["model"].to_numpy()
        counts.append(
            pd.DataFrame(
                {"testset": testset, "classes": "all", "model": names[first], "other": names[second], "n": n}
            ).assign(both=both[first, second])
        )
    return pd.concat(tables, ignore_index=True), JointCorrect(pd.concat(counts, ignore_index=True))


def _scaled(world: World, models: pd.DataFrame, shifts: int, rng: np.random.Generator) -> np.ndarray:
    """True scaled accuracies (1 + shifts, models): the reference first."""
    every = sorted({size for pool in world.lines for size in world.sizes_of(pool)})
    place = np.log(models["size"] / every[0]) / max(np.log(every[-1] / every[0]), 1e-9)
    pools, names = pd.factorize(models["pool"])
    trainsets = pd.factorize(pd.MultiIndex.from_frame(models[["pool", "size"]]))[0]
    blocks = pd.factorize(pd.MultiIndex.from_frame(models[["size", "seed"]]))[0]
    uneven = np.where(pools % 2, world.uneven, 1.0)
    x = world.reach[0] + (world.reach[1] - world.reach[0]) * place.to_numpy()
    x = x + rng.normal(0, 0.1, trainsets.max() + 1)[trainsets] + rng.normal(0, 0.08, len(models))
    x = x + np.array([world.gains.get(name, 0.0) for name in names])[pools]
    # A training that is lucky on the reference is below the line on every shift.
    luck = uneven * rng.normal(0, 0.5 * world.seed, len(models))
    rows = [x]
    for shift in range(shifts):
        slope, intercept = np.array([world.lines[name][shift] for name in names])[pools].T
        noise = uneven * (
            rng.normal(0, world.trainset, trainsets.max() + 1)[trainsets]
            + rng.normal(0, np.sqrt(0.75) * world.seed, len(models))
        )
        noise = noise + rng.normal(0, world.block, blocks.max() + 1)[blocks] - luck
        rows.append(slope * x + intercept + world.bend * x**2 + noise)
    return np.stack(rows)


def _joint_correct(accuracy: np.ndarray, pools: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Images (models, models) of `n` that two models both classify correctly."""
    shared, own = CORRELATION
    both = np.zeros((len(accuracy), len(accuracy)))
    threshold = ndtri(accuracy).astype(np.float32)[:, None]
    for start in range(0, n, 10_000):
        images = min(10_000, n - start)
        difficulty = np.sqrt(shared) * rng.standard_normal(images, dtype=np.float32)
        of_pool = np.sqrt(own) * rng.standard_normal((pools.max() + 1, images), dtype=np.float32)
        alone = rng.standard_normal((len(accuracy), images), dtype=np.float32)
        hits = (difficulty + of_pool[pools] + np.float32(np.sqrt(1 - shared - own)) * alone < threshold).astype(
            np.float32
        )
        both += hits @ hits.T
    return both
