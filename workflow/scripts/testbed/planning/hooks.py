"""Handlers that Snakemake does not have: for the end of a dry run, and for the runs of a Snakefile with this module."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake.exceptions import CliException

from testbed.experiment.errors import did_you_mean
from testbed.records.processes import Interruption

if TYPE_CHECKING:
    from snakemake.scheduling.job_scheduler import JobScheduler
    from snakemake.workflow import Workflow

SCRIPTS = Path(__file__).parents[2]
SLOW_MODULES = (
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.figure",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "snakemake.script",
)
"""What most scripts of local rules import."""

INTERRUPT_SECONDS = 0.2
"""How often the scheduler looks whether Ctrl-C was pressed while it waits for jobs."""


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


def refuse_unknown_targets(workflow: "Workflow", products: Callable[[], list[str]]) -> None:
    """Let a command of `workflow` end with an error for a target that no rule makes, with the most similar of `products`.

    Snakemake's own message names no way out.
    """
    execute = workflow.execute

    def execute_known(*arguments: object, **options: object) -> object:
        rules = list(workflow.rules)
        names = {rule.name for rule in rules}
        targets = [str(target) for target in workflow.dag_settings.targets]
        files = {target: target if os.path.isabs(target) else os.path.relpath(target) for target in targets}
        unknown = [
            target
            for target, file in files.items()
            if target not in names and not any(rule.is_producer(file) for rule in rules)
        ]
        if unknown:
            known = [*names, *products()]
            lines = [f"{target}: no rule makes this target.{did_you_mean(target, known)}" for target in unknown]
            raise CliException(
                "\n".join(
                    [*lines, "docs/commands.md has the commands, and docs/outputs.md the files that a run makes."]
                )
            )
        return execute(*arguments, **options)

    workflow.execute = execute_known


def add_handlers(workflow: "Workflow", **handlers: Callable[[], None]) -> None:
    """Let `workflow` call `handlers` (onstart, onsuccess, onerror) before those of its main Snakefile, once each.

    Snakemake calls those of the main Snakefile alone, which may come to stand behind the module that this is called in.
    """
    if hasattr(workflow, "module_handlers"):
        # Each `use rule` statement reads the module again.
        return
    workflow.module_handlers = handlers
    execute = workflow.execute

    def execute_with_handlers(*arguments: object, **options: object) -> object:
        for name, handler in handlers.items():
            setattr(workflow, f"_{name}", in_turn(handler, getattr(workflow, f"_{name}")))
        return execute(*arguments, **options)

    workflow.execute = execute_with_handlers


def wait_for_event_loops(workflow: "Workflow", seconds: float = 5) -> None:
    """Wait until no thread of `workflow` runs an event loop, at most so many seconds.

    At its end Snakemake closes the loops of all its threads. After Ctrl-C one may still run, and closing it is an error with
    a traceback.
    """
    end = time.monotonic() + seconds
    # A copy: threads still add theirs.
    while any(runner.get_loop().is_running() for runner in [*workflow._async_runners.values()]):
        if time.monotonic() > end:
            return
        time.sleep(0.02)


def interrupt_while_waiting(scheduler: "JobScheduler", interrupted: Interruption) -> None:
    """Let Ctrl-C interrupt the loop of `scheduler` where it waits for jobs, and nowhere else.

    Python raises KeyboardInterrupt between any two steps of the main thread. If that is while a job is handed to a thread, a
    lock may stay held, and Snakemake would wait for it forever.
    """
    schedule, acquire = scheduler.schedule, scheduler._open_jobs.acquire

    def wait() -> None:
        while not acquire(timeout=INTERRUPT_SECONDS):
            if interrupted.is_set():
                raise KeyboardInterrupt
        if interrupted.is_set():
            raise KeyboardInterrupt

    def schedule_held() -> bool:
        interrupted.held = True
        try:
            # Also if the last job had just ended: a run that was interrupted does not succeed.
            return schedule() and not interrupted.is_set()
        finally:
            interrupted.held = False

    scheduler._open_jobs.acquire = wait
    scheduler.schedule = schedule_held


def schedule_on_events(workflow: "Workflow") -> None:
    """Let the scheduler of `workflow` look for jobs when one has ended, and not on timers that multiply.

    Snakemake limits the jobs that are submitted per second. While jobs are ready, it looks again after each second, and each
    job that ends adds such a timer for good. After some hundred jobs, this takes all of a core. Local jobs need no
    limit. On a cluster one timer is enough.
    """
    scheduler = workflow.scheduler
    if workflow.local_exec:
        scheduler.job_rate_limiter = None
    waits = threading.Event()

    def look_again() -> None:
        # In this order: what is released may ask for the next timer at once.
        waits.clear()
        scheduler._open_jobs.release()

    def schedule_reevaluation(delay: float) -> None:
        if not waits.is_set():
            waits.set()
            timer = threading.Timer(delay, look_again)
            timer.daemon = True
            timer.start()

    scheduler._schedule_reevalutation = schedule_reevaluation


def report_failed_submissions(workflow: "Workflow") -> None:
    """Let a job of `workflow` fail that its executor cannot submit.

    The executor for SLURM submits jobs in threads, and nobody looks at what they raise: with an account that does not exist,
    the run would wait for ever.
    """
    from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

    executor = workflow.scheduler._executor
    report = getattr(executor, "_report_job_error_threadsafe", None)
    if report is None:
        return
    submit = executor.run_job

    def submit_or_report(job: object) -> None:
        try:
            submit(job)
        except Exception as error:
            report(SubmittedJobInfo(job), f"It cannot be submitted: {error}")

    executor.run_job = submit_or_report


def start_warm(workflow: "Workflow") -> None:
    """Let this project's scripts of local rules run in forks of a process that has imported `SLOW_MODULES`.

    These are the rules whose jobs take seconds, most of which would be the import of pandas and matplotlib. A script that
    calls `run_warm` itself has modules of its own.
    """
    from snakemake.script import PythonScript

    write = PythonScript.write_script
    # Before Snakemake's own lines, which import it.
    call = (
        f"import sys; sys.path.append({str(SCRIPTS)!r}); from testbed.records.warm_worker import run_warm; "
        f"run_warm(*{SLOW_MODULES!r})\n"
    )

    def write_warm(script: PythonScript, preamble: str, file: object) -> None:
        # Scripts of a workflow that has this one as a module run as they would without it.
        is_own = (SCRIPTS / script.path.get_filename()).is_file()
        if is_own and script.rulename in workflow._localrules and "run_warm(" not in script.source:
            preamble = call + preamble
        write(script, preamble, file)

    PythonScript.write_script = write_warm


def in_turn(first: Callable[[], None], second: Callable[[object], None]) -> Callable[[object], None]:
    def both(log: object) -> None:
        first()
        second(log)

    return both
