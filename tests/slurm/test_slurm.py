"""The shipped profile on a real SLURM: the whole chain, who got which GPUs, and trainings that are ended in every way."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster import PATIENCE, Cluster, wait_for

from runs import CLUSTER, ROOT, copy_workflow, snakemake_command
from testbed.training.checkpoints import last_step

TRAININGS = ROOT / "tests" / "config" / "slurm_trainings.yaml"
QUICK = ["--slurm-init-seconds-before-status-checks", 2, "--max-status-checks-per-second", 2, "--latency-wait", 5]
"""The profile's patience is for clusters with thousands of jobs."""

DOWN = ("down", "down*")


def command(*arguments: object) -> list[str]:
    return snakemake_command("--profile", "slurm", *arguments, *QUICK)


class Training:
    """A training that Snakemake sends to the cluster, in a folder that has its trainset."""

    def __init__(self, cluster: Cluster, folder: Path, architecture: str, *options: object):
        self.cluster, self.folder = cluster, folder
        self.name = f"mini_yfcc-{architecture}-220-0"
        self.model = folder / "results" / "models" / self.name
        self.target = f"results/models/{self.name}/manifest.json"
        self.options = ["--configfile", CLUSTER, TRAININGS, *options]

    @contextmanager
    def under_way(self) -> Iterator[subprocess.Popen]:
        with open(self.folder / "run.log", "a") as log:
            process = subprocess.Popen(
                command(self.target, *map(str, self.options)),
                cwd=self.folder,
                env=self.cluster.environment,
                stdout=log,
                stderr=log,
            )
            try:
                yield process
            finally:
                process.kill()

    def job(self) -> tuple[str, str] | None:
        """Id and state of its job, waiting or running."""
        jobs = [(job, state) for job, state, comment in self.cluster.queue() if self.name_in(comment)]
        assert len(jobs) < 2, f"two jobs for one model: {jobs}"
        return jobs[0] if jobs else None

    def name_in(self, comment: str) -> bool:
        return all(word in comment for word in self.name.split("-")[:2])

    def checkpoints(self) -> int:
        """How many checkpoints the training has written; there is one every 66 steps."""
        return last_step(self.model / "work") // 66

    def reach(self, checkpoints: int) -> str:
        """Wait until the training has so many checkpoints; the id of its job."""
        wait_for(lambda: self.checkpoints() >= checkpoints, f"checkpoint {checkpoints}:\n{self.said()}")
        return self.job()[0]

    def resumed_at(self) -> int | None:
        """The number of checkpoints that the trainer's last start went on from."""
        found = re.findall(r"resuming at step (\d+) of", self.log())
        return int(found[-1]) // 66 if found else None

    def leaves(self, job: str) -> None:
        """Wait until Snakemake has sent another job than the one that has ended."""
        # Asked once for each look: a job may end between two.
        wait_for(lambda: (self.job() or (job, ""))[0] != job, f"a job after {job}:\n{self.said()}")

    def log(self) -> str:
        path = self.folder / "results" / "logs" / "train_clip" / f"{self.name}.log"
        return path.read_text() if path.is_file() else ""

    def said(self) -> str:
        return (self.folder / "run.log").read_text()[-3000:] + self.log()[-2000:]

    def went_on(self, before: int) -> None:
        """Wait for a further start, and see that it repeats less than one part."""
        wait_for(lambda: (self.resumed_at() or 0) >= before, f"a start from checkpoint {before}:\n{self.said()}")

    def interruptions(self, job: str) -> int:
        """How often a training says in the output of `job` that a signal ended it.

        SLURM keeps the output of all starts of a job; what the training leaves in its folder goes with its next start.
        """
        (path,) = self.folder.glob(f"results/logs/slurm/**/{job}.log")
        return path.read_text().count("interrupted (SIGTERM);")

    def ends_well(self, process: subprocess.Popen, epochs: int) -> None:
        # However long it takes on a busy machine, as long as it goes on.
        while process.poll() is None:
            done = self.checkpoints()
            wait_for(
                lambda done=done: self.checkpoints() != done or process.poll() is not None,
                f"more than checkpoint {done}:\n{self.said()}",
            )
        assert process.returncode == 0, self.said()
        entry = json.loads((self.model / "manifest.json").read_text())
        assert (entry["epochs"], entry["samples_seen"]) == (epochs, epochs * 220)
        assert not (self.model / "interrupted.json").exists()


@pytest.fixture
def train(cluster, trainset, tmp_path):
    """A function that prepares a training in a copy of the folder with its trainset."""
    folder = shutil.copytree(trainset, tmp_path / "clone", symlinks=True)
    return lambda architecture, *options: Training(cluster, folder, architecture, *options)


def jobs_by_rule(cluster: Cluster, folder: Path) -> dict[str, list[dict[str, str]]]:
    """What SLURM gave to the jobs of a folder: its fields, by rule."""
    rules: dict[str, list[dict[str, str]]] = {}
    for line in cluster.run("scontrol", "show", "job", "--details", "--oneliner").stdout.splitlines():
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if fields.get("WorkDir") == str(folder):
            rule = re.match(r"rule_(.+?)(_wildcards|$)", fields["Comment"])[1]
            rules.setdefault(rule, []).append(fields)
    return rules


def memory_of(fields: dict[str, str]) -> str:
    return re.search(r"mem=(\w+)", fields["TRES"])[1]


def logs_of(folder: Path) -> list[Path]:
    return list(folder.glob("results/logs/train_clip/*.log"))


def test_the_whole_chain_runs_on_the_cluster(cluster, tmp_path):
    folder = copy_workflow(tmp_path / "clone")
    ran = subprocess.run(
        command("--configfile", CLUSTER), cwd=folder, env=cluster.environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert (folder / "results" / "plots" / "effective_robustness.pdf").stat().st_size > 5000
    jobs = jobs_by_rule(cluster, folder)
    counts = {rule: len(found) for rule, found in jobs.items()}
    # Everything else takes seconds, and is no job.
    lists = {"prepare_metadata": 2, "shuffle_metadata": 2, "download_images": 2, "shard_samples": 2}
    cards = {"list_samples": 2, "describe_pool": 2}
    assert counts == {**lists, **cards, "decode_testset": 2, "train_clip": 5, "evaluate_clip": 5}
    for rule, found in jobs.items():
        for fields in found:
            assert fields["JobState"] == "COMPLETED"
            assert fields["JOB_GRES"] == ("gpu:1" if rule in ("train_clip", "evaluate_clip") else "(null)"), rule
    assert {memory_of(fields) for fields in jobs["train_clip"]} == {"2000M"}
    assert {fields["TimeLimit"] for fields in jobs["train_clip"]} == {"00:20:00"}
    seen = [re.search(r"CUDA_VISIBLE_DEVICES=(\S+)", log.read_text())[1] for log in logs_of(folder)]
    assert len(seen) == 5 and set(seen) <= {"0", "1"}


def test_two_devices_of_a_node_share_a_job_that_gets_more_memory(train, cluster):
    training = train("mini_two")
    with training.under_way() as process:
        training.ends_well(process, 4)
    assert "Process (global: 0, local 0), total 2." in training.log()
    jobs = jobs_by_rule(cluster, training.folder)["train_clip"]
    got = [(fields["JobState"], memory_of(fields)) for fields in jobs]
    assert got == [("FAILED", "2000M"), ("COMPLETED", "4000M")]
    # Both GPUs of one node, and for each a core for the trainer, which loads its data itself.
    asked = {(fields["JOB_GRES"], fields["NumNodes"], fields["CPUs/Task"]) for fields in jobs}
    assert asked == {("gpu:2", "1", "2")}


def test_two_nodes_share_a_training(train, cluster):
    training = train("mini_nodes")
    with training.under_way() as process:
        training.ends_well(process, 4)
    assert "Process (global: 0, local 0), total 2." in training.log()
    (fields,) = jobs_by_rule(cluster, training.folder)["train_clip"]
    assert (fields["JOB_GRES"], fields["NumNodes"]) == ("gpu:2", "2")


def test_a_training_survives_all_that_a_cluster_does_to_it(train, cluster):
    """Cancelled, out of time, back in the queue, its node gone, preempted, Snakemake killed: nothing is lost."""
    training = train("mini_slow", "--set-resources", "train_clip:slurm_partition=scavenge")
    with training.under_way() as process:
        job = training.reach(2)
        before = training.checkpoints()
        cluster.run("scancel", job)
        training.leaves(job)
        training.went_on(before)

        job = training.reach(before + 3)
        cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=1")
        training.leaves(job)
        before = training.checkpoints()
        assert training.interruptions(job) == 1
        training.went_on(before)

        job = training.reach(before + 3)
        before = training.checkpoints()
        cluster.run("scontrol", "requeue", job)
        training.went_on(before)
        assert training.job()[0] == job

        job = training.reach(before + 3)
        before = training.checkpoints()
        node = cluster.run("squeue", "-h", "-j", job, "-o", "%N").stdout.strip()
        cluster.fail_node(node)
        wait_for(lambda: cluster.state_of(node) in DOWN, f"{node} to be missed")
        training.went_on(before)
        assert training.job()[0] == job
        cluster.start_node(node)

        job = training.reach(before + 3)
        before = training.checkpoints()
        interruptions = training.interruptions(job)
        cluster.run("sbatch", "-p", "gpu", "-N2", "--gpus-per-node=2", "-o", "/dev/null", "--wrap", "sleep 3")
        wait_for(lambda: training.interruptions(job) > interruptions, "the training to be preempted")
        training.went_on(before)
        assert training.job()[0] == job

        training.reach(before + 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    # Its job goes on, and nothing else is sent into the folder.
    with training.under_way() as process:
        assert process.wait(PATIENCE) != 0
    assert f"scancel {job}" in training.said()
    assert training.job()[0] == job
    before = training.checkpoints()
    cluster.run("scancel", job)
    wait_for(lambda: training.job() is None, "the job to end")
    with training.under_way() as process:
        training.went_on(before)
        training.ends_well(process, 600)


def test_a_training_longer_than_its_time_goes_on(train, cluster):
    """It sees that its time runs out and goes back into the queue by itself, again and again."""
    training = train("mini_short")
    with training.under_way() as process:
        training.ends_well(process, 300)
    (fields,) = jobs_by_rule(cluster, training.folder)["train_clip"]
    assert int(fields["Restarts"]) >= 1


def test_an_account_that_does_not_exist_ends_the_run(train, cluster, tmp_path):
    """The executor asks for a user's accounts in a thread. The test's cluster keeps none, so a stand-in answers."""
    training = train("mini_two", "--set-resources", "train_clip:slurm_account=lab1", "--retries", 0)
    accounts = tmp_path / "bin" / "sacctmgr"
    accounts.parent.mkdir()
    accounts.write_text("#!/bin/sh\necho lab2\n")
    accounts.chmod(0o755)
    path = f"{accounts.parent}:{cluster.environment['PATH']}"
    ran = subprocess.run(
        command(training.target, *map(str, training.options)),
        cwd=training.folder,
        env=cluster.environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 1
    assert "It cannot be submitted: The given account lab1 appears to be invalid." in ran.stdout + ran.stderr
