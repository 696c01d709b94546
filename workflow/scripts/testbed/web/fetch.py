"""Fetch the image of one URL, or get the one cause of its failure.

Every URL is finished by its deadline, which covers lookups, connections, redirects and bodies. There are few, fixed causes,
so that users can count them, choose some for a second pass, and compare sources.
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

from testbed.web.addresses import AddressError, Resolver, is_public, literal_address
from testbed.web.connections import Watchdog, manager_of, proxy_manager_of
from testbed.web.rate_limit import RateLimiter

REDIRECTS = 5
PIECE = 1 << 16
RETRYABLE = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""HTTP statuses after which another attempt may succeed."""

FINAL = {"tls", "bad url"}
"""Causes of failed connections for which another attempt is useless."""

OPT_OUTS = {"noai", "noimageai", "noindex", "noimageindex"}
VALUED = {"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"}
"""Directives of X-Robots-Tag with a value after a colon, where other headers have an agent before it."""

PLACEHOLDERS = ("/removed.png", "/photo_unavailable.png")
"""imgur and Flickr redirect requests for removed images to these placeholder images."""


@dataclass(frozen=True)
class Limits:
    """Limits on each request. Times are in seconds; config/README.md describes each under `download`."""

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
    """Why a URL gave no image. `retryable` says whether a later attempt may succeed, `wait` after how many seconds."""

    def __init__(self, cause: str, retryable: bool = False, wait: float | None = None):
        super().__init__(cause)
        self.cause = cause
        self.retryable = retryable
        self.wait = wait


def retry_after(value: str | None) -> float | None:
    """Return the seconds to wait by a Retry-After header (a number or a date: RFC 9110, 10.2.3); None if it is invalid."""
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
    """Return whether X-Robots-Tag headers forbid the use of an image, for all agents or for `agent`.

    A header is ``[agent:] directive, directive``. Some directives have a value after a colon.
    """
    for header in directives:
        name, separator, rest = header.lower().partition(":")
        scoped = separator and "," not in name and name.strip() not in VALUED
        words = {word.strip() for word in (rest if scoped else header.lower()).split(",")}
        if (not scoped or name.strip() == agent.lower()) and OPT_OUTS & words:
            return True
    return False


def check_image(body: bytes, max_pixels: int) -> None:
    """Raise `FetchError` unless `body` begins like an image of at most `max_pixels`. The image is not decoded."""
    # Disables Pillow's own limit, whose exception could not be told from others.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(body)) as image:
            pixels = image.width * image.height
    except Exception:
        # Pillow's readers raise many kinds of exceptions for invalid bytes.
        raise FetchError("no image") from None
    if pixels > max_pixels:
        raise FetchError("too many pixels")


class Fetcher:
    """Fetches URLs under `limits`, directly or through the HTTP proxy at `proxy`. It is thread-safe."""

    def __init__(self, limits: Limits, proxy: str | None = None):
        # Outcomes count what urllib3 warns of.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        self.limits = limits
        self.end = float("inf")
        self.watchdog = Watchdog()
        self.resolver = Resolver(limits.private_networks)
        self.rate_limiter = RateLimiter(limits.requests_per_second, limits.hosts)
        proxies = urllib.request.getproxies() if proxy is None else {"http": proxy, "https": proxy}
        self.bypass = proxy is None
        self.direct = manager_of(self.watchdog, self.resolver, limits.timeout, limits.threads)
        self.proxies = {
            scheme: proxy_manager_of(address, self.watchdog, limits.threads)
            for scheme, address in proxies.items()
            if scheme in ("http", "https")
        }
        # Pillow sets up its readers at the first image, which is not thread-safe.
        Image.init()
        contact = f"; +{limits.contact}" if limits.contact else ""
        agent = f"Mozilla/5.0 (compatible; {limits.user_agent}{contact})"
        self.headers = {"User-Agent": agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}

    def fetch(self, url: str) -> tuple[bytes | None, str | None]:
        """Return the bytes at `url` and None, or None and the cause of the failure. It never raises."""
        try:
            return self.fetch_with_retries(url), None
        except FetchError as error:
            return None, error.cause
        except Exception as error:
            # An unexpected error is the outcome of this URL, and must not affect other URLs.
            logging.warning("%s: %r", url, error)
            return None, f"error ({type(error).__name__})"

    def fetch_with_retries(self, url: str) -> bytes:
        """Return the bytes at `url`, after at most the allowed attempts. Raises `FetchError`."""
        parts = self.check_url(url)
        host = parts.hostname
        # The deadline starts after the wait for the rate limit, which is not the fault of the host.
        if not self.rate_limiter.wait(host, self.end):
            raise FetchError("out of time" if time.monotonic() >= self.end else "host busy")
        deadline = min(time.monotonic() + self.limits.deadline, self.end)
        for attempt in range(self.limits.retries + 1):
            try:
                return self.follow_redirects(url, parts, deadline)
            except FetchError as error:
                # A new exception: the traceback of the raised one keeps the response bodies in memory.
                failure = FetchError(error.cause, error.retryable, error.wait)
            wait = self.limits.backoff * 2**attempt * random.uniform(0.5, 1.5) if failure.wait is None else failure.wait
            if not failure.retryable or attempt == self.limits.retries or time.monotonic() + wait >= deadline:
                break
            time.sleep(wait)
            if not self.rate_limiter.wait(host, deadline):
                break
        raise failure

    def follow_redirects(self, url: str, parts: SplitResult, deadline: float) -> bytes:
        """Return the bytes at `url`, after redirects. `url` is checked, and may be requested now. Raises `FetchError`."""
        for _ in range(REDIRECTS + 1):
            with self.watchdog.until(deadline):
                try:
                    body, target = self.request(url, parts)
                    self.rate_limiter.record_success(parts.hostname)
                    # Headers that the watchdog truncated look like complete ones.
                    if self.watchdog.remaining() <= 0:
                        raise TimeoutError("timed out")
                except FetchError as error:
                    if error.wait:
                        # A site may ask for a day. Its other URLs wait at most as long as the deadline of one URL.
                        self.rate_limiter.pause(parts.hostname, min(error.wait, self.limits.deadline))
                    raise
                except AddressError as error:
                    raise FetchError(error.cause, error.retryable) from None
                except (OSError, HTTPError) as error:
                    raise self.failure(cause_of(error), deadline) from None
                except (ValueError, LookupError) as error:
                    raise FetchError(f"bad answer ({type(error).__name__})") from None
            if target is None:
                check_image(body, self.limits.max_pixels)
                return body
            url = redirect_url(url, target)
            parts = self.check_url(url)
            if parts.path.endswith(PLACEHOLDERS):
                raise FetchError("removed")
            if not self.rate_limiter.wait(parts.hostname, deadline):
                raise FetchError("timeout")
        raise FetchError("too many redirects")

    def check_url(self, url: str) -> SplitResult:
        """Return the parts of a URL. Raises `FetchError` if it must not be requested.

        Addresses in the URL itself are checked here, so that they are not requested through a proxy either.
        """
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname, parts.port
            address = literal_address(host or "")
            public = address is None or is_public(address, self.resolver.allowed)
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
        # A socket that the watchdog shut down looks like any other broken connection.
        cause = "timeout" if time.monotonic() >= deadline else cause
        return FetchError(cause, retryable=cause not in FINAL)

    def request(self, url: str, parts: SplitResult) -> tuple[bytes, str | None]:
        """Return the body of one response and None, or empty bytes and the target of its redirect."""
        seconds = max(0.001, min(self.limits.timeout, self.watchdog.remaining()))
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
                raise FetchError(f"http {response.status}", retryable=response.status in RETRYABLE, wait=wait)
            if is_opted_out(response.headers.getlist("X-Robots-Tag"), self.limits.user_agent):
                raise FetchError("opted out")
            body = self.read(response)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return body, None

    def read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Return the body of `response`. Memory never holds much more than the allowed bytes."""
        if (response.length_remaining or 0) > self.limits.max_bytes:
            raise FetchError("too large")
        body = bytearray()
        for piece in response.stream(PIECE, decode_content=False):
            body += piece
            if len(body) > self.limits.max_bytes:
                raise FetchError("too large")
        return bytes(body)

    def manager(self, parts: SplitResult) -> urllib3.PoolManager:
        """Return the pool manager for a host: through the configured proxy or the environment's, or direct."""
        if self.bypass and self.proxies and urllib.request.proxy_bypass(parts.hostname):
            return self.direct
        return self.proxies.get(parts.scheme, self.direct)


def redirect_url(url: str, target: str) -> str:
    """Return the URL of a redirect from `url` to `target`. Raises `FetchError` if it is not a URL."""
    try:
        return urljoin(url, target)
    except ValueError:
        raise FetchError("bad url") from None


def cause_of(error: Exception) -> str:
    """Return the name of the cause of a failed connection."""
    if "timed out" in str(error).lower():
        return "timeout"
    if isinstance(error.args[-1] if error.args else None, http.client.IncompleteRead):
        return "cut off"
    names = {SSLError: "tls", ProxyError: "proxy", NewConnectionError: "no connection", LocationParseError: "bad url"}
    return next((name for kind, name in names.items() if isinstance(error, kind)), "connection broken")
