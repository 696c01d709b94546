# What similarity.smk asks of the experiment.
from testbed.experiment import products as paths
from testbed.experiment.products import (
    compared_prefixes,
    near_filters,
    published_weights,
)
from testbed.experiment.targets import similarity_products
from testbed.experiment.titles import title_of_pool

# By source and filter, the numbers of first samples that trainsets take.
prefixes = compared_prefixes(experiment)


def published_similarity_teacher(wildcards):
    return published_weights(experiment.teacher_entry()[1])


def similarity_teacher_files(wildcards):
    return checkpoint_files(
        "similarity.teacher",
        published_similarity_teacher(wildcards),
        "results/similarity_teacher",
    )


def similarity_teacher(wildcards):
    """The manifest of the model that computes embeddings; without one there is nothing to make."""
    if not config["similarity"]:
        raise WorkflowError(
            "similarity: no teacher is named, so no similarity can be measured. Add similarity: {teacher: ...}; "
            "docs/similarity.md says how."
        )
    return paths.teacher_manifest(experiment)


def similarity_precision(wildcards):
    return experiment.teacher_entry()[1]["precision"]


def similarity_teacher_title(wildcards):
    """The name of the teacher in figures; empty without one."""
    if not config["similarity"]:
        return ""
    if model := experiment.teacher():
        return f"{title_of_pool(plotted_pools[model.pool])}, {model.architecture}, {model.size:,} samples"
    entry = experiment.teacher_entry()[1]
    return " ".join([entry["model"], entry.get("tag", "")]).strip()


def root_embeddings(wildcards):
    """The embeddings of the images that the samples of a source or filter have."""
    pool = wildcards.get("filter") or wildcards.pool
    return f"results/embeddings/{experiment.root(pool)}/manifest.json"


def testset_embeddings(wildcards):
    """The embeddings of the test images that a filter compares samples with, in its order."""
    against = experiment.filters[wildcards.filter].get("against", [])
    return [
        f"results/testset_embeddings/{testset}/manifest.json" for testset in against
    ]


def prefixes_of_pool(wildcards):
    return prefixes[wildcards.pool]


def pools_with_trainsets(wildcards):
    """The pools as figures have them, by name; an ensemble has no trainset of its own."""
    own = {
        name: pool for name, pool in plotted_pools.items() if pool["kind"] != "ensemble"
    }
    return canonical(own)


def accuracy_by_similarity(wildcards):
    """The table of accuracies by similarity, where it is measured."""
    made = similarity_products(experiment)
    return ["results/tables/similarity_accuracy.csv"] if made else []


def compared_trainsets(wildcards):
    """Each trainset with its composition and, by architecture, the predictions of its models."""
    return paths.compared_trainsets(experiment)


def predictions_of_trainsets(wildcards):
    return [
        file
        for one in compared_trainsets(wildcards)
        for files in one["predictions"].values()
        for file in files
    ]
