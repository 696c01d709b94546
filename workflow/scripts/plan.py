"""Say what an experiment takes, stage by stage, and how much of it is done.

In:  nothing but the experiment
Out: a table on standard output
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from testbed.experiment import Experiment
from testbed.log import log_to

if TYPE_CHECKING:
    from snakemake.script import snakemake


class Stage(NamedTuple):
    """One rule's jobs: the work in them, in words, and the products that say which are done."""

    rule: str
    work: str
    products: list[str]


def stages_of(experiment: Experiment) -> list[Stage]:
    """The stages that take time, in the order of the chain."""
    sources, models = experiment.sources, experiment.models()
    epochs = {name: entry["epochs"] for name, entry in experiment.config["architectures"].items()}
    urls = sum(entry["samples"] for entry in sources.values())
    seen = sum(model.size * epochs[model.architecture] for model in models)
    trainsets = sorted({f"{model.pool}/{model.size}" for model in models})
    parts = [f"{source}/{part}" for source in sources for part in experiment.parts(source)]
    return [
        Stage(
            "prepare_metadata",
            f"{len(sources)} released lists",
            [f"results/metadata/{source}/pairs.parquet" for source in sources],
        ),
        Stage("download_images", f"{urls:,} URLs", [f"results/downloads/{part}/manifest.json" for part in parts]),
        Stage(
            "shard_samples",
            f"at most {urls:,} images",
            [f"results/shards/{source}/manifest.json" for source in sources],
        ),
        Stage("link_trainset", "links", [f"results/trainsets/{trainset}/manifest.json" for trainset in trainsets]),
        Stage(
            "train_clip", f"{seen:,} samples seen", [f"results/models/{model.name}/manifest.json" for model in models]
        ),
        Stage(
            "evaluate_clip",
            f"{len(models)} models on {len(experiment.testsets)} test sets",
            [f"results/evaluations/{model.name}/metrics.csv" for model in models],
        ),
    ]


def table_of(stages: list[Stage]) -> str:
    """A line per stage under a header: rule, jobs, those done, work."""
    rows = [("stage", "jobs", "done", "work")]
    for stage in stages:
        done = sum(Path(product).is_file() for product in stage.products)
        rows.append((stage.rule, str(len(stage.products)), str(done), stage.work))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].rjust(widths[2]), row[3]]) for row in rows
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    print(table_of(stages_of(Experiment(dict(snakemake.params.experiment)))))
