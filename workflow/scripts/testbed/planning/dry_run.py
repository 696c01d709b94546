"""How a dry run ends that plans jobs which could not start."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from snakemake.exceptions import CliException

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


def fail_dry_run(workflow: "Workflow", reasons: Callable[[], str]) -> None:
    """Let a dry run of `workflow` end with `reasons` as an error behind its plan, where there are some and jobs to do.

    Snakemake has hooks for the start and the end of a run, and none for a dry run.
    """
    execute = workflow.execute

    def execute_and_fail(*arguments: object, **options: object) -> object:
        result = execute(*arguments, **options)
        if workflow.dryrun and len(workflow.dag) and (message := reasons()):
            raise CliException(message)
        return result

    workflow.execute = execute_and_fail
