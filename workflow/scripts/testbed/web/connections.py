"""urllib3 connections with checked addresses and a deadline for every request.

The timeout of a socket limits silence only, so a server that sends one byte a second would never time out. `Watchdog`
therefore shuts down the socket of every request that is past its deadline.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from testbed.web.addresses import Resolver

CHECKS_PER_SECOND = 10


class Watchdog:
    """Shuts down sockets at the deadlines of the requests that use them."""

    def __init__(self):
        self.watched: dict[int, tuple[float, socket.socket]] = {}
        self.current = threading.local()
        self.lock = threading.Lock()
        threading.Thread(target=self.check_deadlines, daemon=True, name="watchdog").start()

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """Context of one request of this thread, with a `deadline` in monotonic seconds."""
        self.current.deadline = deadline
        try:
            yield
        finally:
            del self.current.deadline
            with self.lock:
                self.watched.pop(threading.get_ident(), None)

    def remaining(self) -> float:
        """Return the seconds until the deadline of this thread's request."""
        return self.current.deadline - time.monotonic()

    def watch(self, used: socket.socket) -> None:
        """Watch the socket that this thread's request uses."""
        with self.lock:
            self.watched[threading.get_ident()] = (self.current.deadline, used)

    def check_deadlines(self) -> None:
        while True:
            time.sleep(1 / CHECKS_PER_SECOND)
            now = time.monotonic()
            with self.lock:
                for deadline, used in self.watched.values():
                    if now >= deadline:
                        # An error with one socket must not stop the watchdog.
                        with suppress(Exception):
                            # The method of the plain socket: TLS would first send a close message.
                            socket.socket.shutdown(used, socket.SHUT_RDWR)


def connect(addresses: list, seconds: float) -> socket.socket:
    """Return a connection to the first of `addresses` that accepts, within `seconds` in total. Raises OSError."""
    end = time.monotonic() + seconds
    failure: OSError = TimeoutError("timed out")
    for family, address in addresses:
        if (remaining := end - time.monotonic()) <= 0:
            break
        # Not in a `with`: the function returns an open socket.
        candidate = socket.socket(family, socket.SOCK_STREAM)
        try:
            candidate.settimeout(remaining)
            candidate.connect(address)
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return candidate
        except OSError as error:
            candidate.close()
            failure = error
    raise failure


def pool_options(connections: int) -> dict:
    """Return options for urllib3 pools: the number of connections, and certificates (the system's and Mozilla's)."""
    authorities = ssl.create_default_context()
    authorities.load_verify_locations(certifi.where())
    return {"num_pools": connections, "maxsize": connections, "ssl_context": authorities}


def manager_of(watchdog: Watchdog, resolver: Resolver, timeout: float, connections: int) -> urllib3.PoolManager:
    """Return a urllib3 pool manager that connects to addresses from `resolver`, with deadlines from `watchdog`."""
    return with_checks(urllib3.PoolManager(**pool_options(connections)), watchdog, resolver, timeout)


def proxy_manager_of(proxy: str, watchdog: Watchdog, connections: int) -> urllib3.PoolManager:
    """Return a urllib3 pool manager through `proxy`, which looks up names itself, with deadlines from `watchdog`."""
    return with_checks(proxy_manager(proxy, connections), watchdog, None, 0.0)


def proxy_manager(proxy: str, connections: int) -> urllib3.ProxyManager:
    """Return a urllib3 pool manager through the HTTP proxy at `proxy` ([http://][user:password@]host:port).

    Raises ValueError for other kinds of proxies.
    """
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"proxy {proxy}: is not an HTTP proxy. Write http://host:port.")
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=user)
    address = f"http://{parts.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(address, proxy_headers=headers, **pool_options(connections))


def with_checks(
    manager: urllib3.PoolManager, watchdog: Watchdog, resolver: Resolver | None, timeout: float
) -> urllib3.PoolManager:
    """Return `manager` with connections that the watchdog watches and, with a resolver, whose addresses are checked."""

    class Checked:
        def _new_conn(self) -> socket.socket:
            used = super()._new_conn() if resolver is None else self.connect_to_checked()
            watchdog.watch(used)
            return used

        def connect_to_checked(self) -> socket.socket:
            addresses = resolver.addresses(self._dns_host, self.port, min(timeout, watchdog.remaining()))
            try:
                return connect(addresses, min(timeout, watchdog.remaining()))
            except TimeoutError as error:
                raise urllib3.exceptions.ConnectTimeoutError(self, "timed out") from error
            except OSError as error:
                raise urllib3.exceptions.NewConnectionError(self, str(error)) from error

        def connect(self) -> None:
            super().connect()
            watchdog.watch(self.sock)

        def putrequest(self, *arguments, **options) -> None:
            if self.sock is not None:
                watchdog.watch(self.sock)
            super().putrequest(*arguments, **options)

    class Connection(Checked, HTTPConnection):
        pass

    class SecureConnection(Checked, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    manager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}
    return manager
