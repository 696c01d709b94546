# What happens when a run starts, is interrupted and ends.
import os

from snakemake.exceptions import WorkflowError

from testbed.planning.hooks import (
    add_handlers,
    interrupt_while_waiting,
    report_failed_submissions,
    schedule_on_events,
    start_warm,
    wait_for_event_loops,
)
from testbed.models.devices import DeviceError, check_gpus
from testbed.training.slurm import jobs_in
from testbed.records.warm_worker import WORKER, start_worker
from testbed.records.processes import (
    FORCERUN,
    end_jobs_on_interrupt,
    end_jobs_on_terminate,
    in_own_process,
)
from testbed.records.locks import FolderBusyError, NoLocksError, acquire_lock
from testbed.records.display import Display
from testbed.records.messages import Messages


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


# Snakemake's own prefix, and that jobs ignore Ctrl-C: Snakemake's process ends them.
shell.prefix("set -euo pipefail; trap '' INT; ")
interrupted = end_jobs_on_interrupt()


def show_messages():
    """Show Snakemake's messages as people read them: bars in a terminal, lines elsewhere; returns the bars or None.

    Where the user names another logger (--logger), that one shows what it shows.
    """
    for handler in list(logger.handlers):
        if handler.name == "DefaultStreamHandler":
            handler.setFormatter(Messages(handler.formatter, interrupted))
            if (
                workflow.is_main_process
                and not workflow.output_settings.dryrun
                and handler.can_color_tty()
            ):
                display = Display(handler.stream, handler.formatter)
                for one in handler.filters:
                    display.addFilter(one)
                logger.removeHandler(handler)
                logger.addHandler(display)
                return display
    return None


display = show_messages()


onstart:
    end_jobs_on_terminate()
    interrupt_while_waiting(workflow.scheduler, interrupted)
    schedule_on_events(workflow)
    report_failed_submissions(workflow)
    # Who only looks may do so while another run is at work.
    is_looking = asked_targets() and asked_targets() <= {"plan", "status"}
    if not is_looking:
        report_missing(*missing_gpus())
    if missing_inputs:
        raise WorkflowError(reasons_not_to_start())
    if is_looking:
        return
    # Snakemake's own locks are files, which a killed run leaves behind; profiles/default switches them off.
    try:
        workflow.held = acquire_lock(".snakemake")
    except (FolderBusyError, NoLocksError) as error:
        raise WorkflowError(str(error))
    # Jobs outlive a Snakemake that is killed, and another run would send them a second time.
    if jobs := jobs_in("."):
        raise WorkflowError(
            f"SLURM still has {len(jobs)} jobs of an earlier run in this folder. Wait until they are done, or end them "
            f"(scancel {' '.join(jobs)}), and run the same command again. What is done is kept in either case."
        )
    # Cluster jobs do not see the user's command line, but inherit the environment.
    os.environ[FORCERUN] = " ".join(sorted(workflow.dag_settings.forcerun))
    # Before the worker starts, whose jobs write to what is the terminal then.
    if display:
        display.start()
    if workflow.local_exec and WORKER not in os.environ:
        try:
            workflow.worker = start_worker(".snakemake/worker")
            os.environ[WORKER] = ".snakemake/worker"
            start_warm(workflow)
        except OSError as error:
            logger.warning(f"Jobs start without a warm worker: {error}")


onerror:
    if display:
        display.stop()
    if interrupted.is_set():
        logger.info(
            "Interrupted. What is done is kept, and the same command goes on from there."
        )
        wait_for_event_loops(workflow)


onsuccess:
    if display:
        display.stop()
    # Not where a run made single files, or told something (plan, status, verify).
    if any(job.rule.name == "all" for job in workflow.dag.finished_jobs):
        cards = "what is in the data   results/report/pools.html\n"
        logger.info(
            "effective robustness  results/plots/effective_robustness.pdf, and other plots beside it\n"
            "to explore            results/report/explore.html, in a browser\n"
            f"{cards if config['cards']['make'] else ''}"
            "the paper's findings  results/report/claims.html\n"
            "tables                results/tables/\n"
            "where it comes from   results/provenance.csv; what to cite: results/citations.bib"
        )


if not workflow.modifier.is_main_snakefile():
    add_handlers(workflow, onstart=onstart, onsuccess=onsuccess, onerror=onerror)
