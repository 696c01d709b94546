"""The rate limit: a number of requests per second to each host, and none while the host asks for a pause."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit

MAX_PAUSES = 5
"""After this many pauses without a success between them, requests to a paused host fail instead of waiting."""


class RateLimiter:
    """Delays requests so that each host gets at most `per_second`, or the rate in `hosts` for it or its domain.

    A rate of 0 sets no limit.
    """

    def __init__(self, per_second: float, hosts: dict[str, float]):
        self.per_second = per_second
        self.hosts = {host.lower(): rate for host, rate in hosts.items()}
        self.next_times: dict[str, float] = {}
        self.pauses: dict[str, float] = {}
        self.pause_counts: dict[str, int] = {}
        self.lock = threading.Lock()

    def rate(self, host: str) -> float:
        """Return the requests per second to `host`. The rate of a domain holds for each of its hosts separately."""
        labels = host.lower().split(".")
        domains = (".".join(labels[start:]) for start in range(len(labels)))
        return next((self.hosts[domain] for domain in domains if domain in self.hosts), self.per_second)

    def least_seconds(self, urls: Iterable[str]) -> float:
        """Return how long one request to each of `urls` takes at least at these rates."""
        requests = Counter(map(host_of, urls))
        return max((count / rate for host, count in requests.items() if (rate := self.rate(host))), default=0.0)

    def wait(self, host: str, until: float) -> bool:
        """Sleep until a request may be sent, and return True. Return False at once if that is after `until` (monotonic).

        Also return False for a host that has asked for `MAX_PAUSES` pauses, which would otherwise block all threads.
        """
        rate = self.rate(host)
        while True:
            with self.lock:
                now, pause = time.monotonic(), self.pauses.get(host, 0.0)
                if pause <= now:
                    send_time = max(now, self.next_times.get(host, 0.0))
                    if send_time > until:
                        return False
                    if rate:
                        self.next_times[host] = send_time + 1 / rate
                elif pause > until or self.pause_counts.get(host, 0) >= MAX_PAUSES:
                    return False
            if pause > now:
                time.sleep(pause - now)
                continue
            # A sleep of 0 s is not free: it lets all other threads run first.
            if send_time > now:
                time.sleep(send_time - now)
            # If the host was paused meanwhile, this request waits too.
            if self.pauses.get(host, 0.0) <= time.monotonic():
                return True

    def pause(self, host: str, seconds: float) -> None:
        """Send no request to `host` for `seconds`."""
        with self.lock:
            now = time.monotonic()
            if self.pauses.get(host, 0.0) <= now:
                self.pause_counts[host] = self.pause_counts.get(host, 0) + 1
            self.pauses[host] = max(self.pauses.get(host, 0.0), now + seconds)

    def record_success(self, host: str) -> None:
        """Reset the number of pauses of `host`."""
        self.pause_counts.pop(host, None)


def host_of(url: str) -> str:
    """Return the host of a URL; an empty text if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def share_of_job(options: dict) -> dict:
    """Return the experiment's `download` section with the rates divided by the number of jobs, which do not communicate."""
    jobs = options["jobs"]
    return options | {
        "requests_per_second": options["requests_per_second"] / jobs,
        "hosts": {host: rate / jobs for host, rate in options["hosts"].items()},
    }
