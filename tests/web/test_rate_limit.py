"""Rate limits: a host gets its requests per second, and is left alone where it asks for that."""

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from hostile import LIMITS
from testbed.web.fetch import Fetcher, Limits, retry_after
from testbed.web.rate_limit import MAX_PAUSES, RateLimiter


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


def test_the_slowest_host_says_how_long_requests_take_at_least():
    limiter = RateLimiter(4, {"a.example": 0.5, "free": 0})
    urls = ["http://A.example/1", "https://a.example:8/2", "http://b.example/", "http://free/", "http://[::1", "none"]
    assert limiter.least_seconds(urls) == 2 / 0.5
    assert limiter.least_seconds(urls[2:4]) == 1 / 4
    assert limiter.least_seconds([]) == 0


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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("3", 3), (" 0 ", 0), ("soon", None), ("-1", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
def test_retry_after_in_seconds_or_as_a_date(value, seconds):
    assert retry_after(value) == seconds
    assert retry_after(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=2)


def test_a_host_is_left_alone_for_no_longer_than_a_url_may_take(server):
    fetcher = Fetcher(Limits(**LIMITS))
    assert fetcher.fetch(server.url("ask-tomorrow", "long")) == (None, "http 429")
    assert fetcher.rate_limiter.pauses["127.0.0.1"] - time.monotonic() <= LIMITS["deadline"]


def test_a_pause_is_of_the_host_that_asked_for_it(server):
    """A redirect leads to a host that is busy; the one that redirects is not."""
    fetcher = Fetcher(Limits(**LIMITS | {"retries": 0}))
    url = server.url("redirect").replace("127.0.0.1", "localhost")
    assert fetcher.fetch(url)[1] is None
    fetcher.fetch(server.url("ask-tomorrow", "paused"))
    assert set(fetcher.rate_limiter.pauses) == {"127.0.0.1"}
