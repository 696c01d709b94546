"""Which of an experiment's pools belong together: mixtures and their members, the ensembles and filters of the same."""

from collections.abc import Iterable, Mapping, Sequence

Pool = Mapping
"""An entry of `Experiment.plotted_pools`: `name`, `kind`, the `members` of mixtures and ensembles with their shares, what an
ensemble takes the `average` of, and the pool that a filter takes from as `of`."""


def in_order(pools: Mapping[str, Pool], config: Mapping) -> list[Pool]:
    """`pools`, by name, in the order of the experiment `config`; parameters are sorted, so that order reruns nothing."""
    sections = (config[section] for section in ("sources", "mixtures", "filters", "ensembles"))
    return [pools[name] for section in sections for name in section]


def testsets_in_order(testsets: Iterable[str], config: Mapping) -> list[str]:
    """`testsets` in the order of the experiment `config`, for the same reason."""
    chosen = set(testsets)
    return [name for name in config["testsets"] if name in chosen]


def mixtures_of(pools: Sequence[Pool], evaluated: Iterable[str]) -> list[Pool]:
    """The mixtures of which all members were evaluated, and they themselves too."""
    present = set(evaluated)
    return [
        pool for pool in pools if pool["kind"] == "mixture" and present.issuperset([pool["name"], *pool["members"]])
    ]


def ensemble_of(mixture: Pool, pools: Sequence[Pool]) -> str | None:
    """Name of the ensemble of logits with the mixture's members in the same shares, or None."""
    for pool in pools:
        averaged = pool.get("average", "logits") if pool["kind"] == "ensemble" else None
        if averaged == "logits" and shares_of(pool) == shares_of(mixture):
            return pool["name"]
    return None


def shares_of(pool: Pool) -> dict[str, float]:
    """The shares of a pool's members, scaled to add up to 1 and rounded, so that 1:2 and 2:4 are the same."""
    total = sum(pool["members"].values())
    return {name: round(share / total, 9) for name, share in pool["members"].items()}
