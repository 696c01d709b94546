"""Addresses: names are looked up in time, and no address inside is ever asked."""

import socket
import threading
import time

import pytest

from hostile import LIMITS
from testbed.web.addresses import AddressError, Resolver, is_public, literal_address
from testbed.web.connections import connect
from testbed.web.fetch import Fetcher, Limits


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2/x.jpg",
        "http://127.2/x.jpg",
        "http://2130706434/x.jpg",
        "http://0x7f.0.0.2/x.jpg",
        "http://10.1.2.3/x.jpg",
        "http://192.168.1.1/x.jpg",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/x.jpg",
        "http://[::ffff:10.0.0.1]/x.jpg",
        "http://[64:ff9b::a00:1]/x.jpg",
        "http://[fe80::1%25eth0]/x.jpg",
        "http://0.0.0.0/x.jpg",
        "http://100.64.0.1/x.jpg",
        "http://224.0.0.1/x.jpg",
    ],
)
@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"])
def test_private_addresses_are_refused_unasked(url, proxy):
    fetcher = Fetcher(Limits(**LIMITS | {"retries": 0}), proxy)
    assert fetcher.fetch(url) == (None, "private address")


def test_localhost_is_loopback_and_needs_its_permission(server):
    url = server.url("ok").replace("127.0.0.1", "localhost")
    assert Fetcher(Limits(**LIMITS)).fetch(url)[1] is None
    assert Fetcher(Limits(**LIMITS | {"private_networks": ()})).fetch(url) == (None, "private address")


def test_a_name_that_leads_inside_is_refused(monkeypatch):
    """What a name server answers is up to its owner: one public and one private address."""
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    assert Fetcher(Limits(**LIMITS)).fetch("http://rebind.example/x.jpg") == (None, "private address")


def test_names_are_looked_up_once(monkeypatch):
    asked = []

    def look_up(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = Resolver()
    for _ in range(3):
        assert resolver.addresses("A.example", 80, 1.0) == [(socket.AF_INET, ("1.1.1.1", 80))]
    assert asked == ["A.example"]


@pytest.mark.parametrize(
    ("error", "cause", "lookups"),
    [(socket.EAI_NONAME, "unknown host", 1), (socket.EAI_AGAIN, "name lookup failed", 2)],
)
def test_unknown_names_are_remembered_and_failed_lookups_not_for_long(monkeypatch, error, cause, lookups):
    monkeypatch.setattr("testbed.web.addresses.CACHED_FAILURE_SECONDS", 0.0)
    asked = []

    def look_up(host, *_, **__):
        asked.append(host)
        raise socket.gaierror(error, "no")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = Resolver()
    for _ in range(2):
        with pytest.raises(AddressError, match=cause):
            resolver.addresses("a.example", 80, 1.0)
    assert len(asked) == lookups


def test_a_lookup_that_hangs_is_given_up(monkeypatch):
    hanging = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hanging.wait(5))
    started = time.monotonic()
    with pytest.raises(AddressError, match="name lookup failed") as error:
        Resolver().addresses("a.example", 80, 0.2)
    hanging.set()
    assert error.value.retryable
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("a.example", None),
        ("1.example", None),
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("LOCALHOST.", "127.0.0.1"),
        ("a.localhost", "127.0.0.1"),
        ("1.2.3.4.5", None),
    ],
)
def test_addresses_in_any_spelling(host, address):
    assert literal_address(host) == address


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("198.18.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("2002:a00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::101:101", True),
        ("::ffff:1.1.1.1", True),
        ("::ffff:127.0.0.1", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
        ("::7f00:1", False),
        ("64:ff9b:1::7f00:1", False),
        ("fec0::2", False),
    ],
)
def test_public_addresses(address, public):
    assert is_public(address) is public


def test_connect_tries_the_next_address():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        addresses = [(socket.AF_INET, taken.getsockname()) for taken in (unused, server)]
        connect(addresses, 1.0).close()
        with pytest.raises(ConnectionRefusedError):
            connect(addresses[:1], 1.0)
