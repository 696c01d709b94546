# What scores.smk asks of the experiment.
from testbed.experiment import products as paths
from testbed.experiment.products import published_weights, testset_folder


def public_teacher(wildcards):
    return published_weights(experiment.filters[wildcards.filter]["teacher"])


def teacher_files(wildcards):
    name = wildcards.filter
    return checkpoint_files(
        f"filters.{name}.teacher", public_teacher(wildcards), f"results/teachers/{name}"
    )


def teacher_manifest(wildcards):
    return paths.teacher_manifest(experiment, wildcards.filter)


def scoring_gpus(wildcards):
    return int(device_of(wildcards) == "cuda")


def scoring_threads(wildcards):
    """One core to feed a GPU and those that decode images; on a CPU as many as may run at once."""
    return 1 + config["evaluation"]["workers"]


def precision_of(wildcards):
    return experiment.filters[wildcards.filter]["teacher"]["precision"]


def asks_classes(wildcards):
    return experiment.filters[wildcards.filter].get("per_class", False)


def reference_files(wildcards):
    return files_of_testset(experiment.reference) if asks_classes(wildcards) else []


def reference_folder(wildcards):
    return (
        testset_folder(experiment, experiment.reference)
        if asks_classes(wildcards)
        else None
    )
