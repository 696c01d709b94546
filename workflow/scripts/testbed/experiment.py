"""The experiment: one YAML file, checked as a whole before any work, and the lists of targets that follow from it."""

import ipaddress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import jsonschema
import yaml

from testbed.ensembles import check_ensembles, common_sizes
from testbed.errors import ExperimentError
from testbed.filters import check_filters
from testbed.pools import ensemble_of
from testbed.tasks import TestsetError, task_of

CLIP_BENCHMARK_FILES = ("classnames.txt", "zeroshot_classification_templates.txt", "test/nshards.txt")


@dataclass(frozen=True)
class Model:
    """A trainset (the first `size` samples of `pool`), an architecture and a training seed.

    An ensemble of such models has the ensemble's name for `pool`.
    """

    pool: str
    architecture: str
    size: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.pool}-{self.architecture}-{self.size}-{self.seed}"


def is_integer(_: object, value: object) -> bool:
    """Unlike JSON schema's own integers, not 1000000.0: sizes and seeds become parts of file names."""
    return isinstance(value, int) and not isinstance(value, bool)


Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer),
)


def check_schema(config: dict, schema_path: Path | str) -> None:
    """Check `config` against the JSON schema; raises `ExperimentError` that names the key, its value and what is allowed."""
    schema = yaml.safe_load(Path(schema_path).read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(Validator(schema).iter_errors(config))
    if error is None:
        return
    key = ".".join(str(step) for step in error.absolute_path) or "the experiment"
    if error.validator == "additionalProperties" and isinstance(error.schema.get("properties"), dict):
        allowed = sorted(error.schema["properties"])
        unknown = sorted(set(error.instance) - set(allowed))
        raise ExperimentError(f"{key}: unknown key {', '.join(unknown)}. Allowed here: {', '.join(allowed)}.")
    hint = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    raise ExperimentError(f"{key}: {explain(error)}. {hint}".strip() + " See config/README.md.")


def explain(error: jsonschema.ValidationError) -> str:
    """What the schema refuses, in words that need no knowledge of JSON schema or of YAML's corners."""
    value = error.instance
    if error.validator == "oneOf":
        choices = " or ".join(" and ".join(choice["required"]) for choice in error.validator_value)
        return f"has {', '.join(value) or 'no key'}; give either {choices}"
    if error.validator == "dependentRequired":
        return f"{error.message}; path, format and columns belong together"
    if error.validator == "type" and value is None:
        return "has no value; give it one, or leave the key out"
    if error.validator == "type" and error.validator_value in ("integer", "number"):
        return f"{error.message}; write whole numbers as 1000000 and others as 0.003 or 3.0e-3 (3e-3 is text in YAML)"
    return error.message


def apportion(size: int, shares: dict[str, float]) -> dict[str, int]:
    """Whole numbers of samples per member that add up to `size`, as near to `shares` as whole numbers can be.

    Webster's divisor method, because it is house-monotone: a larger `size` never takes a sample away from a member, so
    that trainsets of a mixture are nested. Ties go to the member named first. `shares` need not add up to one.
    """
    total = sum(Fraction(str(share)) for share in shares.values())
    quota = {name: Fraction(str(share)) / total for name, share in shares.items()}
    counts = {name: int(size * share + Fraction(1, 2)) for name, share in quota.items()}
    half = Fraction(1, 2)
    while sum(counts.values()) < size:
        counts[min(quota, key=lambda name: (counts[name] + half) / quota[name])] += 1
    while sum(counts.values()) > size:
        last = reversed(list(quota))
        counts[max(last, key=lambda name: (counts[name] - half) / quota[name])] -= 1
    return counts


class Experiment:
    """The checked experiment.

    `config` is the experiment's YAML with all defaults filled in. Raises `ExperimentError` where names do not fit
    together or where a size cannot be reached; files are looked at by `check_files` alone.
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
        self._check_names()
        self._check_sizes()

    @property
    def pools(self) -> list[str]:
        return [*self.sources, *self.mixtures, *self.filters]

    @property
    def shifts(self) -> list[str]:
        return [name for name in self.classifications if name != self.reference]

    @property
    def classifications(self) -> list[str]:
        """The test sets that have accuracies, unlike those for retrieval and of several labels."""
        return [name for name, entry in self.testsets.items() if entry["task"] == "classification"]

    @property
    def class_maps(self) -> dict[str, str]:
        """Files that say which of the reference's classes a shift's classes are, by shift; of those that have one."""
        return {name: entry["classes"] for name, entry in self.testsets.items() if "classes" in entry}

    @property
    def baseline_pool(self) -> str | None:
        kind, _, name = self.config["statistics"]["baseline"].partition(":")
        return name if kind == "pool" else None

    def original(self, testset: str) -> str:
        """The test set whose images are corrupted to make `testset`."""
        return self.testsets[testset]["corrupt"].get("of", self.reference)

    def sizes(self, pool: str) -> list[int]:
        """The trainset sizes of `pool`; of an ensemble, those that all its members have, or some of them."""
        if pool in self.ensembles:
            return common_sizes(self, pool)
        own = (self.sources | self.mixtures | self.filters)[pool]
        return sorted(own.get("sizes", self.config["sizes"]))

    def models(self, pools: list[str] | None = None) -> list[Model]:
        """The models of `pools` (all pools by default), in the experiment's order."""
        return [
            Model(pool, architecture, size, seed)
            for pool in (self.pools if pools is None else pools)
            for architecture in self.config["architectures"]
            for size in self.sizes(pool)
            for seed in self.config["seeds"]
        ]

    def evaluated(self) -> list[Model]:
        """All models, and all ensembles of them."""
        return self.models([*self.pools, *self.ensembles])

    def ensemble_of(self, mixture: str) -> str | None:
        """The ensemble that averages logits of the members of `mixture` by its shares, the paper's other way to mix."""
        pools = self.plotted_pools()
        return ensemble_of(next(pool for pool in pools if pool["name"] == mixture), pools)

    def root(self, pool: str) -> str:
        """The source that `pool`, a source or a filter, begins with."""
        return self.root(self.filters[pool]["from"]) if pool in self.filters else pool

    def teacher(self, filter: str) -> Model | None:
        """The model of this experiment by which `filter` scores its pairs, or None."""
        teacher = self.filters[filter].get("teacher", {})
        if "pool" not in teacher:
            return None
        architecture = teacher.get("architecture", next(iter(self.config["architectures"])))
        return Model(teacher["pool"], architecture, teacher["size"], teacher.get("seed", self.config["seeds"][0]))

    def device_of_teacher(self, filter: str) -> str:
        """Where `filter` scores its pairs: cpu or cuda."""
        if model := self.teacher(filter):
            return self.config["architectures"][model.architecture]["device"]
        return self.filters[filter]["teacher"].get("device", "cuda")

    def members(self, mixture: str) -> dict[str, float]:
        """The pools of `mixture`, or of an ensemble, and their shares, scaled to add up to one."""
        shares = (self.mixtures | self.ensembles)[mixture]["shares"]
        return {name: share / sum(shares.values()) for name, share in shares.items()}

    def composition(self, pool: str, size: int) -> dict[str, int]:
        """How many samples of each source, and of each filter, the first `size` samples of `pool` hold."""
        if pool not in self.mixtures:
            return {pool: size}
        counts: dict[str, int] = {}
        for member, share in apportion(size, self.mixtures[pool]["shares"]).items():
            for source, count in self.composition(member, share).items():
                counts[source] = counts.get(source, 0) + count
        return counts

    def needed(self, source: str) -> int:
        """The largest number of samples that any trainset takes from `source`, a source or a filter, or from what is
        filtered out of it."""
        taken = (self.composition(pool, size).get(source, 0) for pool in self.pools for size in self.sizes(pool))
        filtered = (self.needed(name) for name, entry in self.filters.items() if entry["from"] == source)
        return max([0, *taken, *filtered])

    def parts(self, source: str) -> list[str]:
        """Names of the parts that the shuffled list of `source` is cut into."""
        count = -(-self.sources[source]["samples"] // self.config["shuffle"]["part_size"])
        return [f"{part:05d}" for part in range(count)]

    def kind(self, pool: str) -> str:
        """What `pool` is: a source, a mixture or a filter."""
        return "source" if pool in self.sources else "mixture" if pool in self.mixtures else "filter"

    def trained_from(self, pool: str) -> str | None:
        """The pool that a filter is compared with: of those that it is filtered from the nearest with models."""
        if pool not in self.filters:
            return None
        parent = self.filters[pool]["from"]
        return parent if self.sizes(parent) else self.trained_from(parent)

    def plotted_pools(self) -> list[dict]:
        """All pools and ensembles in order, as the plots draw them: name, kind, members of those that have some, and the
        pool that a filter is of."""
        baseline = self.baseline_pool
        pools = [
            {
                "name": pool,
                "kind": "baseline" if pool == baseline else self.kind(pool),
                "members": self.members(pool) if pool in self.mixtures else {},
                "of": self.trained_from(pool),
            }
            for pool in self.pools
        ]
        return pools + [
            {"name": name, "kind": "ensemble", "members": self.members(name), "average": entry["average"]}
            for name, entry in self.ensembles.items()
        ]

    def _check_names(self) -> None:
        both = sorted(set(self.pretrained) & set(self.config["architectures"]))
        if both:
            raise ExperimentError(f"pretrained.{both[0]}: is the name of an architecture too. Give it another name.")
        both = sorted(set(self.sources) & set(self.mixtures))
        if both:
            raise ExperimentError(f"mixtures.{both[0]}: is the name of a source too. Give the mixture another name.")
        for mixture in self.mixtures:
            self._check_mixture(mixture, ())
        check_ensembles(self)
        check_filters(self)
        for network in self.config["download"]["private_networks"]:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ExperimentError(
                    f"download.private_networks: {error}. Write an address (127.0.0.1) or a network (10.1.2.0/24)."
                ) from error
        for architecture in self.config["costs"]["trained_per_second"]:
            if architecture not in self.config["architectures"]:
                raise ExperimentError(
                    f"costs.trained_per_second: {architecture} is not an architecture. Name one of: "
                    f"{', '.join(self.config['architectures'])}."
                )
        if self.reference not in self.testsets:
            raise ExperimentError(
                f"reference: {self.reference} is not a test set. Name one of: {', '.join(self.testsets)}."
            )
        if self.reference not in self.classifications or not self.shifts:
            raise ExperimentError(
                f"testsets: the reference ({self.reference}) and at least one other have to be classifications. Set their "
                "task."
            )
        self._check_originals()
        self._check_claims()
        baseline = self.config["statistics"]["baseline"]
        if baseline.startswith("standard") and self.reference != "imagenet":
            raise ExperimentError(
                f"statistics.baseline: {baseline} models are measured on imagenet, and the reference is "
                f"{self.reference}. Set the baseline to pool:<name of a pool> or to none."
            )
        for name in self.class_maps:
            if name not in self.shifts:
                raise ExperimentError(
                    f"testsets.{name}.classes: {name} is no shift with classes of its own, but the reference or of another "
                    "task. Leave classes out."
                )
        if self.baseline_pool is not None and self.baseline_pool not in self.pools:
            raise ExperimentError(
                f"statistics.baseline: pool {self.baseline_pool} is not in the experiment. Name one of: "
                f"{', '.join(self.pools)}, or set it to none."
            )

    def _check_originals(self) -> None:
        corrupted = [name for name, entry in self.testsets.items() if "corrupt" in entry]
        whole = [name for name in self.classifications if name not in corrupted]
        for testset in corrupted:
            original = self.original(testset)
            if original not in whole:
                fault = "is corrupted itself" if original in corrupted else "is not a test set of a classification"
                raise ExperimentError(
                    f"testsets.{testset}.corrupt.of: {original} {fault}. Name one of: {', '.join(whole) or 'none'}; "
                    "where of is left out, it is the reference."
                )

    def _check_claims(self) -> None:
        for claim in self.claims:
            unknown = [name for name in claim["best"] if name not in self.sources]
            if unknown:
                raise ExperimentError(
                    f"claims: best names {unknown[0]}, which is not a source. Name some of: {', '.join(self.sources)}."
                )
            if claim["shift"] not in self.shifts:
                raise ExperimentError(
                    f"claims: {claim['shift']} is not a shift. Name one of: {', '.join(self.shifts)}."
                )

    def _check_mixture(self, mixture: str, above: tuple[str, ...]) -> None:
        if mixture in above:
            circle = " -> ".join([*above, mixture])
            raise ExperimentError(f"mixtures.{mixture}: contains itself ({circle}). Take one of them out.")
        for member in self.mixtures[mixture]["shares"]:
            if member in self.mixtures:
                self._check_mixture(member, (*above, mixture))
            elif member not in self.sources and member not in self.filters:
                raise ExperimentError(
                    f"mixtures.{mixture}.shares: {member} is not a pool of this experiment. Name one of: "
                    f"{', '.join(self.pools)}, or add it under sources."
                )

    def _check_sizes(self) -> None:
        for pool in self.pools:
            for size in self.sizes(pool):
                for member, count in self.composition(pool, size).items():
                    source = self.root(member)
                    available = self.sources[source]["samples"]
                    if count > available:
                        raise ExperimentError(
                            f"sizes: {size} samples of {pool} need {count} of source {source}, which has only "
                            f"{available} (sources.{source}.samples). Lower the size, or raise samples if the list has more."
                        )
        for model in self.models():
            batch = self.config["architectures"][model.architecture]["batch_size"]
            if model.size < batch:
                raise ExperimentError(
                    f"sizes: {model.size} samples of {model.pool} are fewer than one batch "
                    f"(architectures.{model.architecture}.batch_size: {batch}). Raise the size or lower batch_size."
                )


def check_testset(name: str, folder: Path | str) -> str:
    """Check that `folder` is a test set in CLIP_benchmark's local format; raises `ExperimentError` where it is not.

    Returns the path of the first file that it must hold: its class names, or the number of shards of one for image-text
    retrieval, which has captions instead.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ExperimentError(
            f"testsets.{name}.path: {folder} is not a folder. Put the test set there or change the path."
        )
    try:
        task = task_of(folder)
    except TestsetError as error:
        raise ExperimentError(f"testsets.{name}.path: {error}") from error
    needed = CLIP_BENCHMARK_FILES[-1:] if task == "retrieval" else CLIP_BENCHMARK_FILES
    for required in needed:
        if not (folder / required).is_file():
            raise ExperimentError(
                f"testsets.{name}.path: {folder / required} is missing. A test set holds {', '.join(needed)} "
                "and test/0.tar, test/1.tar, ... (CLIP_benchmark's local WebDataset format)."
            )
    count = (folder / "test/nshards.txt").read_text().strip()
    if not count.isdecimal() or int(count) == 0:
        raise ExperimentError(
            f"testsets.{name}.path: {folder}/test/nshards.txt says {count!r}, and not how many test/N.tar there are."
        )
    for shard in range(int(count)):
        if not (folder / "test" / f"{shard}.tar").is_file():
            raise ExperimentError(
                f"testsets.{name}.path: {folder}/test/{shard}.tar is missing, and test/nshards.txt promises it. "
                "Copy the test set again."
            )
    return str(folder / needed[0])
