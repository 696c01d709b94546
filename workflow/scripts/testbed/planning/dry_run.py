"""An error at the end of a dry run whose jobs could not start."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from snakemake.exceptions import CliException

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


def fail_dry_run(workflow: "Workflow", reasons: Callable[[], str]) -> None:
    """Make a dry run of `workflow` end with `reasons` as an error after its plan, if there are reasons and jobs.

    Snakemake has hooks for the start and the end of a run, but none for a dry run.
    """
    execute = workflow.execute

    def execute_and_fail(*arguments: object, **options: object) -> object:
        result = execute(*arguments, **options)
        if workflow.dryrun and len(workflow.dag) and (message := reasons()):
            raise CliException(message)
        return result

    workflow.execute = execute_and_fail
