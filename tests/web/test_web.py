"""Fetching from a hostile web: every URL ends, in the right cause and in time, and no address inside is ever asked."""

import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from types import SimpleNamespace

import pytest

from hostile import OUTCOMES, HostileServer, bomb, huge_png, image
from testbed.web.addresses import AddressError, Resolver, is_public, literal_address
from testbed.web.connections import connect
from testbed.web.fetch import Fetcher, FetchError, Limits, check_image, is_opted_out, retry_after
from testbed.web.rate_limit import MAX_PAUSES, RateLimiter

LOOPBACK = ("127.0.0.1/32",)
LIMITS = {"timeout": 0.6, "deadline": 3.0, "backoff": 0.05, "max_bytes": 3_000_000, "private_networks": LOOPBACK}


@pytest.fixture(scope="module")
def server():
    server = HostileServer()
    yield server
    server.close()


class Clock:
    """A clock that moves with those who sleep alone, so that a busy machine does not change what is measured."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("testbed.web.rate_limit.time", clock)
    return clock


@pytest.fixture
def fetcher():
    return Fetcher(Limits(**LIMITS))


@pytest.mark.parametrize("behaviour", OUTCOMES)
def test_every_behaviour_ends_in_its_cause_and_in_time(server, fetcher, behaviour):
    started = time.monotonic()
    body, cause = fetcher.fetch(server.url(behaviour))
    assert time.monotonic() - started < LIMITS["deadline"] + 0.5
    # That of a truncated image is found when it is decoded, by img2dataset.
    assert cause == (None if OUTCOMES[behaviour] in ("success", "cannot be decoded") else OUTCOMES[behaviour])
    assert (body is None) == (cause is not None)


def test_the_bytes_are_those_of_the_server(server, fetcher):
    assert fetcher.fetch(server.url("png")) == (image("png"), None)
    assert fetcher.fetch(server.url("redirect")) == (image("ok"), None)


@pytest.mark.parametrize(
    ("behaviour", "visits"),
    [("missing", 1), ("busy", 3), ("ask-tomorrow", 1), ("cut", 3), ("noai", 1), ("html", 1), ("reset", 3), ("ok", 1)],
)
def test_what_may_pass_is_tried_again_and_nothing_else(server, fetcher, behaviour, visits):
    fetcher.fetch(server.url(behaviour, "visits"))
    assert server.visits[f"/{behaviour}/visits"] == visits


def test_waits_between_tries_double(server, monkeypatch):
    waits = []
    monkeypatch.setattr("testbed.web.fetch.time", SimpleNamespace(monotonic=time.monotonic, sleep=waits.append))
    monkeypatch.setattr("testbed.web.fetch.random", SimpleNamespace(uniform=lambda *_: 1.0))
    assert Fetcher(Limits(**LIMITS, retries=3)).fetch(server.url("reset", "doubled")) == (None, "connection broken")
    assert waits == [0.05, 0.1, 0.2]


def test_a_host_is_left_alone_for_no_longer_than_a_url_may_take(server):
    fetcher = Fetcher(Limits(**LIMITS))
    assert fetcher.fetch(server.url("ask-tomorrow", "long")) == (None, "http 429")
    assert fetcher.rate_limiter.pauses["127.0.0.1"] - time.monotonic() <= LIMITS["deadline"]


def test_retry_after_is_obeyed(server):
    """By this request, and by others to the same host."""
    fetcher = Fetcher(Limits(**LIMITS))
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetcher.fetch, server.url("busy-once", "obeyed"))
        time.sleep(0.3)
        second = pool.submit(fetcher.fetch, server.url("ok", "obeyed"))
        assert first.result()[1] is None
        assert second.result()[1] is None
        assert time.monotonic() - started >= 1


def test_the_first_try_is_not_made_after_the_end(server):
    fetcher = Fetcher(Limits(**LIMITS))
    fetcher.end = 0.0
    assert fetcher.fetch(server.url("ok", "late")) == (None, "out of time")
    assert "/ok/late" not in server.visits


def test_connections_are_kept(server):
    fetcher = Fetcher(Limits(**LIMITS))
    assert fetcher.fetch(server.url("ok", "first"))[1] is None
    # The server has a thread for each connection.
    before = threading.active_count()
    for number in range(5):
        assert fetcher.fetch(server.url("ok", f"kept{number}"))[1] is None
    assert threading.active_count() == before


def test_many_threads_share_a_fetcher(server, fetcher):
    kinds = ["ok", "missing", "reset", "cut", "redirect", "html", "drip", "to-private"] * 20
    with ThreadPoolExecutor(32) as pool:
        causes = list(pool.map(lambda item: fetcher.fetch(server.url(item[1], item[0]))[1], enumerate(kinds)))
    assert causes == [None if OUTCOMES[kind] == "success" else OUTCOMES[kind] for kind in kinds]


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


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("ftp://a.example/x.jpg", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("data:image/png;base64,AAAA", "scheme"),
        ("http:///x.jpg", "bad url"),
        ("http://user:secret@1.1.1.1/x.jpg", "bad url"),
        ("http://1.1.1.1:99999/x.jpg", "bad url"),
        ("http://[::1/x.jpg", "bad url"),
        ("http://a..example/x.jpg", "bad host name"),
        ("http://" + "a" * 70 + ".example/x.jpg", "bad host name"),
    ],
)
def test_urls_that_cannot_be_are_refused(url, cause):
    assert Fetcher(Limits(**LIMITS)).fetch(url) == (None, cause)


def test_other_alphabets_are_fetched(server, fetcher):
    assert fetcher.fetch(server.url("ok", "Zürich Hütte.jpg"))[1] is None
    assert "/ok/Z%C3%BCrich%20H%C3%BCtte.jpg" in server.visits


def test_a_host_without_a_server_is_no_connection():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert Fetcher(Limits(**LIMITS)).fetch(f"http://127.0.0.1:{port}/x.jpg") == (None, "no connection")


def test_a_server_without_tls_is_named_so(server):
    url = server.url("ok").replace("http:", "https:")
    assert Fetcher(Limits(**LIMITS)).fetch(url) == (None, "tls")


def test_a_tls_server_that_says_nothing_ends_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        outcome = Fetcher(Limits(**LIMITS)).fetch(f"https://127.0.0.1:{silent.getsockname()[1]}/x.jpg")
        assert outcome == (None, "timeout")
        assert time.monotonic() - started < LIMITS["deadline"] + 0.5


def test_the_environments_proxy_is_used_unless_it_says_otherwise(server, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    # The server takes a proxy's request line for a path that it does not know, and answers with an image.
    assert Fetcher(Limits(**LIMITS)).fetch("http://a.example/x.jpg")[1] is None
    monkeypatch.setenv("no_proxy", "a.example")
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert Fetcher(Limits(**LIMITS)).fetch("http://a.example/x.jpg") == (None, "unknown host")


def refuse(*_, **__):
    raise socket.gaierror(socket.EAI_NONAME, "not known")


def test_the_user_agent_says_who_asks(monkeypatch):
    fetcher = Fetcher(Limits(user_agent="mycrawler", contact="https://lab.example/crawl"))
    assert fetcher.headers["User-Agent"] == "Mozilla/5.0 (compatible; mycrawler; +https://lab.example/crawl)"


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


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("3", 3), (" 0 ", 0), ("soon", None), ("-1", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
def test_retry_after_in_seconds_or_as_a_date(value, seconds):
    assert retry_after(value) == seconds
    assert retry_after(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=2)


@pytest.mark.parametrize(
    ("headers", "out"),
    [
        ([], False),
        (["noai"], True),
        (["max-snippet:5, NoImageAI"], True),
        (["noai, max-image-preview:large"], True),
        (["unavailable_after: 25 Jun 2027 15:00:00 GMT"], False),
        (["max-image-preview:large"], False),
        (["nofollow, NoImageIndex"], True),
        (["nofollow"], False),
        (["us: noai"], True),
        (["US: nofollow , noindex"], True),
        (["them: noai"], False),
        (["them: noai", "noindex"], True),
    ],
)
def test_opt_outs(headers, out):
    assert is_opted_out(headers, "us") is out


def test_images_are_judged_before_they_are_decoded():
    check_image(image("ok"), 96 * 72)
    with pytest.raises(FetchError, match="too many pixels"):
        check_image(image("ok"), 96 * 72 - 1)
    with pytest.raises(FetchError, match="too many pixels"):
        check_image(huge_png(), 50_000_000)
    with pytest.raises(FetchError, match="no image"):
        check_image(bomb(), 50_000_000)


def test_a_host_gets_its_requests_per_second(clock):
    limiter = RateLimiter(0, {"a.example": 20, "example": 1000})
    assert [limiter.rate(host) for host in ("a.example", "x.A.example", "b.example", "other")] == [20, 20, 1000, 0]
    started = clock.now
    assert all(limiter.wait("a.example", started + 9) for _ in range(5))
    assert clock.now - started == pytest.approx(4 / 20)
    assert not limiter.wait("a.example", clock.now)
    started = clock.now
    assert all(limiter.wait("other", started) for _ in range(100))
    assert clock.now == started


def test_a_paused_host_is_left_alone(clock):
    limiter = RateLimiter(0, {})
    limiter.pause("a.example", 0.3)
    started = clock.now
    assert not limiter.wait("a.example", started + 0.1)
    assert limiter.wait("b.example", started)
    assert clock.now == started
    assert limiter.wait("a.example", started + 1)
    assert clock.now - started == pytest.approx(0.3)


def test_a_host_that_pauses_again_and_again_is_given_up(clock):
    limiter = RateLimiter(0, {})
    for _ in range(MAX_PAUSES - 1):
        limiter.pause("a.example", 0.02)
        # A second complaint within a pause is no further one.
        limiter.pause("a.example", 0.02)
        assert limiter.wait("a.example", clock.now + 9)
    limiter.pause("a.example", 0.2)
    assert not limiter.wait("a.example", clock.now + 9)
    clock.sleep(0.2)
    assert limiter.wait("a.example", clock.now + 9)
    limiter.record_success("a.example")
    limiter.pause("a.example", 0.02)
    assert limiter.wait("a.example", clock.now + 9)


def test_who_queues_for_a_host_heeds_a_pause():
    # Turns are half a second apart, so that the pause comes in time on a busy machine too.
    limiter = RateLimiter(2, {})
    assert limiter.wait("a.example", time.monotonic() + 9)
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        queued = [pool.submit(limiter.wait, "a.example", started + 9) for _ in range(2)]
        time.sleep(0.02)
        limiter.pause("a.example", 1.2)
        assert all(request.result() for request in queued)
    assert time.monotonic() - started >= 1.2


def test_a_pause_is_of_the_host_that_asked_for_it(server):
    """A redirect leads to a host that is busy; the one that redirects is not."""
    fetcher = Fetcher(Limits(**LIMITS | {"retries": 0}))
    url = server.url("redirect").replace("127.0.0.1", "localhost")
    assert fetcher.fetch(url)[1] is None
    fetcher.fetch(server.url("ask-tomorrow", "paused"))
    assert set(fetcher.rate_limiter.pauses) == {"127.0.0.1"}


def test_what_nobody_thought_of_is_an_outcome_too(monkeypatch):
    fetcher = Fetcher(Limits(**LIMITS))
    monkeypatch.setattr(fetcher, "request", lambda *_: 1 // 0)
    assert fetcher.fetch("http://1.1.1.1/x.jpg") == (None, "error (ZeroDivisionError)")


@pytest.mark.parametrize(
    "address", ["127.0.0.1:{port}", "http://127.0.0.1:{port}", "http://me:s%40cret@127.0.0.1:{port}"]
)
def test_proxies_in_their_usual_spellings(server, monkeypatch, address):
    monkeypatch.setenv("http_proxy", address.format(port=server.server_port))
    fetcher = Fetcher(Limits(**LIMITS))
    assert fetcher.fetch("http://a.example/x.jpg")[1] is None
    sent = fetcher.proxies["http"].proxy_headers
    assert sent == ({"proxy-authorization": "Basic bWU6c0BjcmV0"} if "@" in address else {})


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://"])
def test_other_proxies_are_refused(monkeypatch, address):
    monkeypatch.setenv("https_proxy", address)
    with pytest.raises(ValueError, match="is not an HTTP proxy. Write http://host:port"):
        Fetcher(Limits(**LIMITS))


def test_a_certificate_that_nobody_signed_is_not_believed(tmp_path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = HostileServer()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    try:
        url = server.url("ok").replace("http:", "https:")
        assert Fetcher(Limits(**LIMITS)).fetch(url) == (None, "tls")
    finally:
        server.close()
