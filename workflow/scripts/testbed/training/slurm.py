"""Queries and requests to SLURM: the end time of this job, its requeueing, and the jobs of a run.

Snakemake's SLURM plugin keeps only the job id of SLURM's environment variables, so SLURM's commands give the rest.
"""

import logging
import os
import subprocess
import time
from datetime import datetime
from pathlib import Path

# Not the root logger: a first message would configure it in Snakemake's own process.
logger = logging.getLogger(__name__)

REQUEUE_SECONDS = 120.0
"""How long a requeued job waits for SLURM to end it."""


def run_slurm_command(*command: str) -> str | None:
    """The output of a SLURM command, or None if the command does not exist or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except FileNotFoundError:
        return None
    except (OSError, subprocess.SubprocessError) as error:
        logger.info("%s: %s", " ".join(command), error)
        return None


def job_end_time() -> float | None:
    """The end of this SLURM job's time limit, in seconds since 1970; None if there is none."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return None
    try:
        end = run_slurm_command("squeue", "--noheader", "--format=%e", "--job", job)
        return datetime.fromisoformat(end or "").timestamp()
    except ValueError:
        return None


def requeue_job() -> None:
    """Requeue this SLURM job and wait for SLURM to end it; returns if it cannot be requeued."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job or run_slurm_command("scontrol", "requeue", job) is None:
        return
    logger.info("requeued; SLURM will start this job again, and the training resumes from its last checkpoint")
    time.sleep(REQUEUE_SECONDS)


def jobs_in(folder: Path | str) -> list[str]:
    """Ids of this user's pending and running jobs that Snakemake submitted to SLURM from `folder`."""
    listed = run_slurm_command("squeue", "--noheader", "--me", "--format=%i|%Z|%k") or ""
    jobs = [line.split("|", 2) for line in listed.splitlines()]
    here = str(Path(folder).resolve())
    return [job for job, directory, comment in jobs if directory == here and comment.startswith("rule_")]
