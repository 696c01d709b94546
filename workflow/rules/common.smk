import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

WORKFLOW = Path(workflow.current_basedir).parent
sys.path.insert(0, str(WORKFLOW / "scripts"))

from testbed.experiment import (
    Experiment,
    ExperimentError,
    Model,
    check_schema,
    check_testset,
)
from testbed.released import ListError, check_list, find_files, resolve_format
from testbed.work import FORCERUN


def load_experiment():
    """The experiment in `config`, checked as a whole, with all defaults filled in."""
    schema = WORKFLOW / "schemas" / "experiment.schema.yaml"
    try:
        check_schema(config, schema)
        validate(config, str(schema))
        return Experiment(config)
    except ExperimentError as error:
        raise WorkflowError(str(error))


experiment = load_experiment()


wildcard_constraints:
    source="|".join(experiment.sources),
    pool="|".join(experiment.pools),
    mixture="|".join(experiment.mixtures) or "none",
    architecture="|".join(config["architectures"]),
    testset="|".join(experiment.testsets),
    size="[0-9]+",
    seed="[0-9]+",
    part="[0-9]{5}",


onstart:
    # Cluster jobs do not see the user's command line, but inherit the environment.
    os.environ[FORCERUN] = " ".join(sorted(workflow.dag_settings.forcerun))


def metadata_of(source):
    """Path, format and columns of a source's released list, wherever it comes from."""
    metadata = experiment.sources[source]["metadata"]
    if "miniweb" not in metadata:
        return {"columns": {}, **metadata}
    kind = metadata["miniweb"]
    path = f"results/miniweb/{source}/list"
    return {"path": path, "format": "csv" if kind == "imagenet" else kind, "columns": {}}


def released_list(wildcards):
    """Files of a source's released list; for a mini-source, the manifest of what the mini-web drew.

    A list that is missing or has the wrong columns stops a run before any work; a dry run goes on without it.
    """
    if "miniweb" in experiment.sources[wildcards.source]["metadata"]:
        return f"results/miniweb/{wildcards.source}/manifest.json"
    metadata = metadata_of(wildcards.source)
    try:
        check_list(**metadata)
        return [str(file) for file in find_files(metadata["path"], resolve_format(metadata["format"]).container)]
    except ListError as error:
        if workflow.dryrun:
            return []
        raise WorkflowError(f"sources.{wildcards.source}.metadata: {error}")


def list_path(wildcards):
    return metadata_of(wildcards.source)["path"]


def list_format(wildcards):
    return metadata_of(wildcards.source)["format"]


def list_columns(wildcards):
    return metadata_of(wildcards.source)["columns"]


def needed_samples(wildcards):
    return experiment.needed(wildcards.source)


def miniweb_pages(wildcards):
    """The mini-web's manifest behind a source, which its server needs; nothing for other sources."""
    if config["download"]["proxy"] != "miniweb":
        return []
    return f"results/miniweb/{wildcards.source}/manifest.json"


def page_files(wildcards):
    if config["download"]["proxy"] != "miniweb":
        return []
    return [f"results/miniweb/{wildcards.source}/pages.parquet"]


def download_manifests(wildcards):
    return [
        f"results/downloads/{wildcards.source}/{part}/manifest.json"
        for part in experiment.parts(wildcards.source)
    ]


def part_folders(wildcards):
    """Pairs of a part's rows in the shuffled list and the folder of its downloads."""
    source = wildcards.source
    return [
        [f"results/shuffled/{source}/{part}.parquet", f"results/downloads/{source}/{part}"]
        for part in experiment.parts(source)
    ]


def composition(wildcards):
    return experiment.composition(wildcards.pool, int(wildcards.size))


def shard_folders(wildcards):
    return {source: f"results/shards/{source}" for source in composition(wildcards)}


def shard_manifests(wildcards):
    return [f"{folder}/manifest.json" for folder in shard_folders(wildcards).values()]


def training_threads(wildcards):
    """One for the trainer and one for each of its data loading processes."""
    return 1 + config["architectures"][wildcards.architecture]["workers"]


def evaluation_threads(wildcards):
    return 1 + config["evaluation"]["workers"]


def model_columns(wildcards):
    """What evaluations.csv says of a model."""
    model = Model(wildcards.pool, wildcards.architecture, int(wildcards.size), int(wildcards.seed))
    return {"model": model.name, **vars(model)}


def testset_folder(testset):
    return experiment.testsets[testset].get("path", f"results/testsets/{testset}")


def testset_folders(wildcards):
    return {testset: testset_folder(testset) for testset in experiment.testsets}


def testset_files(wildcards):
    """What an evaluation waits for: the manifest of a test set that is drawn, the class names of one that is given.

    A given test set that is not whole stops a run before any work; a dry run goes on without it.
    """
    files = []
    for testset, entry in experiment.testsets.items():
        if "path" not in entry:
            files.append(f"results/testsets/{testset}/manifest.json")
            continue
        try:
            check_testset(testset, entry["path"])
            files.append(f"{entry['path']}/classnames.txt")
        except ExperimentError as error:
            if not workflow.dryrun:
                raise WorkflowError(str(error))
    return files


def metrics_of(models):
    return [f"results/evaluations/{model.name}/metrics.csv" for model in models]


def mixture_members(wildcards):
    return experiment.members(wildcards.mixture)


def mixture_metrics(wildcards):
    """Metrics of all models on a mixture's plot: its own, its members', and the baseline's."""
    pools = [wildcards.mixture, *experiment.members(wildcards.mixture)]
    baseline = experiment.baseline_pool
    if baseline and baseline not in pools:
        pools.append(baseline)
    return metrics_of(experiment.models(pools))


def mixture_inputs(wildcards):
    """Those of a mixture's metrics that a run has to bring up to date before it draws the plot.

    All of them; but where the user forces rules for the sake of mixtures' plots alone, the models of other pools that
    are already evaluated are taken as they are: who retrains a mixture does not retrain its members.
    """
    metrics = mixture_metrics(wildcards)
    settings = workflow.dag_settings
    asked = {str(target) for target in settings.targets}
    if not settings.forcerun or not asked or any("plots/mixtures/" not in target for target in asked):
        return metrics
    asked_pools = {Path(target).stem for target in asked}
    own = set(metrics_of(experiment.models([pool for pool in experiment.pools if pool in asked_pools])))
    return [table for table in metrics if table in own or not Path(table).is_file()]


def planned_stages():
    """The stages of the experiment for `snakemake plan`: name, amount of work, and the files that say what is done."""
    sources = experiment.sources
    models = experiment.models()
    parts = [f"results/downloads/{source}/{part}/manifest.json" for source in sources for part in experiment.parts(source)]
    trainsets = sorted({f"results/trainsets/{model.pool}/{model.size}/manifest.json" for model in models})
    rows = sum(entry["samples"] for entry in sources.values())
    seen = sum(model.size * config["architectures"][model.architecture]["epochs"] for model in models)
    return [
        {
            "name": "prepare_metadata",
            "work": f"{len(sources)} released lists",
            "products": [f"results/metadata/{source}/pairs.parquet" for source in sources],
        },
        {"name": "download_images", "work": f"{rows:,} URLs", "products": parts},
        {
            "name": "shard_samples",
            "work": f"at most {rows:,} images",
            "products": [f"results/shards/{source}/manifest.json" for source in sources],
        },
        {"name": "link_trainset", "work": "links", "products": trainsets},
        {
            "name": "train_clip",
            "work": f"{seen:,} samples seen",
            "products": [f"results/models/{model.name}/manifest.json" for model in models],
        },
        {
            "name": "evaluate_clip",
            "work": f"{len(models)} models on {len(experiment.testsets)} test sets",
            "products": metrics_of(models),
        },
    ]
