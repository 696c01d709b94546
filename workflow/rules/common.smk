from dataclasses import astuple
from pathlib import Path

from snakemake.exceptions import WorkflowError

from testbed.planning.config_files import repeated_keys
from testbed.planning.hooks import fail_dry_run
from testbed.experiment.errors import ExperimentError
from testbed.planning.given_files import table_problems
from testbed.planning.schema import load_experiment
from testbed.experiment.settings import canonical, product_settings


def checked_experiment():
    """The experiment in `config`, with all defaults filled in; all that is wrong with it is one error."""
    problems = []
    try:
        problems += [
            line for file in workflow.configfiles for line in repeated_keys(file)
        ]
        experiment = load_experiment(
            config, WORKFLOW / "schemas" / "experiment.schema.yaml"
        )
    except ExperimentError as error:
        problems.append(str(error))
    if problems:
        raise WorkflowError("\n".join([*problems, config_origin()]))
    return experiment


experiment = checked_experiment()
# What rules get as parameters. What only says how to work, scripts read from snakemake.config.
settings = product_settings(config)
plotted_pools = canonical({pool["name"]: pool for pool in experiment.plotted_pools()})
workflow.register_resource("downloads", config["download"]["jobs"])


wildcard_constraints:
    source="|".join(experiment.sources),
    pool="|".join(experiment.pools),
    mixture="|".join(experiment.mixtures) or "none",
    ensemble="|".join(experiment.ensembles) or "none",
    filter="|".join(experiment.filters) or "none",
    architecture="|".join(config["architectures"]),
    pretrained="|".join(experiment.pretrained) or "none",
    network="|".join([*config["architectures"], *experiment.pretrained]),
    testset="|".join(experiment.testsets),
    size="[0-9]+",
    seed="[0-9]+",
    part="[0-9]{5}",
    table="[a-z][a-z0-9_]*",


def testsets_by(key):
    """A regular expression for the names of the test sets whose entries have `key`; nothing fits it where none has."""
    names = [name for name, entry in experiment.testsets.items() if key in entry]
    return "|".join(names) or "(?!)"


# What the jobs of a run would miss. It stops before any work, and a dry run says so at its end.
missing_inputs = vars(workflow).setdefault("missing_inputs", [])


def report_missing(*problems):
    missing_inputs.extend(line for line in problems if line not in missing_inputs)


def reasons_not_to_start():
    return "\n".join([*missing_inputs, config_origin()]) if missing_inputs else ""


report_missing(*table_problems(config))
fail_dry_run(workflow, reasons_not_to_start)


def growing(amount):
    """A resource that is asked for once more in each further attempt, because too little may have been the cause."""

    def by_attempt(wildcards, attempt):
        return amount * attempt

    return by_attempt


def metrics_of(models):
    return [f"results/evaluations/{model.name}/metrics.csv" for model in models]


def pool_manifests(wildcards):
    return [
        f"results/models/{model.name}/manifest.json"
        for model in experiment.models([wildcards.pool])
    ]


def pool_curves(wildcards):
    """Where the learning curve of each model of a pool lies, and what to say of it."""
    models = experiment.models([wildcards.pool])
    return [
        {
            "curve": f"results/models/{model.name}/training.csv",
            "batch_size": config["architectures"][model.architecture]["batch_size"],
            **vars(model),
        }
        for model in sorted(models, key=astuple)
    ]


def mixture_members(wildcards):
    return experiment.members(wildcards.mixture)


def mixture_metrics(wildcards):
    """Metrics of all models on a mixture's plot: its own, its members', their ensemble's, and the baseline's; sorted."""
    pools = [wildcards.mixture, *experiment.members(wildcards.mixture)]
    ensemble = experiment.ensemble_of(wildcards.mixture)
    if ensemble:
        pools.append(ensemble)
    baseline = experiment.baseline_pool
    if baseline and baseline not in pools:
        pools.append(baseline)
    return sorted(metrics_of(experiment.models(pools)))


def reference_models(wildcards):
    """The table of public models that stand behind the experiment's own, where it asks for them."""
    return (
        "results/tables/reference_models.csv"
        if config["reference_models"] != "none"
        else []
    )


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
        "results/report/explore.html",
        "results/plots/data_efficiency.pdf",
        "results/tables/effective_robustness.csv",
        "results/tables/dilution.csv",
        "results/tables/scaling.csv",
        "results/claims.csv",
        *(f"results/plots/mixtures/{mixture}.pdf" for mixture in experiment.mixtures),
        *(
            f"results/plots/learning_curves/{pool}.pdf"
            for pool in experiment.pools
            if experiment.sizes(pool)
        ),
        *filter_plots(),
        "results/plots/theory.pdf",
        "results/plots/contrastive.pdf",
        "results/provenance.csv",
        "results/citations.bib",
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
