"""The estimated cost of each stage of an experiment, from its `costs`, and which of its products exist.

Facts about released lists are in resources/sources.csv, and about test sets in resources/testsets.csv.
"""

from collections.abc import Mapping
from pathlib import Path

from testbed.evaluation.testsets import expected_counts
from testbed.experiment.experiment import Experiment
from testbed.experiment.products import compared_prefixes, described_pools, is_linked, is_local
from testbed.lists.pairs import ListError
from testbed.lists.released import count_rows
from testbed.local.remote_tars import is_fetched
from testbed.planning.hash_checks import hash_hours
from testbed.planning.local_costs import index_stages, local_shard_stages
from testbed.planning.near_costs import near_stages
from testbed.planning.retrieval_costs import retrieval_stages, tar_stages
from testbed.planning.similarity_costs import similarity_stages
from testbed.planning.stages import HOUR, Expected, Length, Stage, counted


def length_of(source: str, metadata: dict) -> Length | None:
    """Return the length of the list of `source`; None if it is not available or takes long to count (`count_rows`)."""
    if length := counted(source):
        return length
    if "path" not in metadata or "miniweb" in metadata:
        return None
    try:
        rows = count_rows(**{key: value for key, value in metadata.items() if key != "retrieve"})
    except ListError:
        return None
    return None if rows is None else Length(rows)


def expectations(
    experiment: Experiment, known: dict[str, dict[str, str]], lengths: Mapping[str, Length | None]
) -> dict[str, Expected]:
    """Return what to expect of each source.

    It depends on the length of its list (`length_of`) and on what is `known` of released lists (`released_sources`) or set
    in `costs`.
    """
    expected = {}
    for name, source in experiment.sources.items():
        facts = known.get(source.get("metadata", {}).get("format"), {})
        success = float(facts.get("expected_success", experiment.config["costs"]["success"]))
        # A list has its length, however many samples are requested. If rows are dropped, it gives fewer.
        length = lengths.get(name)
        # Of tars that are not fetched yet, nothing is known but what the experiment needs.
        guess = experiment.needed(name) if is_fetched(source.get("shards", {})) else 0
        rows = length.rows if length else int(facts.get("rows") or source.get("samples", guess))
        pairs = length.pairs if length else rows
        # Images in local files need no download.
        success = 1.0 if is_local(experiment, name) else success
        expected[name] = Expected(min(source.get("samples", pairs), pairs), success, rows, length)
    return expected


def images_of_testsets(experiment: Experiment, table: Path | str) -> dict[str, int | None]:
    """Return the number of images of each test set, from `table` (resources/testsets.csv) and the experiment, or None."""
    images = {}
    for name, entry in experiment.testsets.items():
        origin = experiment.testsets[experiment.original(name)] if "corrupt" in entry else entry
        if "retrieve" in origin:
            images[name] = expected_counts(table, origin["retrieve"])["images"]
        else:
            images[name] = experiment.config["miniweb"]["testset_images"] if "miniweb" in origin else None
    return images


def training_hours(experiment: Experiment) -> tuple[float | None, float | None]:
    """Return the core-hours and GPU-hours of all trainings; None if the rate of an architecture is missing.

    samples seen / (samples per second and device) = seconds of one device, for any number of devices.
    """
    rates = experiment.config["costs"]["trained_per_second"]
    cpu = gpu = 0.0
    for model in experiment.models():
        architecture = experiment.config["architectures"][model.architecture]
        if model.architecture not in rates:
            return None, None
        hours = model.size * architecture["epochs"] / rates[model.architecture] / HOUR
        cpu += hours * (1 + architecture["workers"])
        gpu += hours if architecture["gpus"] else 0.0
    return cpu, gpu


def stages_of_testsets(experiment: Experiment, images: dict[str, int | None]) -> list[Stage]:
    """Return the stages that prepare test sets for evaluation. `images` is the number of images of each test set."""
    costs, testsets = experiment.config["costs"], experiment.testsets
    fetched = [name for name, entry in testsets.items() if "retrieve" in entry]
    corrupted = [name for name, entry in testsets.items() if "corrupt" in entry]
    networks = [*experiment.config["architectures"], *experiment.pretrained]
    to_fetch, to_corrupt, each = (sum(images[name] or 0 for name in names) for names in (fetched, corrupted, testsets))
    to_decode = each * len(networks)
    return [
        Stage(
            "retrieve_testset",
            describe_images(to_fetch, fetched, images),
            [f"results/testsets/{name}/manifest.json" for name in fetched],
            disk=to_fetch * costs["testset_kb"] / 1e6,
            network=to_fetch * costs["testset_kb"] / 1e6,
        ),
        Stage(
            "corrupt_testset",
            describe_images(to_corrupt, corrupted, images),
            [f"results/testsets/{name}/manifest.json" for name in corrupted],
            disk=to_corrupt * costs["testset_kb"] / 1e6,
            cpu=to_corrupt / costs["corrupted_per_second"] / HOUR,
        ),
        Stage(
            "decode_testset",
            describe_images(to_decode, list(testsets), images),
            [f"results/decoded/{name}-{network}/manifest.json" for name in testsets for network in networks],
            disk=to_decode * costs["decoded_kb"] / 1e6,
            cpu=to_decode / costs["decoded_per_second"] / HOUR,
        ),
    ]


def describe_images(count: int, testsets: list[str], images: dict[str, int | None]) -> str:
    """Return the work of a stage as text: `count` images, and the names of the `testsets` with an unknown number."""
    unknown = [name for name in testsets if images[name] is None]
    return f"{count:,} images" + (f" and those of {', '.join(unknown)}" if unknown else "")


def maximum_samples(experiment: Experiment, expected: dict[str, Expected], pool: str) -> int:
    """Return the maximum number of samples of a source or filter. Only a `fraction` is a known share."""
    if pool in experiment.sources:
        return expected[pool].images
    entry = experiment.filters[pool]
    if "as_many_as" in entry:
        return maximum_samples(experiment, expected, entry["as_many_as"])
    return round(maximum_samples(experiment, expected, entry["from"]) * entry.get("fraction", 1))


def filter_stages(experiment: Experiment, expected: dict[str, Expected], tested: dict[str, int | None]) -> list[Stage]:
    """Return the stages of filters, cards and similarities; an empty list if the experiment has none.

    `tested` is as for `stages_of`.
    """
    costs, filters = experiment.config["costs"], experiment.filters
    described = described_pools(experiment) if experiment.config["cards"]["make"] else []
    compared = compared_prefixes(experiment) if experiment.config["similarity"] else {}
    listed = list(dict.fromkeys(experiment.root(name) for name in [*described, *filters, *compared]))
    counted = [filters[name]["from"] if name in filters else name for name in described]
    rows = sum(maximum_samples(experiment, expected, name) for name in counted)
    images = sum(expected[source].images for source in listed)
    read = {name: maximum_samples(experiment, expected, entry["from"]) for name, entry in filters.items()}
    scored = [name for name, entry in filters.items() if entry["method"] == "clip_score"]
    devices = {name: experiment.device_of_teacher(name) for name in scored}
    hours = {name: read[name] / costs["scored_per_second"] / HOUR for name in scored}
    kept = sum(maximum_samples(experiment, expected, name) for name in filters)
    joined = [name for name, entry in filters.items() if "columns_from" in entry]
    to_join = sum(read[name] for name in joined)
    stages = [
        Stage(
            "list_samples",
            f"{images:,} images",
            [f"results/samples/{source}/manifest.json" for source in listed],
            disk=images * costs["listed_kb"] / 1e6,
            cpu=images / costs["filtered_per_second"] / HOUR,
        ),
        Stage(
            "score_pairs",
            f"{sum(read[name] for name in scored):,} pairs",
            [f"results/scores/{name}/manifest.json" for name in scored],
            cpu=sum(hours.values()) * (1 + experiment.config["evaluation"]["workers"]),
            gpu=sum(hours[name] for name in scored if devices[name] == "cuda"),
        ),
        *near_stages(experiment, expected, read, tested),
        *similarity_stages(experiment, expected, read, tested),
        Stage(
            "join_columns",
            f"{to_join:,} samples",
            [f"results/columns/{name}/manifest.json" for name in joined],
            disk=to_join * costs["listed_kb"] / 1e6,
            cpu=to_join / costs["prepared_per_second"] / HOUR,
        ),
        Stage(
            "select, balance",
            f"{sum(read.values()):,} samples",
            [f"results/samples/{name}/manifest.json" for name in filters],
            disk=kept * costs["listed_kb"] / 1e6,
            cpu=sum(read.values()) / costs["filtered_per_second"] / HOUR,
        ),
        Stage(
            "reshard_samples",
            f"at most {kept:,} images",
            [f"results/shards/{name}/manifest.json" for name in filters],
            disk=kept * costs["stored_kb"] / 1e6,
            cpu=kept / costs["sharded_per_second"] / HOUR,
        ),
    ]
    stages.append(
        Stage(
            "describe_pool",
            f"{rows:,} samples",
            [f"results/descriptions/{name}/description.json" for name in described],
            cpu=rows / costs["described_per_second"] / HOUR,
        )
    )
    return [stage for stage in stages if stage.products]


def stages_of(experiment: Experiment, expected: dict[str, Expected], tested: dict[str, int | None]) -> list[Stage]:
    """Return the stages that take time, in the order of the chain. `tested` is the number of images of each test set."""
    config, sources, models = experiment.config, experiment.sources, experiment.models()
    costs = config["costs"]
    pairs = sum(source.urls for name, source in expected.items() if not is_linked(experiment, name))
    listed = {name: source for name, source in expected.items() if not is_local(experiment, name)}
    urls = sum(source.urls for source in listed.values())
    fetched = {name: source.images for name, source in listed.items()}
    images = sum(fetched.values())
    rows = sum(source.rows for source in listed.values())
    seen = sum(model.size * config["architectures"][model.architecture]["epochs"] for model in models)
    trainsets = sorted({f"{model.pool}/{model.size}" for model in models})
    parts = [f"{source}/{part}" for source in sources for part in experiment.parts(source)]
    train_cpu, train_gpu = training_hours(experiment)
    # The evaluation of an ensemble takes as long as those of all its members.
    ensembles = experiment.models(experiment.ensembles)
    evaluated = [*models, *(one for one in ensembles for _ in experiment.members(one.pool))]
    on_gpu = sum(bool(config["architectures"][model.architecture]["gpus"]) for model in evaluated)
    return [
        *tar_stages(experiment),
        *index_stages(experiment, expected),
        *retrieval_stages(experiment),
        Stage(
            "prepare_metadata",
            f"{rows:,} rows",
            [f"results/metadata/{source}/pairs.parquet" for source in listed],
            disk=rows * costs["listed_kb"] / 1e6,
            cpu=rows / costs["prepared_per_second"] / HOUR,
        ),
        Stage(
            "shuffle_metadata",
            f"{pairs:,} pairs",
            [f"results/shuffled/{source}/manifest.json" for source in sources if not is_linked(experiment, source)],
            disk=pairs * costs["listed_kb"] / 1e6,
            cpu=pairs / costs["shuffled_per_second"] / HOUR,
        ),
        Stage(
            "download_images",
            f"{urls:,} URLs",
            [f"results/downloads/{part}/manifest.json" for part in parts],
            disk=images * costs["stored_kb"] / 1e6 if config["shards"]["keep_downloads"] else 0.0,
            network=images * costs["fetched_kb"] / 1e6,
            cpu=urls / costs["downloaded_per_second"] / HOUR + sum(hash_hours(experiment, fetched).values()),
        ),
        Stage(
            "shard_samples",
            f"{images:,} images",
            [f"results/shards/{source}/manifest.json" for source in listed],
            disk=images * costs["stored_kb"] / 1e6,
            cpu=images / costs["sharded_per_second"] / HOUR,
        ),
        *local_shard_stages(experiment, expected),
        *filter_stages(experiment, expected, tested),
        Stage("link_trainset", "links", [f"results/trainsets/{trainset}/manifest.json" for trainset in trainsets]),
        Stage(
            "train_clip",
            f"{seen:,} samples seen",
            [f"results/models/{model.name}/manifest.json" for model in models],
            disk=len(models) * costs["model_mb"] / 1e3,
            cpu=train_cpu,
            gpu=train_gpu,
        ),
        *(stage for stage in stages_of_testsets(experiment, tested) if stage.products),
        Stage(
            "evaluate_clip",
            f"{len(models) + len(ensembles)} models and ensembles on {len(experiment.testsets)} test sets",
            [f"results/evaluations/{model.name}/metrics.csv" for model in experiment.evaluated()],
            # One core feeds the device. A second core, which reads ahead, pays off only for a GPU.
            cpu=costs["evaluation_hours"] * (len(evaluated) + on_gpu),
            gpu=costs["evaluation_hours"] * on_gpu,
        ),
    ]
