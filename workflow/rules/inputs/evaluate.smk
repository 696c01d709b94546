# What evaluate.smk asks of the experiment.
from functools import cache

from testbed.evaluation.class_subsets import ClassesError, check_class_map
from testbed.experiment import products as paths
from testbed.experiment.experiment import Model
from testbed.experiment.products import testset_folder


def evaluation_gpus(wildcards):
    return min(1, architecture_of(wildcards)["gpus"])


def evaluation_threads(wildcards):
    """One core to feed a GPU, and one that reads the next batch; on a CPU reading takes next to nothing."""
    return 2 if device_of(wildcards) == "cuda" else 1


def device_of(wildcards):
    """Where a training, an evaluation, a filter's teacher, or else the teacher of similarity runs: cpu or cuda."""
    if not {"architecture", "pretrained"} & set(wildcards.keys()):
        return experiment.device_of_teacher(wildcards.get("filter"))
    networks = config["architectures"] | experiment.pretrained
    return networks[network_of(wildcards)]["device"]


def decoding_threads(wildcards):
    return max(1, config["evaluation"]["workers"])


def network_of(wildcards):
    """The architecture, or the published checkpoint, that test sets are decoded for."""
    return wildcards.get("pretrained") or wildcards.architecture


def network_entry(wildcards):
    """Model and, of published checkpoints, tag, which decide how images are resized and cropped."""
    entry = (config["architectures"] | experiment.pretrained)[wildcards.network]
    return {"model": entry["model"], "tag": entry.get("tag")}


def testset_folders(wildcards):
    return paths.testset_folders(experiment, network_of(wildcards))


def decoded_manifests(wildcards):
    network = network_of(wildcards)
    return [
        f"{paths.decoded_folder(testset, network)}/manifest.json"
        for testset in experiment.testsets
    ]


def evaluated_model(wildcards):
    """The model, or the ensemble of models, that an evaluation is of."""
    pool = wildcards.get("ensemble") or wildcards.pool
    size, seed = int(wildcards.size), int(wildcards.seed)
    return Model(pool, wildcards.architecture, size, seed)


def model_columns(wildcards):
    return paths.model_columns(evaluated_model(wildcards))


def ensemble_models(wildcards):
    """The manifests of an ensemble's members: the models of its pools with its architecture, size and seed."""
    rest = f"{wildcards.architecture}-{wildcards.size}-{wildcards.seed}"
    return [
        f"results/models/{pool}-{rest}/manifest.json"
        for pool in experiment.members(wildcards.ensemble)
    ]


def ensemble_shares(wildcards):
    return list(experiment.members(wildcards.ensemble).values())


@cache
def check_class_maps():
    """Report maps of classes that do not hold; those that name classes which only a fetched test set shows hold so far."""
    for testset, path in experiment.class_maps.items():
        try:
            names = (
                f"{testset_folder(experiment, one)}/classnames.txt"
                for one in (testset, experiment.reference)
            )
            check_class_map(path, *names)
        except ClassesError as error:
            report_missing(f"testsets.{testset}.classes: {error}")


def class_map_files(wildcards):
    check_class_maps()
    maps = experiment.class_maps.values()
    return [shipped_input(path) for path in maps if Path(shipped(path)).is_file()]
