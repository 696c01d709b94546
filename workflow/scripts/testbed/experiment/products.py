"""Where the products of an experiment lie under results/, and which of them others are made from."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple

from testbed.experiment.experiment import Experiment, Model
from testbed.experiment.filter_checks import NEAR_METHODS
from testbed.experiment.pools import partner_of


def model_manifest(model: Model) -> str:
    return f"results/models/{model.name}/manifest.json"


def metrics_of(models: Iterable[Model]) -> list[str]:
    """The tables of metrics of `models`."""
    return [f"results/evaluations/{model.name}/metrics.csv" for model in models]


def predictions_of(models: Iterable[Model]) -> list[str]:
    """The predictions of `models`, which an evaluation writes beside its metrics."""
    return [f"results/evaluations/{model.name}/predictions.parquet" for model in models]


def model_columns(model: Model) -> dict:
    """The columns of evaluations.csv that name a model, or an ensemble of models."""
    return {"model": model.name, **vars(model)}


def pretrained_columns(experiment: Experiment, name: str) -> dict:
    """The same columns of a published checkpoint; size 0 stands for a number of samples that is not known."""
    architecture = experiment.pretrained[name]["model"]
    return {"model": name, "pool": "pretrained", "architecture": architecture, "size": 0, "seed": 0}


def is_mini(experiment: Experiment, source: str) -> bool:
    """Whether `source` is drawn by the mini-web."""
    return "miniweb" in experiment.sources[source].get("metadata", {})


def is_local(experiment: Experiment, source: str) -> bool:
    """Whether the images of `source` are in the user's own files, and it has no list."""
    return "metadata" not in experiment.sources[source]


def is_linked(experiment: Experiment, source: str) -> bool:
    """Whether the shards of `source` are links to the user's tars as they are."""
    return experiment.sources[source].get("shards", {}).get("as_is", False)


def is_retrieved(experiment: Experiment, source: str) -> bool:
    """Whether the list of `source` is fetched: a path, or the mini-web, comes before an address."""
    metadata = experiment.sources[source].get("metadata", {})
    return "retrieve" in metadata and not {"path", "miniweb"} & set(metadata)


def metadata_of(experiment: Experiment, source: str) -> dict:
    """Path, format and columns of a source's released list, also of one that is fetched or that the mini-web draws."""
    metadata = dict(experiment.sources[source]["metadata"])
    kind, address = metadata.pop("miniweb", None), metadata.pop("retrieve", None)
    made = {}
    if kind:
        made = {"path": f"results/miniweb/{source}/list", "format": "csv" if kind == "imagenet" else kind}
    elif address:
        made = {"path": f"results/lists/{source}/files/**/*", "format": address}
    return {"columns": {}, **made, **metadata}


def download_manifests(experiment: Experiment, source: str) -> list[str]:
    return [f"results/downloads/{source}/{part}/manifest.json" for part in experiment.parts(source)]


def part_folders(experiment: Experiment, source: str) -> list[list[str]]:
    """For each part of a source, its rows in the shuffled list and the folder of its downloads."""
    return [
        [f"results/shuffled/{source}/{part}.parquet", f"results/downloads/{source}/{part}"]
        for part in experiment.parts(source)
    ]


def testset_folder(experiment: Experiment, testset: str) -> str:
    return experiment.testsets[testset].get("path", f"results/testsets/{testset}")


def decoded_folder(testset: str, network: str) -> str:
    return f"results/decoded/{testset}-{network}"


def testset_folders(experiment: Experiment, network: str) -> dict[str, list[str]]:
    """For each test set, its folder and that of its images as they are decoded for `network`; sorted by name."""
    return {
        testset: [testset_folder(experiment, testset), decoded_folder(testset, network)]
        for testset in sorted(experiment.testsets)
    }


def teacher_manifest(experiment: Experiment, filter: str | None = None) -> str:
    """The manifest of the model that a filter scores with, or without a filter of the one that measures similarity.

    It is a model of the experiment, or a published checkpoint.
    """
    if model := experiment.teacher(filter):
        return model_manifest(model)
    return f"results/teachers/{filter}/manifest.json" if filter else "results/similarity_teacher/manifest.json"


def published_weights(entry: Mapping) -> dict:
    """The keys by which an entry of `pretrained`, or a filter's teacher, names published weights."""
    return {key: entry[key] for key in ("model", "tag", "checkpoint") if key in entry}


def curves_of(experiment: Experiment, pool: str) -> list[dict]:
    """For each model of a pool, sorted: its columns, its learning curve, and its batch size."""
    return [
        {
            "curve": f"results/models/{model.name}/training.csv",
            "batch_size": experiment.config["architectures"][model.architecture]["batch_size"],
            **vars(model),
        }
        for model in sorted(experiment.models([pool]), key=astuple)
    ]


def origins_of(experiment: Experiment, pool: str) -> dict[str, float]:
    """What a pool is compared with on its figure, and the shares: a mixture's or ensemble's members, a filter's origin."""
    if pool not in experiment.filters:
        return experiment.members(pool)
    origin = experiment.trained_from(pool)
    return {origin: 1.0} if origin else {}


def figure_metrics(experiment: Experiment, pool: str) -> list[str]:
    """The metrics on the figure of a mixture, filter or ensemble, sorted.

    They are of its own models, of those that it is made from, of the ensemble or mixture of the same shares, and of the
    baseline.
    """
    pools = experiment.plotted_pools()
    partner = partner_of(next(one for one in pools if one["name"] == pool), pools)
    shown = [pool, *origins_of(experiment, pool), partner, experiment.baseline_pool]
    return sorted(metrics_of(experiment.models(list(dict.fromkeys(one for one in shown if one)))))


def traced_models(experiment: Experiment) -> dict[str, dict]:
    """By name, every model that is evaluated: its columns, and the manifest that its lineage begins with.

    The lineage of an ensemble begins with its evaluation, so it has no manifest.
    """
    trained = {model.name: {**model_columns(model), "manifest": model_manifest(model)} for model in experiment.models()}
    published = {
        name: {**pretrained_columns(experiment, name), "manifest": f"results/pretrained/{name}/manifest.json"}
        for name in experiment.pretrained
    }
    averaged = {
        model.name: {**model_columns(model), "manifest": None}
        for model in experiment.models(list(experiment.ensembles))
    }
    return trained | published | averaged


def filters_by(experiment: Experiment, *methods: str) -> list[str]:
    """The filters of some methods."""
    return [name for name, entry in experiment.filters.items() if entry["method"] in methods]


def near_filters(experiment: Experiment, by: str) -> list[str]:
    """The filters that drop near-duplicates by hashes (`distance`) or by embeddings (`similarity`)."""
    return [name for name in filters_by(experiment, *NEAR_METHODS) if by in experiment.filters[name]]


def described_pools(experiment: Experiment) -> list[str]:
    """The sources and filters that have a card: those that a trainset takes samples from, and those behind them."""
    return [name for name in [*experiment.sources, *experiment.filters] if experiment.needed(name)]


def carded_pools(experiment: Experiment) -> list[str]:
    """The pools with a card: those that are described, and the mixtures of them."""
    return [*described_pools(experiment), *experiment.mixtures]


def mixed_pools(experiment: Experiment, mixture: str) -> dict[str, float]:
    """The shares of the sources and filters that the trainsets of `mixture` take samples from, also by other mixtures."""
    found: dict[str, float] = {}
    for member, share in experiment.members(mixture).items():
        inner = mixed_pools(experiment, member) if member in experiment.mixtures else {member: 1.0}
        for name, part in inner.items():
            found[name] = found.get(name, 0.0) + share * part
    return {name: share for name, share in sorted(found.items()) if experiment.needed(name)}


def overlapping_sources(experiment: Experiment) -> list[str]:
    """The sources in which near-duplicates of test images are counted: those with a card, unless a key switches it off."""
    cards = experiment.config["cards"]
    counted = described_pools(experiment) if cards["make"] and cards["overlap"] else []
    return [name for name in counted if name in experiment.sources]


def scores_with_classes(experiment: Experiment, pool: str) -> str | None:
    """The filter whose scores have the class of each image that the card of `pool` shows, or None.

    The card of a filter shows all samples of the pool that it selects from. Its own scores come first.
    """
    table = experiment.filters[pool]["from"] if pool in experiment.filters else pool
    scored = [
        name
        for name in sorted(filters_by(experiment, "clip_score"), key=lambda name: name != pool)
        if experiment.filters[name]["from"] == table and experiment.filters[name].get("per_class")
    ]
    return next((name for name in scored if experiment.needed(name)), None)


def card_entry(experiment: Experiment, pool: str) -> dict:
    """What a card says of a pool: its name, title, kind, the title of what a filter selects from, what is in a mixture."""
    entries = experiment.sources | experiment.filters | experiment.mixtures
    entry = {"name": pool, "title": entries[pool].get("title", pool), "kind": experiment.kind(pool)}
    if pool in experiment.filters:
        parent = experiment.filters[pool]["from"]
        entry["from"] = entries[parent].get("title", parent)
    if pool in experiment.mixtures:
        members = mixed_pools(experiment, pool)
        entry |= {"members": members, "titles": {name: entries[name].get("title", name) for name in members}}
    return entry


def largest_predictions(experiment: Experiment) -> dict[str, list[str]]:
    """By "pool/architecture/size": the predictions of all seeds, of the largest trainset of each described pool.

    Filters with other captions are left out: their descriptions count the captions that they select by.
    """
    found: dict[str, list[str]] = {}
    for pool in sorted(described_pools(experiment)):
        if "caption" in experiment.filters.get(pool, {}):
            continue
        largest = max(experiment.sizes(pool), default=0)
        for model in sorted(experiment.models([pool]), key=astuple):
            if model.size == largest:
                found.setdefault(f"{pool}/{model.architecture}/{largest}", []).extend(predictions_of([model]))
    return found


def compared_prefixes(experiment: Experiment) -> dict[str, list[int]]:
    """For each source and filter that trainsets take samples from: the numbers of its first samples that they take.

    The trainset of a mixture has prefixes of its members.
    """
    found: dict[str, set[int]] = {}
    for pool in experiment.pools:
        for size in experiment.sizes(pool):
            for member, count in experiment.composition(pool, size).items():
                found.setdefault(member, set()).add(count)
    return {member: sorted(counts - {0}) for member, counts in sorted(found.items()) if counts - {0}}


def compared_trainsets(experiment: Experiment) -> list[dict]:
    """Each trainset, sorted: pool, size, composition and, by architecture, the predictions of its models."""
    found: dict[tuple[str, int], dict[str, list[str]]] = {}
    for model in sorted(experiment.models(), key=astuple):
        files = found.setdefault((model.pool, model.size), {})
        files.setdefault(model.architecture, []).extend(predictions_of([model]))
    return [
        {"pool": pool, "size": size, "composition": experiment.composition(pool, size), "predictions": files}
        for (pool, size), files in found.items()
    ]
