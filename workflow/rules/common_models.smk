# What the rules of trainings, test sets and evaluations ask of the experiment.
from functools import cache

from testbed.experiment.errors import ExperimentError
from testbed.experiment.experiment import Model
from testbed.planning.given_files import checkpoint_problems
from testbed.evaluation.tasks import check_testset
from testbed.training.launch import processes_of, threads_of
from testbed.models.networks import NetworkError, check_network, check_random, open_clip_config
from testbed.evaluation.class_subsets import ClassesError, check_class_map


def architecture_of(wildcards):
    return config["architectures"][wildcards.architecture]


@cache
def check_model(key, model, *checks):
    """Report a model for which one of `checks` raises: what jobs would fail for, or have to fetch."""
    try:
        for check in checks:
            check(model)
    except NetworkError as error:
        report_missing(f"{key}: {error}")


def training_trainset(wildcards):
    """The trainset of a model, whose architecture is looked at before the model is trained."""
    rest = f"{wildcards.architecture}-{wildcards.size}-{wildcards.seed}"
    if not Path(f"results/models/{wildcards.pool}-{rest}/manifest.json").is_file():
        check_model(
            f"architectures.{wildcards.architecture}.model",
            architecture_of(wildcards)["model"],
            check_random,
            check_network,
        )
    return f"results/trainsets/{wildcards.pool}/{wildcards.size}/manifest.json"


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


def training_memory(wildcards, attempt):
    return architecture_of(wildcards)["memory_mb"] * attempt


def evaluation_gpus(wildcards):
    return min(1, architecture_of(wildcards)["gpus"])


def evaluation_threads(wildcards):
    """One core to feed a GPU, and one that reads the next batch; on a CPU reading takes next to nothing."""
    return 2 if device_of(wildcards) == "cuda" else 1


def device_of(wildcards):
    """Where a training, an evaluation or a filter's teacher runs: cpu or cuda."""
    if "filter" in wildcards.keys():
        return experiment.device_of_teacher(wildcards.filter)
    networks = config["architectures"] | experiment.pretrained
    return networks[network_of(wildcards)]["device"]


def decoding_threads(wildcards):
    return max(1, config["evaluation"]["workers"])


def model_columns(wildcards):
    """What evaluations.csv says of a model or an ensemble of models."""
    pool = wildcards.get("ensemble") or wildcards.pool
    model = Model(
        pool, wildcards.architecture, int(wildcards.size), int(wildcards.seed)
    )
    return {"model": model.name, **vars(model)}


def ensemble_models(wildcards):
    """The manifests of an ensemble's members: the models of its pools with its architecture, size and seed."""
    rest = f"{wildcards.architecture}-{wildcards.size}-{wildcards.seed}"
    return [
        f"results/models/{pool}-{rest}/manifest.json"
        for pool in experiment.members(wildcards.ensemble)
    ]


def ensemble_shares(wildcards):
    return list(experiment.members(wildcards.ensemble).values())


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
        for testset in sorted(experiment.testsets)
    }


def decoded_manifests(wildcards):
    return [
        f"{decoded_folder(testset, network_of(wildcards))}/manifest.json"
        for testset in experiment.testsets
    ]


@cache
def check_class_maps():
    """Report maps of classes that do not hold; those that name classes which only a fetched test set shows hold so far."""
    for testset, path in experiment.class_maps.items():
        try:
            names = (
                f"{testset_folder(one)}/classnames.txt"
                for one in (testset, experiment.reference)
            )
            check_class_map(path, *names)
        except ClassesError as error:
            report_missing(f"testsets.{testset}.classes: {error}")


def class_map_files(wildcards):
    check_class_maps()
    maps = experiment.class_maps.values()
    return [shipped_input(path) for path in maps if Path(shipped(path)).is_file()]


def network_entry(wildcards):
    """Model and, of published checkpoints, tag, which decide how images are resized and cropped."""
    entry = (config["architectures"] | experiment.pretrained)[wildcards.network]
    return {"model": entry["model"], "tag": entry.get("tag")}


def weights_of(entry):
    """Which published weights an entry of `pretrained`, or a filter's teacher, names."""
    return {key: entry[key] for key in ("model", "tag", "checkpoint") if key in entry}


def pretrained_weights(wildcards):
    return weights_of(experiment.pretrained[wildcards.pretrained])


def pretrained_checkpoint(wildcards):
    name = wildcards.pretrained
    return checkpoint_files(
        f"pretrained.{name}",
        pretrained_weights(wildcards),
        f"results/pretrained/{name}",
    )


def checkpoint_files(key, entry, product):
    """The file of a published checkpoint that is given as one; what has a tag is fetched, and its tokenizer with it."""
    check = check_network if "checkpoint" in entry else open_clip_config
    check_model(f"{key}.model", entry["model"], check)
    problems = list(checkpoint_problems(key, entry, product))
    report_missing(*problems)
    return [entry["checkpoint"]] if "checkpoint" in entry and not problems else []


def pretrained_gpus(wildcards):
    return int(experiment.pretrained[wildcards.pretrained]["device"] == "cuda")


def columns_of_pretrained(name):
    """What the table of metrics says of a published checkpoint; 0 samples stand for a number that is not known."""
    return {
        "model": name,
        "pool": "pretrained",
        "architecture": experiment.pretrained[name]["model"],
        "size": 0,
        "seed": 0,
    }


def pretrained_columns(wildcards):
    return columns_of_pretrained(wildcards.pretrained)


def traced_models():
    """By name, every model that is evaluated: its columns of the table, and the manifest that its chain begins with."""
    trained = {
        model.name: {
            "model": model.name,
            **vars(model),
            "manifest": f"results/models/{model.name}/manifest.json",
        }
        for model in experiment.models()
    }
    published = {
        name: {
            **columns_of_pretrained(name),
            "manifest": f"results/pretrained/{name}/manifest.json",
        }
        for name in experiment.pretrained
    }
    averaged = {
        model.name: {"model": model.name, **vars(model), "manifest": None}
        for model in experiment.models(experiment.ensembles)
    }
    return trained | published | averaged


def traced_manifests():
    """The manifests that chains begin with; those of ensembles begin with their evaluations."""
    manifests = [entry["manifest"] for entry in traced_models().values()]
    return [manifest for manifest in manifests if manifest]


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
        report_missing(str(error))
        return []


def own_files(wildcards):
    return files_of_testset(wildcards.testset)


def original_testset(wildcards):
    return experiment.original(wildcards.testset)


def original_folder(wildcards):
    return testset_folder(original_testset(wildcards))


def original_files(wildcards):
    return files_of_testset(original_testset(wildcards))
