"""A real SLURM on this machine: munged, slurmctld and a slurmd for each pretended node, with pretended GPUs.

All of it lives in one folder and listens on loopback alone. GPUs are links to /dev/null: a device file is what SLURM needs
to hand out indices in CUDA_VISIBLE_DEVICES.
"""

import getpass
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("srun", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct")
PACKAGES = "slurmctld slurmd slurm-client munge"
GPUS = 2
PATIENCE = 300.0
"""Seconds to wait for what SLURM or a job does; on a machine with other work all of it takes longer."""

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobFileAppend=1
MinJobAge=3600
KillWait=5
SlurmdTimeout=10
BatchStartTimeout=30
{bind}
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=2-00:00:00 PriorityTier=10 PreemptMode=OFF
PartitionName=gpu Nodes=ALL MaxTime=2-00:00:00 PriorityTier=10 PreemptMode=OFF
PartitionName=scavenge Nodes=ALL MaxTime=2-00:00:00 PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
"""


def missing() -> list[str]:
    """What of SLURM is not installed."""
    return [name for name in (*DAEMONS, *CLIENTS) if shutil.which(name, path=search_path()) is None]


def search_path() -> str:
    return os.environ["PATH"] + ":/usr/sbin:/sbin"


def wait_for(condition: Callable[[], object], what: str, patience: float = PATIENCE):
    """The first true value of `condition`; fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        time.sleep(0.1)
    return value


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row, below those that the system gives to connections."""
    # Two clusters on a machine begin their search in different places.
    first = 10_000 + 10 * (os.getpid() % 1000)
    for port in range(first, 32_000 - count, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", port + offset))
            return port
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise OSError(f"no {count} free ports in a row between {first} and 32000")


def children_of(pid: int) -> list[int]:
    """All processes below a process."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        parents[int(text.split(" ", 1)[0])] = int(text.rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, above in parents.items() if above == parent]
    return found[1:]


class Cluster:
    """`nodes` nodes with two pretended GPUs each, whose state is in `folder`."""

    def __init__(self, folder: Path, nodes: int = 2):
        self.folder = folder
        self.nodes = [f"node{number + 1}" for number in range(nodes)]
        for name in ("bin", "state", "spool", "dev"):
            (folder / name).mkdir(parents=True)
        self.configuration = folder / "slurm.conf"
        self.configure()
        # The executor takes SLURM_* variables out of a job's environment, SLURM_CONF too, but leaves PATH.
        for client in CLIENTS:
            real = shutil.which(client, path=search_path())
            script = folder / "bin" / client
            script.write_text(f'#!/bin/sh\nexport SLURM_CONF={self.configuration}\nexec {real} "$@"\n')
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.environment = os.environ | {
            "SLURM_CONF": str(self.configuration),
            "PATH": f"{folder / 'bin'}:{search_path()}",
        }

    def configure(self) -> None:
        port = free_ports(1 + len(self.nodes))
        host = socket.gethostname()
        try:
            socket.gethostbyname(host)
            bind = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"
        except OSError:
            bind = ""
        facts = f"NodeHostname={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:{GPUS} State=UNKNOWN"
        nodes = "\n".join(f"NodeName={node} Port={port + 1 + number} {facts}" for number, node in enumerate(self.nodes))
        fill = {
            "host": host,
            "port": port,
            "user": getpass.getuser(),
            "folder": self.folder,
            "bind": bind,
            "nodes": nodes,
        }
        self.configuration.write_text(CONFIGURATION.format(**fill))
        for number in range(GPUS):
            (self.folder / "dev" / f"nvidia{number}").symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/dev/nvidia[0-{GPUS - 1}]\n")

    def start(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        options = {"key-file": key, "socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munged.log"}
        options["seed-file"] = "munge.seed"
        # --force: folders of tests may be below one that all may write to.
        self.run("munged", "--force", *(f"--{name}={self.folder / value}" for name, value in options.items()))
        self.run("slurmctld", "-i")
        wait_for(lambda: self.run("scontrol", "ping", check=False).returncode == 0, "slurmctld")
        for node in self.nodes:
            self.start_node(node)

    def start_node(self, node: str) -> None:
        (self.folder / "spool" / node).mkdir(exist_ok=True)
        self.run("slurmd", "-N", node)
        wait_for(lambda: self.state_of(node) in ("idle", "mixed", "allocated"), f"{node} to be up")

    def state_of(self, node: str) -> str:
        return self.run("sinfo", "-h", "-n", node, "-p", "gpu", "-o", "%T").stdout.strip()

    def fail_node(self, node: str) -> None:
        """What a power cut does: the node's daemon and all that runs on it is gone at once."""
        daemon = self.pid(f"slurmd.{node}.pid")
        # A job's own daemon and processes leave those that started them, so they are told by what they name.
        steps = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().decode(errors="replace")
            except OSError:
                continue
            if words.startswith("slurmstepd") or "slurmstepd" in words[:80]:
                steps.append(int(entry.parent.name))
        # Stopped first: a daemon that sees its job die would tell the controller that it has ended.
        for pid in (daemon, *steps):
            self.kill(pid, signal.SIGSTOP)
        for step in steps:
            for pid in [*children_of(step), step]:
                self.kill(pid)
        self.kill(daemon)

    def run(self, *command: object, check: bool = True) -> subprocess.CompletedProcess:
        found = shutil.which(str(command[0]), path=self.environment["PATH"])
        ran = subprocess.run(
            [found, *map(str, command[1:])], env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert not check or ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        return ran

    def queue(self, form: str = "%i %T %k") -> list[list[str]]:
        """The jobs that are waiting or running: id, state, comment."""
        listed = self.run("squeue", "-h", "-o", form).stdout.splitlines()
        return [line.split(" ", form.count(" ")) for line in listed]

    def pid(self, name: str) -> int | None:
        try:
            return int((self.folder / name).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def kill(self, pid: int | None, how: int = signal.SIGKILL) -> None:
        if pid:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                return

    def stop(self) -> None:
        self.run("scancel", "--me", check=False)
        deadline = time.monotonic() + 20
        while self.queue() and time.monotonic() < deadline:
            time.sleep(0.2)
        names = [*(f"slurmd.{node}.pid" for node in self.nodes), "slurmctld.pid", "munged.pid"]
        pids = [pid for pid in map(self.pid, names) if pid]
        for pid in pids:
            self.kill(pid, signal.SIGTERM)
        time.sleep(1)
        for pid in pids:
            self.kill(pid)
