"""One URL to the bytes of its image, or to the one cause of its failure.

Every URL ends, and within its deadline: names are looked up, connections made, redirects followed and bodies read under
one clock. Causes are few and fixed, so that they can be counted, chosen for a second pass, and compared between sources.
"""

import http.client
import io
import logging
import random
import time
import urllib.request
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3
from PIL import Image
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError, ProxyError, SSLError

from testbed.web.addresses import AddressError, Resolver, is_public, literal
from testbed.web.connections import Watchdog, manager_of, proxy_manager_of
from testbed.web.rate_limit import Pace

REDIRECTS = 5
PIECE = 1 << 16
LATER = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""Answers after which another try may go better."""

FINAL = {"tls", "bad url"}
"""Causes of failed connections that another try does not change."""

OPT_OUTS = {"noai", "noimageai", "noindex", "noimageindex"}
VALUED = {"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"}
"""Directives of X-Robots-Tag that have a value, as agents have directives."""

PLACEHOLDERS = ("/removed.png", "/photo_unavailable.png")
"""Where imgur and Flickr send those who ask for an image that is gone: to a picture that says so."""


@dataclass(frozen=True)
class Limits:
    """What a fetch may take. Times are in seconds; see `download` in config/README.md for each."""

    threads: int = 64
    timeout: float = 10.0
    deadline: float = 60.0
    retries: int = 2
    backoff: float = 1.0
    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    requests_per_second: float = 0.0
    hosts: dict[str, float] = field(default_factory=dict)
    private_networks: tuple[str, ...] = ()
    user_agent: str = "clip-data-testbed"
    contact: str = ""


class FetchError(Exception):
    """Why a URL gave no image; `again` says whether a later try may go better, `wait` after how many seconds."""

    def __init__(self, cause: str, again: bool = False, wait: float | None = None):
        super().__init__(cause)
        self.cause = cause
        self.again = again
        self.wait = wait


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header (a number, or a date: RFC 9110, 10.2.3) asks to wait; None if it says nothing."""
    if value is None:
        return None
    value = value.strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def is_opted_out(directives: list[str], agent: str) -> bool:
    """Whether X-Robots-Tag headers forbid the use of an image, to everybody or to `agent`.

    A header is ``[agent:] directive, directive``; some directives have a value behind a colon of their own.
    """
    for header in directives:
        name, separator, rest = header.lower().partition(":")
        scoped = separator and "," not in name and name.strip() not in VALUED
        words = {word.strip() for word in (rest if scoped else header.lower()).split(",")}
        if (not scoped or name.strip() == agent.lower()) and OPT_OUTS & words:
            return True
    return False


def check_image(body: bytes, max_pixels: int) -> None:
    """Raise `FetchError` unless `body` begins like an image of at most `max_pixels`; nothing is decoded."""
    # The limit is ours; Pillow's would be an exception like any other.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(body)) as image:
            pixels = image.width * image.height
    except Exception:
        # Pillow's readers raise whatever the bytes made them stumble over.
        raise FetchError("no image") from None
    if pixels > max_pixels:
        raise FetchError("too many pixels")


class Fetcher:
    """Fetches URLs under `limits`, straight or through the HTTP proxy at `proxy`; many threads may use it at once."""

    def __init__(self, limits: Limits, proxy: str | None = None):
        # What urllib3 warns of is counted as the cause of an outcome.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        self.limits = limits
        self.end = float("inf")
        self.watchdog = Watchdog()
        self.resolver = Resolver(limits.private_networks)
        self.pace = Pace(limits.requests_per_second, limits.hosts)
        proxies = urllib.request.getproxies() if proxy is None else {"http": proxy, "https": proxy}
        self.bypass = proxy is None
        self.straight = manager_of(self.watchdog, self.resolver, limits.timeout, limits.threads)
        self.proxies = {
            scheme: proxy_manager_of(address, self.watchdog, limits.threads)
            for scheme, address in proxies.items()
            if scheme in ("http", "https")
        }
        # Pillow sets up its readers at the first image, and the first images come in many threads at once.
        Image.init()
        contact = f"; +{limits.contact}" if limits.contact else ""
        agent = f"Mozilla/5.0 (compatible; {limits.user_agent}{contact})"
        self.headers = {"User-Agent": agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}

    def fetch(self, url: str) -> tuple[bytes | None, str | None]:
        """The bytes behind `url` and None, or None and the cause of the failure; raises nothing."""
        try:
            return self.fetch_patiently(url), None
        except FetchError as error:
            return None, error.cause
        except Exception as error:
            # Whatever the web comes up with next: a URL has one outcome, and takes no other with it.
            logging.warning("%s: %r", url, error)
            return None, f"error ({type(error).__name__})"

    def fetch_patiently(self, url: str) -> bytes:
        """The bytes behind `url`, after as many tries as are allowed; raises `FetchError`."""
        parts = self.checked(url)
        host = parts.hostname
        # The clock starts when it is the URL's turn: a host that is asked slowly is no slow host.
        if not self.pace.wait(host, self.end):
            raise FetchError("out of time" if time.monotonic() >= self.end else "host busy")
        deadline = min(time.monotonic() + self.limits.deadline, self.end)
        for tried in range(self.limits.retries + 1):
            try:
                return self.follow(url, parts, deadline)
            except FetchError as error:
                # A new one: the one that was raised holds on to all that its functions held, bodies among it.
                failure = FetchError(error.cause, error.again, error.wait)
            wait = self.limits.backoff * 2**tried * random.uniform(0.5, 1.5) if failure.wait is None else failure.wait
            if not failure.again or tried == self.limits.retries or time.monotonic() + wait >= deadline:
                break
            time.sleep(wait)
            if not self.pace.wait(host, deadline):
                break
        raise failure

    def follow(self, url: str, parts: SplitResult, deadline: float) -> bytes:
        """The bytes behind `url` (checked, its turn taken) and its redirects; raises `FetchError`."""
        for _ in range(REDIRECTS + 1):
            with self.watchdog.until(deadline):
                try:
                    body, target = self.ask(url, parts)
                    self.pace.answered(parts.hostname)
                    # Headers that the watchdog cut off look like whole ones.
                    if self.watchdog.left() <= 0:
                        raise TimeoutError("timed out")
                except FetchError as error:
                    if error.wait:
                        # A site may ask for a day; the other URLs of it are not kept for longer than one of them.
                        self.pace.pause(parts.hostname, min(error.wait, self.limits.deadline))
                    raise
                except AddressError as error:
                    raise FetchError(error.cause, error.again) from None
                except (OSError, HTTPError) as error:
                    raise self.failure(cause_of(error), deadline) from None
                except (ValueError, LookupError) as error:
                    raise FetchError(f"bad answer ({type(error).__name__})") from None
            if target is None:
                check_image(body, self.limits.max_pixels)
                return body
            url = joined(url, target)
            parts = self.checked(url)
            if parts.path.endswith(PLACEHOLDERS):
                raise FetchError("removed")
            if not self.pace.wait(parts.hostname, deadline):
                raise FetchError("timeout")
        raise FetchError("too many redirects")

    def checked(self, url: str) -> SplitResult:
        """The parts of a URL that may be asked for; raises `FetchError`.

        Addresses in the URL itself are judged here, so that a proxy is not asked for them either.
        """
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname, parts.port
            address = literal(host or "")
            public = address is None or is_public(address, self.resolver.exceptions)
        except ValueError:
            raise FetchError("bad url") from None
        if parts.scheme not in ("http", "https"):
            raise FetchError("scheme")
        if not host or "@" in parts.netloc:
            raise FetchError("bad url")
        if not public:
            raise FetchError("private address")
        return parts

    def failure(self, cause: str, deadline: float) -> FetchError:
        # The watchdog's cut looks like any other broken connection.
        cause = "timeout" if time.monotonic() >= deadline else cause
        return FetchError(cause, again=cause not in FINAL)

    def ask(self, url: str, parts: SplitResult) -> tuple[bytes, str | None]:
        """The body of one answer and None, or nothing and where it redirects to."""
        seconds = max(0.001, min(self.limits.timeout, self.watchdog.left()))
        response = self.manager(parts).request(
            "GET",
            url,
            headers=self.headers,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=seconds, read=seconds),
        )
        try:
            if target := response.get_redirect_location():
                response.close()
                return b"", target
            if response.status != HTTPStatus.OK:
                wait = retry_after(response.headers.get("Retry-After"))
                raise FetchError(f"http {response.status}", again=response.status in LATER, wait=wait)
            if is_opted_out(response.headers.getlist("X-Robots-Tag"), self.limits.user_agent):
                raise FetchError("opted out")
            body = self.read(response)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return body, None

    def read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """The body of `response`, of which no more than the allowed bytes are ever held."""
        if (response.length_remaining or 0) > self.limits.max_bytes:
            raise FetchError("too large")
        body = bytearray()
        for piece in response.stream(PIECE, decode_content=False):
            body += piece
            if len(body) > self.limits.max_bytes:
                raise FetchError("too large")
        return bytes(body)

    def manager(self, parts: SplitResult) -> urllib3.PoolManager:
        """The connections that lead to a host: through the configured proxy, the environment's, or straight."""
        if self.bypass and self.proxies and urllib.request.proxy_bypass(parts.hostname):
            return self.straight
        return self.proxies.get(parts.scheme, self.straight)


def joined(url: str, target: str) -> str:
    """Where a redirect from `url` to `target` leads; raises `FetchError` where that is no URL."""
    try:
        return urljoin(url, target)
    except ValueError:
        raise FetchError("bad url") from None


def cause_of(error: Exception) -> str:
    """The name of a failed connection's cause."""
    if "timed out" in str(error).lower():
        return "timeout"
    if isinstance(error.args[-1] if error.args else None, http.client.IncompleteRead):
        return "cut off"
    names = {SSLError: "tls", ProxyError: "proxy", NewConnectionError: "no connection", LocationParseError: "bad url"}
    return next((name for kind, name in names.items() if isinstance(error, kind)), "connection broken")
