import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
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
from testbed.launch import processes_of, threads_of
from testbed.released import ListError, check_list, find_files, resolve_format
from testbed.slurm import jobs_in
from testbed.sources import where_from
from testbed.work import FORCERUN, FolderBusyError, hold


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
workflow.register_resource("downloads", config["download"]["jobs"])


wildcard_constraints:
    source="|".join(experiment.sources),
    pool="|".join(experiment.pools),
    mixture="|".join(experiment.mixtures) or "none",
    architecture="|".join(config["architectures"]),
    pretrained="|".join(experiment.pretrained) or "none",
    network="|".join([*config["architectures"], *experiment.pretrained]),
    testset="|".join(experiment.testsets),
    size="[0-9]+",
    seed="[0-9]+",
    part="[0-9]{5}",


def testsets_by(key):
    """A regular expression for the names of the test sets whose entries have `key`; nothing fits it where none has."""
    names = [name for name, entry in experiment.testsets.items() if key in entry]
    return "|".join(names) or "(?!)"


# What the plan of a run found missing. A run with such gaps stops before any work; a dry run tells and goes on.
missing_inputs = {}


def report_missing(key, message):
    if key not in missing_inputs and workflow.dryrun:
        logger.warning(message)
    missing_inputs[key] = message


onstart:
    if missing_inputs:
        raise WorkflowError("\n".join(missing_inputs.values()))
    # Who only looks may do so while another run is at work.
    if asked_targets() and asked_targets() <= {"plan", "status"}:
        return
    # Snakemake's own locks are files, which a killed run leaves behind; profiles/default switches them off.
    try:
        workflow.held = hold(".snakemake")
    except FolderBusyError as error:
        raise WorkflowError(str(error))
    # Jobs outlive a Snakemake that is killed, and another run would send them a second time.
    if jobs := jobs_in("."):
        raise WorkflowError(
            f"SLURM still has {len(jobs)} jobs of an earlier run in this folder. Wait until they are done, or end them "
            f"(scancel {' '.join(jobs)}), and run the same command again. What is done is kept in either case."
        )
    # Cluster jobs do not see the user's command line, but inherit the environment.
    os.environ[FORCERUN] = " ".join(sorted(workflow.dag_settings.forcerun))


def metadata_of(source):
    """Path, format and columns of a source's released list, wherever it comes from."""
    metadata = experiment.sources[source]["metadata"]
    if "miniweb" not in metadata:
        return {"columns": {}, **metadata}
    kind = metadata["miniweb"]
    path = f"results/miniweb/{source}/list"
    return {
        "path": path,
        "format": "csv" if kind == "imagenet" else kind,
        "columns": {},
    }


def released_list(wildcards):
    """Files of a source's released list; for a mini-source, the manifest of what the mini-web drew."""
    if is_mini(wildcards.source):
        return f"results/miniweb/{wildcards.source}/manifest.json"
    metadata = metadata_of(wildcards.source)
    try:
        check_list(**metadata)
        return [
            str(file)
            for file in find_files(
                metadata["path"], resolve_format(metadata["format"]).container
            )
        ]
    except ListError as error:
        if not Path(f"results/metadata/{wildcards.source}/pairs.parquet").is_file():
            origin = where_from("resources/sources.csv", metadata["format"])
            message = f"sources.{wildcards.source}.metadata: {error}{origin}"
            report_missing(wildcards.source, message)
        return []


def list_path(wildcards):
    return metadata_of(wildcards.source)["path"]


def list_format(wildcards):
    return metadata_of(wildcards.source)["format"]


def list_columns(wildcards):
    return metadata_of(wildcards.source)["columns"]


def needed_samples(wildcards):
    return experiment.needed(wildcards.source)


def is_mini(source):
    return "miniweb" in experiment.sources[source]["metadata"]


def miniweb_manifest(wildcards):
    """The manifest of a mini-source's pages, which the mini-web serves; nothing for other sources."""
    source = wildcards.source
    if is_mini(source):
        return [f"results/miniweb/{source}/manifest.json"]
    if metadata_of(source)["format"] == "wit" and not config["download"]["contact"]:
        report_missing(
            "contact",
            f"download.contact: source {source} asks Wikimedia, which wants to know whom to write to. Give it a page or "
            "mail address.",
        )
    return []


def download_memory(wildcards, attempt):
    """MB of a download job: the process, the bodies that threads and queue hold at most, and one image being decoded."""
    options = config["download"]
    bodies = 2 * options["threads"] * options["max_bytes"]
    # An image with transparency is blended in double precision.
    decoding = 64 * options["max_pixels"]
    return (1000 + (bodies + decoding) // 1_000_000) * attempt


def page_files(wildcards):
    return (
        [f"results/miniweb/{wildcards.source}/pages.parquet"]
        if is_mini(wildcards.source)
        else []
    )


def download_options(wildcards):
    """The experiment's download options; the images of mini-sources come through the mini-web's own server.

    Jobs do not know of each other, so that each gets its part of what all together may ask of a host.
    """
    options = dict(config["download"])
    jobs = options.pop("jobs")
    options["requests_per_second"] /= jobs
    options["hosts"] = {host: rate / jobs for host, rate in options["hosts"].items()}
    return options | ({"proxy": "miniweb"} if is_mini(wildcards.source) else {})


def download_manifests(wildcards):
    return [
        f"results/downloads/{wildcards.source}/{part}/manifest.json"
        for part in experiment.parts(wildcards.source)
    ]


def part_folders(wildcards):
    """Pairs of a part's rows in the shuffled list and the folder of its downloads."""
    source = wildcards.source
    return [
        [
            f"results/shuffled/{source}/{part}.parquet",
            f"results/downloads/{source}/{part}",
        ]
        for part in experiment.parts(source)
    ]


def composition(wildcards):
    return experiment.composition(wildcards.pool, int(wildcards.size))


def shard_folders(wildcards):
    return {source: f"results/shards/{source}" for source in composition(wildcards)}


def shard_manifests(wildcards):
    return [f"{folder}/manifest.json" for folder in shard_folders(wildcards).values()]


def architecture_of(wildcards):
    return config["architectures"][wildcards.architecture]


def training_threads(wildcards):
    """Cores of a training on each of its nodes."""
    architecture = architecture_of(wildcards)
    return threads_of(architecture) * max(1, architecture["gpus"])


def is_spread(wildcards):
    """Whether a training takes several nodes, whose processes SLURM starts; its job then is one of SLURM's MPI kind."""
    return architecture_of(wildcards)["nodes"] > 1


def training_gpus(wildcards):
    return None if is_spread(wildcards) else architecture_of(wildcards)["gpus"]


def training_gres(wildcards):
    """GPUs by node."""
    gpus = architecture_of(wildcards)["gpus"]
    return f"gpu:{gpus}" if is_spread(wildcards) and gpus else None


def training_mpi(wildcards):
    return "srun" if is_spread(wildcards) else None


def training_tasks(wildcards):
    return processes_of(architecture_of(wildcards)) if is_spread(wildcards) else None


def training_cpus(wildcards):
    """Cores of each of several processes that SLURM starts."""
    return threads_of(architecture_of(wildcards)) if is_spread(wildcards) else None


def growing(amount):
    """A resource that is asked for once more in each further attempt, because too little may have been the cause."""

    def by_attempt(wildcards, attempt):
        return amount * attempt

    return by_attempt


def training_memory(wildcards, attempt):
    return architecture_of(wildcards)["memory_mb"] * attempt


def evaluation_gpus(wildcards):
    return min(1, architecture_of(wildcards)["gpus"])


def evaluation_threads(wildcards):
    """One core to feed a GPU, and one that reads the next batch; on a CPU reading takes next to nothing."""
    entry = (config["architectures"] | experiment.pretrained)[network_of(wildcards)]
    return 2 if entry["device"] == "cuda" else 1


def decoding_threads(wildcards):
    return max(1, config["evaluation"]["workers"])


def model_columns(wildcards):
    """What evaluations.csv says of a model."""
    model = Model(
        wildcards.pool, wildcards.architecture, int(wildcards.size), int(wildcards.seed)
    )
    return {"model": model.name, **vars(model)}


def testset_folder(testset):
    return experiment.testsets[testset].get("path", f"results/testsets/{testset}")


def decoded_folder(testset, network):
    return f"results/decoded/{testset}-{network}"


def network_of(wildcards):
    """The name of the architecture, or of the published checkpoint, that test sets are decoded for."""
    return wildcards.get("pretrained") or wildcards.architecture


def testset_folders(wildcards):
    """For each test set its folder and that of its decoded images."""
    return {
        testset: [
            testset_folder(testset),
            decoded_folder(testset, network_of(wildcards)),
        ]
        for testset in experiment.testsets
    }


def decoded_manifests(wildcards):
    return [
        f"{decoded_folder(testset, network_of(wildcards))}/manifest.json"
        for testset in experiment.testsets
    ]


def network_entry(wildcards):
    """Model and, of published checkpoints, tag, which decide how images are resized and cropped."""
    entry = (config["architectures"] | experiment.pretrained)[wildcards.network]
    return {"model": entry["model"], "tag": entry.get("tag")}


def pretrained_entry(wildcards):
    return experiment.pretrained[wildcards.pretrained]


def pretrained_checkpoint(wildcards):
    entry = pretrained_entry(wildcards)
    return [entry["checkpoint"]] if "checkpoint" in entry else []


def pretrained_gpus(wildcards):
    return int(pretrained_entry(wildcards)["device"] == "cuda")


def pretrained_columns(wildcards):
    """What the table of metrics says of a published checkpoint; 0 samples stand for a number that is not known."""
    name, model = wildcards.pretrained, pretrained_entry(wildcards)["model"]
    return {
        "model": name,
        "pool": "pretrained",
        "architecture": model,
        "size": 0,
        "seed": 0,
    }


def own_folder(wildcards):
    return testset_folder(wildcards.testset)


def files_of_testset(testset):
    """What a job waits for that reads a test set: the manifest of one that is made, a file of one that is given."""
    entry = experiment.testsets[testset]
    if "path" not in entry:
        return [f"results/testsets/{testset}/manifest.json"]
    try:
        return [check_testset(testset, entry["path"])]
    except ExperimentError as error:
        report_missing(testset, str(error))
        return []


def own_files(wildcards):
    return files_of_testset(wildcards.testset)


def original_testset(wildcards):
    return experiment.original(wildcards.testset)


def original_folder(wildcards):
    return testset_folder(original_testset(wildcards))


def original_files(wildcards):
    return files_of_testset(original_testset(wildcards))


def metrics_of(models):
    return [f"results/evaluations/{model.name}/metrics.csv" for model in models]


def pool_manifests(wildcards):
    return [
        f"results/models/{model.name}/manifest.json"
        for model in experiment.models([wildcards.pool])
    ]


def pool_curves(wildcards):
    """Where the learning curve of each model of a pool lies, and what to say of it."""
    return [
        {
            "curve": f"results/models/{model.name}/training.csv",
            "batch_size": config["architectures"][model.architecture]["batch_size"],
            **vars(model),
        }
        for model in experiment.models([wildcards.pool])
    ]


def mixture_members(wildcards):
    return experiment.members(wildcards.mixture)


def mixture_metrics(wildcards):
    """Metrics of all models on a mixture's plot: its own, its members', and the baseline's."""
    pools = [wildcards.mixture, *experiment.members(wildcards.mixture)]
    baseline = experiment.baseline_pool
    if baseline and baseline not in pools:
        pools.append(baseline)
    return metrics_of(experiment.models(pools))


def asked_targets():
    """What the command asks for by name: its targets, and files behind --forcerun, which takes every word after it."""
    settings = workflow.dag_settings
    forced_files = [word for word in settings.forcerun if "/" in word]
    return {str(target) for target in [*settings.targets, *forced_files]}


def products(wildcards):
    """What a run makes: all plots and tables, or nothing but the files that the command names."""
    asked = asked_targets()
    if asked and "all" not in asked:
        return []
    return [
        "results/plots/effective_robustness.pdf",
        "results/tables/effective_robustness.csv",
        *(f"results/plots/mixtures/{mixture}.pdf" for mixture in experiment.mixtures),
        *(f"results/plots/learning_curves/{pool}.pdf" for pool in experiment.pools),
    ]


def mixture_inputs(wildcards):
    """Those of a mixture's metrics that a run has to bring up to date before it draws the plot.

    All of them; but where the user forces rules for the sake of mixtures' plots alone, the models of other pools that
    are already evaluated are taken as they are: who retrains a mixture does not retrain its members.
    """
    metrics = mixture_metrics(wildcards)
    asked = asked_targets()
    if (
        not workflow.dag_settings.forcerun
        or not asked
        or any("plots/mixtures/" not in target for target in asked)
    ):
        return metrics
    mixtures = {Path(target).stem for target in asked}
    own = set(
        metrics_of(
            experiment.models([pool for pool in experiment.pools if pool in mixtures])
        )
    )
    return [table for table in metrics if table in own or not Path(table).is_file()]
