# What testsets.smk asks of the experiment.
from functools import cache

from testbed.evaluation.tasks import check_testset
from testbed.experiment.errors import ExperimentError
from testbed.experiment.products import testset_folder
from testbed.planning.given_files import spelling_problems


def own_folder(wildcards):
    return testset_folder(experiment, wildcards.testset)


@cache
def files_of_testset(testset):
    """What a job waits for that reads a test set: the manifest of one that is made, a file of one that is given.

    A test set that is given is read once, for all jobs.
    """
    entry = experiment.testsets[testset]
    if "retrieve" in entry:
        table = config["testset_origin"]["table"]
        report_missing(*spelling_problems(testset, entry["retrieve"], table))
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
    return testset_folder(experiment, original_testset(wildcards))


def original_files(wildcards):
    return files_of_testset(original_testset(wildcards))
