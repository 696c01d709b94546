"""How fast a host may be asked: a number of requests per second, and not at all while it asks to be left alone."""

import threading
import time


class Pace:
    """Gives each request to a host its turn.

    `per_second` requests go to each host, or as many as `hosts` says for it or for a domain above it; 0 sets no limit.
    """

    def __init__(self, per_second: float, hosts: dict[str, float]):
        self.per_second = per_second
        self.hosts = {host.lower(): rate for host, rate in hosts.items()}
        self.turns: dict[str, float] = {}
        self.lock = threading.Lock()

    def rate(self, host: str) -> float:
        """Requests per second that `host` gets; the limit of a domain holds for the hosts below it, each by itself."""
        labels = host.lower().split(".")
        domains = (".".join(labels[start:]) for start in range(len(labels)))
        return next((self.hosts[domain] for domain in domains if domain in self.hosts), self.per_second)

    def wait(self, host: str, until: float) -> bool:
        """Sleep until it is a request's turn; False at once if that comes after `until` (monotonic seconds)."""
        rate = self.rate(host)
        with self.lock:
            now = time.monotonic()
            turn = max(now, self.turns.get(host, 0.0))
            if turn > until:
                return False
            if rate:
                self.turns[host] = turn + 1 / rate
        # Sleeping no time at all is no small thing: it hands over to all other threads.
        if turn > now:
            time.sleep(turn - now)
        return True

    def pause(self, host: str, seconds: float) -> None:
        """Leave `host` alone for `seconds`, as it asked for."""
        with self.lock:
            self.turns[host] = max(self.turns.get(host, 0.0), time.monotonic() + seconds)
