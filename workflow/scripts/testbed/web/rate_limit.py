"""How fast a host may be asked: a number of requests per second, and not at all while it asks to be left alone."""

import threading
import time

STRIKES = 5
"""After so many pauses without a success between them, requests to a paused host are given up instead of waiting."""


class Pace:
    """Gives each request to a host its turn.

    `per_second` requests go to each host, or as many as `hosts` says for it or for a domain above it; 0 sets no limit.
    """

    def __init__(self, per_second: float, hosts: dict[str, float]):
        self.per_second = per_second
        self.hosts = {host.lower(): rate for host, rate in hosts.items()}
        self.turns: dict[str, float] = {}
        self.pauses: dict[str, float] = {}
        self.strikes: dict[str, int] = {}
        self.lock = threading.Lock()

    def rate(self, host: str) -> float:
        """Requests per second that `host` gets; the limit of a domain holds for the hosts below it, each by itself."""
        labels = host.lower().split(".")
        domains = (".".join(labels[start:]) for start in range(len(labels)))
        return next((self.hosts[domain] for domain in domains if domain in self.hosts), self.per_second)

    def wait(self, host: str, until: float) -> bool:
        """Sleep until it is a request's turn; False at once if that comes after `until` (monotonic seconds).

        False, too, for a host that has asked to be left alone again and again: it would hold all threads in the end.
        """
        rate = self.rate(host)
        while True:
            with self.lock:
                now, pause = time.monotonic(), self.pauses.get(host, 0.0)
                if pause <= now:
                    turn = max(now, self.turns.get(host, 0.0))
                    if turn > until:
                        return False
                    if rate:
                        self.turns[host] = turn + 1 / rate
                elif pause > until or self.strikes.get(host, 0) >= STRIKES:
                    return False
            if pause > now:
                time.sleep(pause - now)
                continue
            # Sleeping no time at all is no small thing: it hands over to all other threads.
            if turn > now:
                time.sleep(turn - now)
            # A host that was paused meanwhile is left alone by those in its queue as well.
            if self.pauses.get(host, 0.0) <= time.monotonic():
                return True

    def pause(self, host: str, seconds: float) -> None:
        """Leave `host` alone for `seconds`, as it asked for."""
        with self.lock:
            now = time.monotonic()
            if self.pauses.get(host, 0.0) <= now:
                self.strikes[host] = self.strikes.get(host, 0) + 1
            self.pauses[host] = max(self.pauses.get(host, 0.0), now + seconds)

    def answered(self, host: str) -> None:
        """Note that `host` has answered as it should."""
        self.strikes.pop(host, None)


def share_of_job(options: dict) -> dict:
    """The experiment's `download` section with one job's part of the rates: jobs do not know of each other."""
    jobs = options["jobs"]
    return options | {
        "requests_per_second": options["requests_per_second"] / jobs,
        "hosts": {host: rate / jobs for host, rate in options["hosts"].items()},
    }
