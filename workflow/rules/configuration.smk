# The configuration's files: where they are, what they hold, and what is said of them.
import copy
import sys
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake.io import sourcecache_entry
from snakemake.utils import update_config

WORKFLOW = Path(workflow.current_basedir).parent
sys.path.insert(0, str(WORKFLOW / "scripts"))

from testbed.planning.config_files import (
    configuration_line,
    is_whole,
    missing_experiment,
    replace_whole,
    repeated_keys,
)
from testbed.experiment.errors import ExperimentError
from testbed.records.shipped import shipped, shipped_name


def shipped_input(path):
    """The input file `path` of the user's or else the workflow's, which Snakemake records by its relative path."""
    file = shipped(path)
    name = shipped_name(file)
    return file if name == file else sourcecache_entry(file, name)


def readable(file):
    """`file`, once it is seen to be YAML: Snakemake would not say where it is not."""
    try:
        if Path(file).is_file():
            repeated_keys(file)
    except ExperimentError as error:
        raise WorkflowError(str(error))
    return file


def add_experiment():
    """Put the file of the experiment that `config` names below what `config` holds already, unless that is whole.

    Not by a line `configfile:`, which Snakemake does not read in a module.
    """
    if workflow.config_settings.replace_workflow_config:
        return
    for layer in map(load_configfile, workflow.overwrite_configfiles):
        replace_whole(config, layer)
    replace_whole(config, workflow.config_settings.config)
    if is_whole(config):
        return
    file = shipped(f"config/{config.get('experiment')}.yaml")
    if Path(file).is_file():
        given = copy.deepcopy(config)
        update_config(config, load_configfile(readable(file)))
        update_config(config, given)
        replace_whole(config, given)
        workflow.configfiles.append(file)
    elif problem := missing_experiment(config):
        raise WorkflowError(problem)


def config_origin():
    """The files that the configuration is made of, for who reads an error about it."""
    given = workflow.overwrite_configfiles
    own = workflow.configfiles[len(given) :]
    settings = workflow.config_settings.overwrite_config
    return configuration_line(own, given, config.get("experiment"), settings)
