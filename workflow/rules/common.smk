# The experiment, names of wildcards, what jobs would miss, and what a run makes.
from functools import partial
from pathlib import Path

from snakemake.exceptions import WorkflowError

from testbed.planning.config_files import repeated_keys
from testbed.planning.hooks import fail_dry_run, refuse_unknown_targets
from testbed.experiment.errors import ExperimentError
from testbed.planning.given_files import table_problems
from testbed.planning.schema import load_experiment
from testbed.experiment.products import metrics_of, predictions_of
from testbed.experiment.targets import all_products
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
    group="[0-9]{5}",
    table="[a-z][a-z0-9_]*",


def testsets_by(key):
    """A regular expression for the names of the test sets whose entries have `key`; nothing fits it where none has."""
    names = [name for name, entry in experiment.testsets.items() if key in entry]
    return "|".join(names) or "(?!)"


def sources_by(*keys):
    """A regular expression for the names of the sources whose entries have one of `keys`; nothing fits it where none has."""
    names = [
        name
        for name, entry in experiment.sources.items()
        if not entry.keys().isdisjoint(keys)
    ]
    return "|".join(names) or "(?!)"


# What the jobs of a run would miss. It stops before any work, and a dry run says so at its end.
missing_inputs = vars(workflow).setdefault("missing_inputs", [])


def report_missing(*problems):
    missing_inputs.extend(line for line in problems if line not in missing_inputs)


def reasons_not_to_start():
    return "\n".join([*missing_inputs, config_origin()]) if missing_inputs else ""


report_missing(*table_problems(config))
fail_dry_run(workflow, reasons_not_to_start)
refuse_unknown_targets(workflow, partial(all_products, experiment))


def growing(amount):
    """A resource that is asked for once more in each further attempt, because too little may have been the cause."""

    def by_attempt(wildcards, attempt):
        return amount * attempt

    return by_attempt


def within_limit(minutes):
    """The time that a job asks for: a partition lets a job wait for ever that asks for more than it allows."""
    return min(minutes, config["max_runtime"] or minutes)


def growing_time(minutes):
    """`growing`, for times."""

    def by_attempt(wildcards, attempt):
        return within_limit(minutes * attempt)

    return by_attempt


def asked_targets():
    """What the command asks for by name: its targets, and files behind --forcerun, which takes every word after it."""
    settings = workflow.dag_settings
    forced_files = [word for word in settings.forcerun if "/" in word]
    return {str(target) for target in [*settings.targets, *forced_files]}


def products(wildcards):
    """What a run makes: all plots and tables, or nothing but the files that the command names."""
    asked = asked_targets()
    return [] if asked and "all" not in asked else all_products(experiment)
