"""A warm worker: processes that have imported what is slow to import, of which the short jobs of a run get copies.

Snakemake starts each job as a process of its own, which imports torch and open_clip for five seconds to work for one. With
a worker, a script that calls `run_warm` asks for a copy (fork) of a process that has imported the modules it names, and
waits. The copy runs the script with the same arguments, folder, environment and streams, gets the signals that the waiting
process gets, and ends with it; the waiting process takes over its exit status. Without a worker the script goes on.

``python -m testbed.records.warm_worker DESCRIPTOR`` is the worker. It listens at a socket, and ends when its standard input
does: with the
workflow that started it. It keeps one process for each list of modules and environment, because libraries read variables
such as OMP_NUM_THREADS when they are loaded. So a job finds what it would have imported itself, and nothing else.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from testbed.records.processes import terminate_with_parent

WORKER = "CLIP_TESTBED_WORKER"
"""Environment variable with the socket of the run's worker, or `none` for a run without one."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
LARGEST = 1 << 20


def start_worker(address: str) -> subprocess.Popen:
    """Start a worker for the jobs of this process, which listens at the socket `address` and ends with this process.

    Raises OSError where the file system has no sockets.
    """
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        # Who may connect may run programs. Nobody can before it listens.
        os.chmod(address, 0o600)
        listener.listen(128)
        return subprocess.Popen(
            [sys.executable, "-m", "testbed.records.warm_worker", str(listener.fileno())],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            # Ctrl-C in a terminal is for the processes that wait, which pass it on.
            start_new_session=True,
        )


def run_warm(*modules: str) -> None:
    """Run this script in a copy of a process that has imported `modules`, and exit as it does; return without a worker."""
    # Taken out, so that neither the copy nor its children ask again.
    address = os.environ.pop(WORKER, "none")
    if address == "none":
        return
    setting = [sys.executable, sys.path, dict(os.environ), modules]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            connection.connect(address)
            message = json.dumps([setting, sys.argv, os.getcwd()]).encode()
            socket.send_fds(connection, [message], [0, 1, 2])
            started = connection.recv(LARGEST)
        except OSError:
            return
        if not started:
            return
        # Jobs of a run ignore Ctrl-C, and so does the copy: Snakemake ends them.
        for number in (one for one in FORWARDED if signal.getsignal(one) is not signal.SIG_IGN):
            signal.signal(number, lambda number, _: connection.send(bytes([number])))
        terminate_with_parent()
        status = connection.recv(LARGEST)
    if not status:
        sys.exit(f"{sys.argv[0]}: the warm worker was killed. Run the same command again.")
    # The shell, too, adds 128 to the number of a signal.
    sys.exit(int(status) if int(status) >= 0 else 128 - int(status))


def serve(listener: socket.socket) -> None:
    """Hand each request to the process of its setting, until standard input ends; returns in jobs alone, ready to run."""
    warm: dict[str, socket.socket] = {}
    processes: list[int] = []
    while 0 not in select.select([0, listener], [], [])[0]:
        client, _ = listener.accept()
        message, streams, _, _ = socket.recv_fds(client, LARGEST, 3)
        setting = json.loads(message)[0] if message else [None]
        # Another Python, of a conda environment, has other packages.
        if setting[0] == sys.executable:
            key = json.dumps(setting)
            if key not in warm:
                warm[key], requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                process = os.fork()
                if not process:
                    for other in (listener, client, *warm.values()):
                        other.close()
                    for stream in streams:
                        os.close(stream)
                    return keep_warm(requests, *setting[1:])
                requests.close()
                processes.append(process)
            try:
                socket.send_fds(warm[key], [message], [client.fileno(), *streams])
            except OSError:
                # It could not import: the script says what.
                del warm[key]
        client.close()
        for stream in streams:
            os.close(stream)
    # One that still imports would end later, and first start a job that nobody waits for.
    for process in processes:
        os.kill(process, signal.SIGKILL)
    # Who copies the run's folder would stumble over a socket.
    Path(listener.getsockname()).unlink(missing_ok=True)
    sys.exit()


def keep_warm(requests: socket.socket, path: list[str], environment: dict[str, str], modules: list[str]) -> None:
    """Import `modules`, and start a job for each of `requests`; returns in jobs alone, ready to run."""
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environment)
    for module in modules:
        importlib.import_module(module)
    # Stays shared: a collection of garbage would write to all of it in every copy.
    gc.freeze()
    # At its end a job releases them like any other process; else libraries warn of what was not released.
    atexit.register(gc.unfreeze)
    # Nobody waits for the processes that watch over jobs.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, LARGEST, 4)
        if not message:
            os._exit(0)
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            return start_job(socket.socket(fileno=descriptors[0]), descriptors[1:], *json.loads(message)[1:])
        for descriptor in descriptors:
            os.close(descriptor)


def start_job(client: socket.socket, streams: list[int], arguments: list[str], folder: str) -> None:
    """Start a job, and watch over it for `client` until it ends; returns in the job alone, ready to run."""
    job = os.fork()
    # In the job, too: 0 is the process itself.
    os.setpgid(job, job)
    if not job:
        client.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(folder)
        sys.argv[:] = arguments
    for stream in streams:
        os.close(stream)
    if not job:
        return
    with suppress(OSError):
        client.send(b"started")
    ended = os.pidfd_open(job)
    while ended not in select.select([ended, client], [], [])[0]:
        number = b""
        with suppress(OSError):
            number = client.recv(1)
        if not number:
            break
        os.kill(job, number[0])
    # Processes that the job left behind end with it.
    with suppress(ProcessLookupError):
        os.killpg(job, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with suppress(OSError):
        client.send(str(status).encode())
    os._exit(0)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_path(sys.argv[0], run_name="__main__")
