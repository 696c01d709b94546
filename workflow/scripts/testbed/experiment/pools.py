"""Relations between pools: mixtures, their members, and the ensembles with the same members."""

from collections.abc import Iterable, Mapping, Sequence

Pool = Mapping
"""An entry of `Experiment.plotted_pools`: `name`; `kind`; `title`, if it has one; `members`, the members of a mixture or
ensemble and their shares; `average`, what an ensemble averages; `of`, the pool that a filter is compared with;
`control_of`, the filter that keeps as many samples as this random one; `against`,
the shifts whose near-duplicates a filter drops."""


def in_order(pools: Mapping[str, Pool], config: Mapping) -> list[Pool]:
    """Return `pools` in the order of the experiment `config`. Rule parameters are sorted by name: order causes no rerun."""
    sections = (config[section] for section in ("sources", "mixtures", "filters", "ensembles"))
    return [pools[name] for section in sections for name in section]


def testsets_in_order(testsets: Iterable[str], config: Mapping) -> list[str]:
    """Return `testsets` in the order of the experiment `config`, for the same reason."""
    chosen = set(testsets)
    return [name for name in config["testsets"] if name in chosen]


def mixtures_of(pools: Sequence[Pool], evaluated: Iterable[str]) -> list[Pool]:
    """Return the mixtures that were evaluated, as were all their members."""
    present = set(evaluated)
    return [
        pool for pool in pools if pool["kind"] == "mixture" and present.issuperset([pool["name"], *pool["members"]])
    ]


def ensemble_of(mixture: Pool, pools: Sequence[Pool]) -> str | None:
    """Return the name of the first ensemble of outputs with the mixture's members and shares, or None."""
    for pool in pools:
        of_outputs = pool["kind"] == "ensemble" and pool.get("average") != "weights"
        if of_outputs and shares_of(pool) == shares_of(mixture):
            return pool["name"]
    return None


def partner_of(pool: Pool, pools: Sequence[Pool]) -> str | None:
    """Return what has a mixture's members and shares, or an ensemble's: the ensemble, or the mixture; or None.

    Of a filter, return its random control, and of a control its filter.
    """
    if pool["kind"] == "mixture":
        return ensemble_of(pool, pools)
    if pool["kind"] in ("filter", "baseline"):
        controls = (other["name"] for other in pools if other.get("control_of") == pool["name"])
        return pool.get("control_of") or next(controls, None)
    for other in pools:
        if pool["kind"] == "ensemble" and other["kind"] == "mixture" and ensemble_of(other, pools) == pool["name"]:
            return other["name"]
    return None


def shares_of(pool: Pool) -> dict[str, float]:
    """Return the shares of a pool's members, scaled to add up to 1 and rounded: 1:2 and 2:4 are equal."""
    total = sum(pool["members"].values())
    return {name: round(share / total, 9) for name, share in pool["members"].items()}


def ensembles_of(pools: Sequence[Pool]) -> list[str]:
    """Return the names of the ensembles among `pools`."""
    return [pool["name"] for pool in pools if pool["kind"] == "ensemble"]
