# What is said of the configuration's files, before and after they are read.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

WORKFLOW = Path(workflow.current_basedir).parent
sys.path.insert(0, str(WORKFLOW / "scripts"))

from testbed.planning.config_files import configuration_line, repeated_keys
from testbed.experiment.errors import ExperimentError


def readable(file):
    """`file`, once it is seen to be YAML: Snakemake would not say where it is not."""
    try:
        if Path(file).is_file():
            repeated_keys(file)
    except ExperimentError as error:
        raise WorkflowError(str(error))
    return file


def config_origin():
    """The files that the configuration is made of, for who reads an error about it."""
    given = workflow.overwrite_configfiles
    own = workflow.configfiles[len(given) :]
    settings = workflow.config_settings.overwrite_config
    return configuration_line(own, given, config["experiment"], settings)
