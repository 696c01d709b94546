"""A warm worker: a server that forks the short jobs of a run from processes that have already imported slow modules.

Snakemake starts each job as its own process. A job that works for one second imports torch and open_clip for five. With a
worker, a script that calls `run_warm` requests a fork of a process that has imported the modules it names, and waits. The
fork runs the script with the same arguments, folder, environment and streams. It receives the signals that the waiting
process receives, and terminates with it. The waiting process returns its exit status. Without a worker the script goes on.

``python -m testbed.records.warm_worker DESCRIPTOR`` is the worker. It listens on a socket. It ends when its standard input
is closed, which happens when the workflow that started it ends. It keeps one process for each list of modules and each
environment, because libraries read variables such as OMP_NUM_THREADS at import. So a job finds the modules that it would
have imported itself, and no others. Lists that begin with the same module import it once.
"""

import atexit
import ctypes
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
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from testbed.records.processes import terminate_with_parent

WORKER = "CLIP_TESTBED_WORKER"
"""Environment variable with the path of the worker's socket, or `none` for a run without a worker."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
MAX_MESSAGE = 1 << 20

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that the kernel sends to a process when its parent has ended."""


def start_worker(address: str) -> subprocess.Popen:
    """Start a worker that listens on the socket `address`, and return its process. It ends with this process.

    Raises OSError if the file system does not support sockets.
    """
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        # Whoever can connect can run programs. Nobody can connect before `listen`.
        os.chmod(address, 0o600)
        listener.listen(128)
        return subprocess.Popen(
            [sys.executable, "-m", "testbed.records.warm_worker", str(listener.fileno())],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            # The terminal sends Ctrl-C to the waiting processes, and they forward it.
            start_new_session=True,
        )


def run_warm(*modules: str) -> None:
    """Run this script in a fork of a process with `modules` imported, and exit with its status. Return without a worker."""
    # Removed, so that neither the fork nor its children request another one.
    address = os.environ.pop(WORKER, "none")
    if address == "none":
        return
    setting = [sys.executable, sys.path, dict(os.environ), modules]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            connection.connect(address)
            message = json.dumps([setting, sys.argv, os.getcwd()]).encode()
            socket.send_fds(connection, [message], [0, 1, 2])
            started = connection.recv(MAX_MESSAGE)
        except OSError:
            return
        if not started:
            return
        # Jobs of a run ignore Ctrl-C, and so does the fork: Snakemake terminates them.
        for number in (number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN):
            signal.signal(number, lambda number, _: connection.send(bytes([number])))
        terminate_with_parent()
        status = connection.recv(MAX_MESSAGE)
    if not status:
        sys.exit(f"{sys.argv[0]}: the warm worker was killed. Run the same command again.")
    # As in a shell, the status is 128 plus the number of the signal.
    sys.exit(int(status) if int(status) >= 0 else 128 - int(status))


def serve(listener: socket.socket) -> None:
    """Pass each request to the process for its setting until standard input closes. Returns only in a job, ready to run."""
    warm: dict[str, socket.socket] = {}
    while 0 not in select.select([0, listener], [], [])[0]:
        client, _ = listener.accept()
        message, streams, _, _ = socket.recv_fds(client, MAX_MESSAGE, 3)
        descriptors = [client.detach(), *streams]
        setting = json.loads(message)[0] if message else [None]
        # The Python of another conda environment has other packages.
        if setting[0] == sys.executable:
            *place, modules = setting
            if requests := pass_on(warm, [*place, modules[:1]], message, descriptors):
                listener.close()
                sys.path[:] = setting[1]
                os.environ.clear()
                os.environ.update(setting[2])
                return keep_warm(requests, modules[:1])
        for descriptor in descriptors:
            os.close(descriptor)
    # Copying the run's folder would fail at a socket.
    Path(listener.getsockname()).unlink(missing_ok=True)
    sys.exit()


def pass_on(warm: dict[str, socket.socket], key: list, message: bytes, descriptors: list[int]) -> socket.socket | None:
    """Send a request to the process for `key` in `warm`. Returns None, but in a new process for `key` its requests."""
    name = json.dumps(key)
    if name not in warm:
        warm[name], requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if not os.fork():
            # A process that still imports would end later, and would first start a job that nobody waits for.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            for other in warm.values():
                other.close()
            for descriptor in descriptors:
                os.close(descriptor)
            return requests
        requests.close()
    try:
        socket.send_fds(warm[name], [message], descriptors)
    except OSError:
        # It could not import the modules. The script will report why.
        del warm[name]
    return None


def keep_warm(requests: socket.socket, modules: list[str]) -> None:
    """Import `modules`, and start a job for each of `requests`. Returns only in a job, ready to run.

    The first process of a job has imported the first of its modules; its others are imported in a fork of that process.
    """
    for module in modules:
        importlib.import_module(module)
    # Keeps memory shared between forks: garbage collection would write to all of it.
    gc.freeze()
    # No process waits for the processes that supervise jobs.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    longer: dict[str, socket.socket] = {}
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, MAX_MESSAGE, 4)
        if not message:
            os._exit(0)
        (*_, needed), arguments, folder = json.loads(message)
        if needed != modules:
            if found := pass_on(longer, needed, message, descriptors):
                requests.close()
                return keep_warm(found, needed)
        elif not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (requests, *longer.values()):
                other.close()
            return start_job(socket.socket(fileno=descriptors[0]), descriptors[1:], arguments, folder)
        for descriptor in descriptors:
            os.close(descriptor)


def start_job(client: socket.socket, streams: list[int], arguments: list[str], folder: str) -> None:
    """Start a job, and supervise it for `client` until it ends. Returns only in the job, ready to run."""
    job = os.fork()
    # Both processes call this; in the job, 0 is the process itself.
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
    # Terminate processes that the job left running.
    with suppress(ProcessLookupError):
        os.killpg(job, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with suppress(OSError):
        client.send(str(status).encode())
    os._exit(0)


def run_script() -> NoReturn:
    """Run the script of this job, and exit with its status as Python does, but leave its memory to the system.

    Releasing the objects of torch and open_clip takes two seconds, which is longer than many jobs work.
    """
    status = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        status = end.code or 0
        if not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except Exception:
        sys.excepthook(*sys.exc_info())
        status = 1
    # What Python does before it releases objects: it waits for threads and calls what libraries registered.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status & 0xFF)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    run_script()
