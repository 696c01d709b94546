"""Fetching from a hostile web: every URL ends, in the right cause and in time."""

import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from hostile import LIMITS, OUTCOMES, HostileServer, bomb, huge_png, image
from testbed.web.fetch import Fetcher, FetchError, Limits, check_image, is_opted_out

TO_THE_DEADLINE = ("drip", "drip-headers", "silent")
BEHAVIOURS = [pytest.param(name, marks=pytest.mark.slow if name in TO_THE_DEADLINE else ()) for name in OUTCOMES]


@pytest.fixture
def fetcher():
    return Fetcher(Limits(**LIMITS))


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
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


@pytest.mark.slow
def test_many_threads_share_a_fetcher(server, fetcher):
    kinds = ["ok", "missing", "reset", "cut", "redirect", "html", "drip", "to-private"] * 20
    with ThreadPoolExecutor(32) as pool:
        causes = list(pool.map(lambda item: fetcher.fetch(server.url(item[1], item[0]))[1], enumerate(kinds)))
    assert causes == [None if OUTCOMES[kind] == "success" else OUTCOMES[kind] for kind in kinds]


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


@pytest.mark.slow
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
