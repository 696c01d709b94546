import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import validate

WORKFLOW = Path(workflow.current_basedir).parent
sys.path.insert(0, str(WORKFLOW / "scripts"))

from testbed.devices import DeviceError, check_gpus
from testbed.errors import ExperimentError
from testbed.experiment import Experiment
from testbed.schema import check_schema
from testbed.slurm import jobs_in
from testbed.work import FORCERUN, FolderBusyError, hold, in_own_process


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


# What the plan of a run found missing. A run with such gaps stops before any work; a dry run tells and goes on.
missing_inputs = {}


def report_missing(key, message):
    if key not in missing_inputs and workflow.dryrun:
        logger.warning(message)
    missing_inputs[key] = message


def missing_gpus():
    """What is wrong where the run's jobs need more GPUs than this machine has; on a cluster, each job looks for itself."""
    if not workflow.local_exec or workflow.touch:
        return []
    jobs = [job for job in workflow.dag.needrun_jobs() if "gpu" in job.rule.resources]
    wanted = [
        job.resources.get("gpu") or 1
        for job in jobs
        if device_of(job.wildcards) == "cuda"
    ]
    try:
        if wanted:
            in_own_process(check_gpus, max(wanted))
    except DeviceError as error:
        return [str(error)]
    return []


onstart:
    # Who only looks may do so while another run is at work.
    is_looking = asked_targets() and asked_targets() <= {"plan", "status"}
    problems = [*missing_inputs.values(), *([] if is_looking else missing_gpus())]
    if problems:
        raise WorkflowError("\n".join(problems))
    if is_looking:
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
    """Metrics of all models on a mixture's plot: its own, its members', their ensemble's, and the baseline's."""
    pools = [wildcards.mixture, *experiment.members(wildcards.mixture)]
    ensemble = experiment.ensemble_of(wildcards.mixture)
    if ensemble:
        pools.append(ensemble)
    baseline = experiment.baseline_pool
    if baseline and baseline not in pools:
        pools.append(baseline)
    return metrics_of(experiment.models(pools))


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
