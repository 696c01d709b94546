"""urllib3's connections, with what the open web makes necessary: checked addresses, and an end to every wait.

A socket's time-out is the longest silence that is borne, so a server that sends a byte a second holds a request for ever.
`Watchdog` therefore shuts the socket of every request that is past its deadline, whatever it is doing.
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

LOOKS_PER_SECOND = 10


class Watchdog:
    """Shuts sockets at the deadlines of the requests that use them."""

    def __init__(self):
        self.watched: dict[int, tuple[float, socket.socket]] = {}
        self.current = threading.local()
        self.lock = threading.Lock()
        threading.Thread(target=self.look, daemon=True, name="watchdog").start()

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """Context of one request of this thread; `deadline` is in monotonic seconds."""
        self.current.deadline = deadline
        try:
            yield
        finally:
            del self.current.deadline
            with self.lock:
                self.watched.pop(threading.get_ident(), None)

    def left(self) -> float:
        """Seconds that this thread's request has left."""
        return self.current.deadline - time.monotonic()

    def watch(self, used: socket.socket) -> None:
        """Watch over the socket that this thread's request uses."""
        with self.lock:
            self.watched[threading.get_ident()] = (self.current.deadline, used)

    def look(self) -> None:
        while True:
            time.sleep(1 / LOOKS_PER_SECOND)
            now = time.monotonic()
            with self.lock:
                for deadline, used in self.watched.values():
                    if now >= deadline:
                        # Whatever goes wrong with one socket, the watch goes on.
                        with suppress(Exception):
                            # Of the plain socket: TLS would want to say farewell first.
                            socket.socket.shutdown(used, socket.SHUT_RDWR)


def connect(addresses: list, seconds: float) -> socket.socket:
    """A connection to the first of `addresses` that answers within `seconds`, which they share; raises OSError."""
    end = time.monotonic() + seconds
    failure: OSError = TimeoutError("timed out")
    for family, address in addresses:
        if (left := end - time.monotonic()) <= 0:
            break
        # Not in a `with`: an open socket is what this function is for.
        candidate = socket.socket(family, socket.SOCK_STREAM)
        try:
            candidate.settimeout(left)
            candidate.connect(address)
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return candidate
        except OSError as error:
            candidate.close()
            failure = error
    raise failure


def pool_options(connections: int) -> dict:
    """How many connections are kept, and which authorities are believed: the system's, and Mozilla's where it has none."""
    authorities = ssl.create_default_context()
    authorities.load_verify_locations(certifi.where())
    return {"num_pools": connections, "maxsize": connections, "ssl_context": authorities}


def manager_of(watchdog: Watchdog, resolver: Resolver, timeout: float, connections: int) -> urllib3.PoolManager:
    """A urllib3 pool manager whose connections go to addresses that `resolver` passes, under `watchdog`'s eyes."""
    return guarded(urllib3.PoolManager(**pool_options(connections)), watchdog, resolver, timeout)


def proxy_manager_of(proxy: str, watchdog: Watchdog, connections: int) -> urllib3.PoolManager:
    """The same through the HTTP proxy at `proxy`, which looks up the names itself; see `proxy_manager`."""
    return guarded(proxy_manager(proxy, connections), watchdog, None, 0.0)


def proxy_manager(proxy: str, connections: int) -> urllib3.ProxyManager:
    """A urllib3 pool manager through the HTTP proxy at `proxy` ([http://][user:password@]host:port).

    Raises ValueError for a proxy of another kind.
    """
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"proxy {proxy}: is no HTTP proxy. Write http://host:port.")
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=user)
    address = f"http://{parts.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(address, proxy_headers=headers, **pool_options(connections))


def guarded(
    manager: urllib3.PoolManager, watchdog: Watchdog, resolver: Resolver | None, timeout: float
) -> urllib3.PoolManager:
    """`manager` with connections that are watched and, with a resolver, checked."""

    class Guarded:
        def _new_conn(self) -> socket.socket:
            used = super()._new_conn() if resolver is None else self.connect_to_checked()
            watchdog.watch(used)
            return used

        def connect_to_checked(self) -> socket.socket:
            addresses = resolver.addresses(self._dns_host, self.port, min(timeout, watchdog.left()))
            try:
                return connect(addresses, min(timeout, watchdog.left()))
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

    class Connection(Guarded, HTTPConnection):
        pass

    class SecureConnection(Guarded, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    manager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}
    return manager
