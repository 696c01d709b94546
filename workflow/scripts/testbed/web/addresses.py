"""Addresses of hosts: looked up once, and refused if they are not on the public internet.

Strangers write the URLs of a list and every redirect. Their URLs must not reach services that are open only to machines
inside a cluster (metadata services, databases, notebooks). So connections use the address that was checked here. A host name
that resolves to another address the second time has no effect.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LookupTimeout

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NAT64 = ipaddress.ip_network("64:ff9b::/96")
REFUSED = [
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "::/96", "64:ff9b:1::/48", "fec0::/10")
]
"""Networks that some versions of Python call global, but that reach internal services: protocol assignments, the 6to4
relay, Azure's own services, IPv4-compatible addresses, local NAT64 and site-local IPv6."""

CACHED_SECONDS = 600.0
CACHED_FAILURE_SECONDS = 5.0
CACHED_NAMES = 100_000
LOOKUP_THREADS = 32


class AddressError(Exception):
    """A host is refused, or its address is unknown. `retryable` says whether a later attempt may succeed."""

    def __init__(self, cause: str, retryable: bool = False):
        super().__init__(cause)
        self.cause = cause
        self.retryable = retryable


def embedded_ipv4(address: Address) -> Address:
    """Return the IPv4 address embedded in an IPv6 address (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def literal_address(host: str) -> str | None:
    """Return the address that `host` spells in any form (127.0.0.1, 127.1, 0x7f000001, ::1), or None if it is a name."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return "127.0.0.1"
    if ":" in name:
        return name.partition("%")[0]
    # No top-level domain begins with a digit.
    if not name.rpartition(".")[2][:1].isdigit():
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return None


def is_public(address: str, allowed: Iterable[Network] = ()) -> bool:
    """Return whether `address` is a unicast address of the public internet, or in one of the `allowed` networks.

    Raises ValueError if it is not an address.
    """
    # A link-local IPv6 address may have the name of an interface after "%".
    checked = embedded_ipv4(ipaddress.ip_address(address.partition("%")[0]))
    if any(checked in network for network in allowed):
        return True
    return checked.is_global and not checked.is_multicast and not any(checked in network for network in REFUSED)


class Resolver:
    """Looks up hosts, caches the answers, and returns only public or allowed addresses."""

    def __init__(self, allowed: Iterable[str] = ()):
        self.allowed = [ipaddress.ip_network(network) for network in allowed]
        self.lookups = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")
        self.cache: dict[tuple[str, int], tuple[float, list | AddressError]] = {}
        self.lock = threading.Lock()

    def addresses(self, host: str, port: int, timeout: float) -> list[tuple[socket.AddressFamily, tuple]]:
        """Return the families and socket addresses of `host`, after at most `timeout` seconds.

        Raises `AddressError` if the host is unknown or if one of its addresses is refused.
        """
        key = (host.lower(), port)
        with self.lock:
            expiry, answer = self.cache.get(key, (0.0, []))
        if time.monotonic() >= expiry:
            answer = self.look_up(host, port, timeout)
            with self.lock:
                if len(self.cache) >= CACHED_NAMES:
                    self.cache.clear()
                retryable = isinstance(answer, AddressError) and answer.retryable
                seconds = CACHED_FAILURE_SECONDS if retryable else CACHED_SECONDS
                self.cache[key] = (time.monotonic() + seconds, answer)
        if isinstance(answer, AddressError):
            # A new exception, because the traceback of one that is raised again and again grows.
            raise AddressError(answer.cause, answer.retryable)
        return answer

    def look_up(self, host: str, port: int, timeout: float) -> list | AddressError:
        # The system's lookup cannot be interrupted, so another thread waits for it.
        lookup = self.lookups.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = [(family, address) for family, _, _, _, address in lookup.result(timeout)]
        except LookupTimeout:
            lookup.cancel()
            return AddressError("name lookup failed", retryable=True)
        except socket.gaierror as error:
            is_final = error.errno not in (socket.EAI_AGAIN, socket.EAI_SYSTEM)
            return AddressError("unknown host") if is_final else AddressError("name lookup failed", retryable=True)
        except (UnicodeError, ValueError):
            return AddressError("bad host name")
        except OSError:
            return AddressError("name lookup failed", retryable=True)
        if not all(is_public(address[0], self.allowed) for _, address in found):
            return AddressError("private address")
        return found
