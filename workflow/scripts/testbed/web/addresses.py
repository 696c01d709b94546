"""Addresses of hosts: looked up once, and refused where they do not belong to the public internet.

A list of URLs is written by strangers, and so is every redirect. What they name must not be able to reach the services
that only machines inside a cluster can reach (metadata services, databases, other people's notebooks). So the address that
is connected to is the one that was checked here, and a name that answers differently the second time gains nothing.
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
"""Networks that Python calls global, in some versions at least, and that lead inside: protocol assignments, the 6to4
relay, Azure's own services, IPv4-compatible addresses, local NAT64 and site-local IPv6."""

KEPT_SECONDS = 600.0
KEPT_FAILURE_SECONDS = 5.0
KEPT_NAMES = 100_000
LOOKUPS = 32


class AddressError(Exception):
    """A host that may not be asked, or whose address is not known; `again` says whether a later try may go better."""

    def __init__(self, cause: str, again: bool = False):
        super().__init__(cause)
        self.cause = cause
        self.again = again


def meant(address: Address) -> Address:
    """The IPv4 address inside an IPv6 address that stands for one (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def literal(host: str) -> str | None:
    """The address that `host` is, in whatever spelling (127.0.0.1, 127.1, 0x7f000001, ::1), or None if it is a name."""
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


def is_public(address: str, exceptions: Iterable[Network] = ()) -> bool:
    """Whether `address` is a unicast address of the public internet, or in one of the networks that are `exceptions`.

    Raises ValueError where it is no address.
    """
    # A link-local IPv6 address carries the name of an interface.
    asked = meant(ipaddress.ip_address(address.partition("%")[0]))
    if any(asked in network for network in exceptions):
        return True
    return asked.is_global and not asked.is_multicast and not any(asked in network for network in REFUSED)


class Resolver:
    """Looks up hosts, keeps the answers for a while, and gives public addresses alone."""

    def __init__(self, exceptions: Iterable[str] = ()):
        self.exceptions = [ipaddress.ip_network(network) for network in exceptions]
        self.lookups = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")
        self.kept: dict[tuple[str, int], tuple[float, list | AddressError]] = {}
        self.lock = threading.Lock()

    def addresses(self, host: str, port: int, patience: float) -> list[tuple[socket.AddressFamily, tuple]]:
        """Families and socket addresses of `host`, waiting at most `patience` seconds for them.

        Raises `AddressError` where the host is not known or where one of its addresses is not public.
        """
        key = (host.lower(), port)
        with self.lock:
            expiry, answer = self.kept.get(key, (0.0, []))
        if time.monotonic() >= expiry:
            answer = self.look_up(host, port, patience)
            with self.lock:
                if len(self.kept) >= KEPT_NAMES:
                    self.kept.clear()
                passing = isinstance(answer, AddressError) and answer.again
                self.kept[key] = (time.monotonic() + (KEPT_FAILURE_SECONDS if passing else KEPT_SECONDS), answer)
        if isinstance(answer, AddressError):
            # A new one, because an exception that is raised again and again grows.
            raise AddressError(answer.cause, answer.again)
        return answer

    def look_up(self, host: str, port: int, patience: float) -> list | AddressError:
        # The system's lookup cannot be interrupted, so that it is another thread that waits for it.
        lookup = self.lookups.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = [(family, address) for family, _, _, _, address in lookup.result(patience)]
        except LookupTimeout:
            lookup.cancel()
            return AddressError("name lookup failed", again=True)
        except socket.gaierror as error:
            known = error.errno not in (socket.EAI_AGAIN, socket.EAI_SYSTEM)
            return AddressError("unknown host") if known else AddressError("name lookup failed", again=True)
        except (UnicodeError, ValueError):
            return AddressError("bad host name")
        except OSError:
            return AddressError("name lookup failed", again=True)
        if not all(is_public(address[0], self.exceptions) for _, address in found):
            return AddressError("private address")
        return found
