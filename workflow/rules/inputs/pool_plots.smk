# What pool_plots.smk asks of the experiment.
from testbed.experiment import products as paths


def pool_manifests(wildcards):
    return [
        paths.model_manifest(model) for model in experiment.models([wildcards.pool])
    ]


def pool_curves(wildcards):
    return paths.curves_of(experiment, wildcards.pool)


def mixture_members(wildcards):
    return experiment.members(wildcards.mixture)


def mixture_metrics(wildcards):
    return paths.figure_metrics(experiment, wildcards.mixture)


def filter_origin(wildcards):
    return paths.origins_of(experiment, wildcards.filter)


def filter_metrics(wildcards):
    return paths.figure_metrics(experiment, wildcards.filter)


def ensemble_members(wildcards):
    return experiment.members(wildcards.ensemble)


def ensemble_metrics(wildcards):
    return paths.figure_metrics(experiment, wildcards.ensemble)


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
