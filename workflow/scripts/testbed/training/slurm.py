"""What is asked of SLURM: when this job ends, that it goes back into the queue, and which jobs are still about.

Snakemake's SLURM plugin leaves nothing but the job's id of SLURM's environment, so that the rest has to be asked for.
"""

import logging
import os
import subprocess
import time
from datetime import datetime
from pathlib import Path

# Not the root's, which would be set up by its first message in the process of Snakemake itself.
logger = logging.getLogger(__name__)

REQUEUE_SECONDS = 120.0
"""How long a job that is to go back into the queue waits to be ended by SLURM."""


def ask(*command: str) -> str | None:
    """What one of SLURM's commands prints, or None where it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except FileNotFoundError:
        return None
    except (OSError, subprocess.SubprocessError) as error:
        logger.info("%s: %s", " ".join(command), error)
        return None


def end_of_job() -> float | None:
    """When this SLURM job's time is over, in seconds since 1970; None where there is no such time."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return None
    try:
        return datetime.fromisoformat(ask("squeue", "--noheader", "--format=%e", "--job", job) or "").timestamp()
    except ValueError:
        return None


def go_on_later() -> None:
    """Put this SLURM job back into the queue and wait for SLURM to end it; returns where that cannot be had."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job or ask("scontrol", "requeue", job) is None:
        return
    logger.info("back into the queue; the job goes on when its turn comes")
    time.sleep(REQUEUE_SECONDS)


def jobs_in(folder: Path | str) -> list[str]:
    """Ids of this user's jobs, waiting or running, that Snakemake sent to SLURM from `folder`."""
    listed = ask("squeue", "--noheader", "--me", "--format=%i|%Z|%k") or ""
    jobs = [line.split("|", 2) for line in listed.splitlines()]
    return [job for job, place, comment in jobs if place == str(Path(folder).resolve()) and comment.startswith("rule_")]
