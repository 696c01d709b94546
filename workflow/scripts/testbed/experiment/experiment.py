"""The experiment: one YAML file, checked as a whole before any work, and the lists of targets derived from it."""

from dataclasses import dataclass
from fractions import Fraction

from testbed.experiment.errors import ExperimentError
from testbed.experiment.pools import ensemble_of
from testbed.experiment.settings import quotas


@dataclass(frozen=True)
class Model:
    """A trainset (the first `size` samples of `pool`), an architecture and a training seed.

    For an ensemble of such models, `pool` is the name of the ensemble.
    """

    pool: str
    architecture: str
    size: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.pool}-{self.architecture}-{self.size}-{self.seed}"


def apportion(size: int, shares: dict[str, float]) -> dict[str, int]:
    """Return whole numbers of samples per member that add up to `size` and are as close to `shares` as possible.

    This is Webster's divisor method. It is house-monotone: a larger `size` never gives a member fewer samples, so the
    trainsets of a mixture are nested. Ties go to the name that sorts first. `shares` need not add up to one.
    """
    quota = quotas(shares)
    counts = {name: int(size * share + Fraction(1, 2)) for name, share in quota.items()}
    half = Fraction(1, 2)
    while sum(counts.values()) < size:
        counts[min(quota, key=lambda name: (counts[name] + half) / quota[name])] += 1
    while sum(counts.values()) > size:
        last = reversed(list(quota))
        counts[max(last, key=lambda name: (counts[name] - half) / quota[name])] -= 1
    return counts


class Experiment:
    """The experiment `config`: its YAML with all defaults filled in.

    The methods are valid after `testbed.experiment.checks` has found no problem.
    """

    def __init__(self, config: dict):
        self.config = config
        self.sources: dict[str, dict] = config["sources"]
        self.mixtures: dict[str, dict] = config["mixtures"]
        self.ensembles: dict[str, dict] = config["ensembles"]
        self.filters: dict[str, dict] = config["filters"]
        self.testsets: dict[str, dict] = config["testsets"]
        self.pretrained: dict[str, dict] = config["pretrained"]
        self.reference: str = config["reference"]
        self.claims: list[dict] = config["claims"]

    @property
    def pools(self) -> list[str]:
        return [*self.sources, *self.mixtures, *self.filters]

    @property
    def shifts(self) -> list[str]:
        return [name for name in self.classifications if name != self.reference]

    @property
    def classifications(self) -> list[str]:
        """The test sets with the task classification, which have an accuracy. Retrieval and multi-label sets have none."""
        return [name for name, entry in self.testsets.items() if entry["task"] == "classification"]

    @property
    def class_maps(self) -> dict[str, str]:
        """The files that map a shift's classes to the reference's, by shift, for the shifts that have one."""
        return {name: entry["classes"] for name, entry in self.testsets.items() if "classes" in entry}

    @property
    def baseline_pool(self) -> str | None:
        kind, _, name = self.config["statistics"]["baseline"].partition(":")
        return name if kind == "pool" else None

    def original(self, testset: str) -> str:
        """Return the test set whose images are corrupted to make `testset`."""
        return self.testsets[testset]["corrupt"].get("of", self.reference)

    def sizes(self, pool: str) -> list[int]:
        """Return the trainset sizes of `pool`. Those of an ensemble are common to all its members, or a part of these."""
        if pool in self.ensembles:
            entry = self.ensembles[pool]
            common = set.intersection(*(set(self.sizes(member)) for member in entry["shares"]))
            return sorted(entry.get("sizes", common))
        own = (self.sources | self.mixtures | self.filters)[pool]
        if "as_many_as" in own and "sizes" not in own:
            # A control has the sizes of the filter that it is compared with.
            return self.sizes(own["as_many_as"])
        return sorted(own.get("sizes", self.config["sizes"]))

    def sizes_key(self, pool: str) -> str:
        """Return the key of the experiment that sets the sizes of `pool`."""
        for section in ("sources", "mixtures", "filters"):
            if "sizes" in self.config[section].get(pool, {}):
                return f"{section}.{pool}.sizes"
        controlled = self.filters.get(pool, {}).get("as_many_as")
        return self.sizes_key(controlled) if controlled else "sizes"

    def models(self, pools: list[str] | None = None) -> list[Model]:
        """Return the models of `pools` (all pools by default), in the experiment's order."""
        return [
            Model(pool, architecture, size, seed)
            for pool in (self.pools if pools is None else pools)
            for architecture in self.config["architectures"]
            for size in self.sizes(pool)
            for seed in self.config["seeds"]
        ]

    def evaluated(self) -> list[Model]:
        """Return all models and all ensembles of models."""
        return self.models([*self.pools, *self.ensembles])

    def ensemble_of(self, mixture: str) -> str | None:
        """Return the ensemble that averages logits of the members of `mixture` by its shares (the paper's output mixing)."""
        pools = self.plotted_pools()
        return ensemble_of(next(pool for pool in pools if pool["name"] == mixture), pools)

    def root(self, pool: str) -> str:
        """Return the source that `pool`, a source or a filter, is derived from."""
        return self.root(self.filters[pool]["from"]) if pool in self.filters else pool

    def teacher_entry(self, filter: str | None = None) -> tuple[str, dict]:
        """Return the key and the entry of the teacher of `filter`, or of `similarity`; {} if it has none.

        A filter that drops near-duplicates by their similarity has the teacher of `similarity`.
        """
        if filter is None or "similarity" in self.filters[filter]:
            return "similarity.teacher", self.config["similarity"].get("teacher", {})
        return f"filters.{filter}.teacher", self.filters[filter].get("teacher", {})

    def teacher(self, filter: str | None = None) -> Model | None:
        """Return the model of this experiment that scores the pairs of `filter`, or None.

        Without `filter`, it is the model that measures similarity. Its seed is the lowest unless it is given. Raises
        `ExperimentError` if its architecture is missing and the experiment has several. Their order in the file has no
        meaning, and it changes if a second file is merged.
        """
        section, teacher = self.teacher_entry(filter)
        if "pool" not in teacher:
            return None
        architectures = list(self.config["architectures"])
        if "architecture" not in teacher and len(architectures) > 1:
            raise ExperimentError(
                f"{section}: has no architecture, and this experiment has several. Add architecture: one of "
                f"{', '.join(architectures)}."
            )
        architecture = teacher.get("architecture", architectures[0])
        return Model(teacher["pool"], architecture, teacher["size"], teacher.get("seed", min(self.config["seeds"])))

    def device_of_teacher(self, filter: str | None = None) -> str:
        """Return the device on which the teacher of `filter`, or of `similarity`, runs: cpu or cuda."""
        if model := self.teacher(filter):
            return self.config["architectures"][model.architecture]["device"]
        return self.teacher_entry(filter)[1].get("device", "cuda")

    def members(self, mixture: str) -> dict[str, float]:
        """Return the pools of `mixture` or of an ensemble, sorted, with their shares scaled to add up to one."""
        shares = (self.mixtures | self.ensembles)[mixture]["shares"]
        return {name: float(quota) for name, quota in quotas(shares).items()}

    def composition(self, pool: str, size: int) -> dict[str, int]:
        """Return how many of the first `size` samples of `pool` are from each source and filter, sorted by name."""
        if pool not in self.mixtures:
            return {pool: size}
        counts: dict[str, int] = {}
        for member, share in apportion(size, self.mixtures[pool]["shares"]).items():
            for source, count in self.composition(member, share).items():
                counts[source] = counts.get(source, 0) + count
        return dict(sorted(counts.items()))

    def needed(self, source: str) -> int:
        """Return the largest number of samples that any trainset takes from `source` (a source or filter) or its filters."""
        taken = (self.composition(pool, size).get(source, 0) for pool in self.pools for size in self.sizes(pool))
        filtered = (self.needed(name) for name, entry in self.filters.items() if entry["from"] == source)
        return max([0, *taken, *filtered])

    def parts(self, source: str) -> list[str]:
        """Return the names of the parts of the shuffled list of `source` that are downloaded; none of a source of tars."""
        if "metadata" not in self.sources[source]:
            return []
        count = -(-self.sources[source]["samples"] // self.config["shuffle"]["part_size"])
        return [f"{part:05d}" for part in range(count)]

    def kind(self, pool: str) -> str:
        """Return the kind of `pool`: source, mixture or filter."""
        return "source" if pool in self.sources else "mixture" if pool in self.mixtures else "filter"

    def trained_from(self, pool: str) -> str | None:
        """Return the pool that a filter is compared with: its nearest ancestor with models, or None."""
        if pool not in self.filters:
            return None
        parent = self.filters[pool]["from"]
        return parent if self.sizes(parent) else self.trained_from(parent)

    def _selection_of(self, pool: str) -> dict:
        """Return what a random control has as many samples as, or the shifts whose near-duplicates a filter drops."""
        entry = self.filters.get(pool, {})
        if "as_many_as" in entry:
            return {"control_of": entry["as_many_as"]}
        return {"against": [one for one in self.shifts if one in entry["against"]]} if "against" in entry else {}

    def plotted_pools(self) -> list[dict]:
        """Return all pools and ensembles in order, for plots: see `testbed.experiment.pools.Pool`."""
        entries = self.sources | self.mixtures | self.filters | self.ensembles
        baseline = self.baseline_pool
        pools = [
            {
                "name": pool,
                "kind": "baseline" if pool == baseline else self.kind(pool),
                "members": self.members(pool) if pool in self.mixtures else {},
                "of": self.trained_from(pool),
                **self._selection_of(pool),
            }
            for pool in self.pools
        ]
        pools += [
            {"name": name, "kind": "ensemble", "members": self.members(name), "average": entry["average"]}
            for name, entry in self.ensembles.items()
        ]
        titles = {name: entry["title"] for name, entry in entries.items() if "title" in entry}
        return [pool | ({"title": titles[pool["name"]]} if pool["name"] in titles else {}) for pool in pools]
