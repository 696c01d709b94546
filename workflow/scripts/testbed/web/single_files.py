"""Fetch single files over HTTP, completely or not at all, with retries after temporary failures."""

import logging
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from testbed.records.files import publish
from testbed.records.log import PROGRESS
from testbed.web.connections import pool_options, proxy_manager

RETRYABLE_STATUSES = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses after which another attempt may succeed."""

# `fetch` retries a file from its beginning, so urllib3 only follows redirects.
ONE_TRY = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=10, retry_after_max=600)
HEADERS = {"User-Agent": "clip-data-testbed", "Accept-Encoding": "identity"}
PIECE = 1 << 20
PROGRESS_SECONDS = 30.0


class FetchError(RuntimeError):
    """No attempt gave a complete response."""


def open_pool(url: str, proxy: str) -> urllib3.PoolManager:
    """Return a urllib3 pool manager for `url`: through `proxy` (http://host:port) or, if "none", as the environment says."""
    parts = urlsplit(url)
    if proxy == "none" and not urllib.request.proxy_bypass(parts.hostname):
        proxy = urllib.request.getproxies().get(parts.scheme, "none")
    return urllib3.PoolManager(**pool_options(1)) if proxy == "none" else proxy_manager(proxy, 1)


def fetch(pool: urllib3.PoolManager, url: str, path: Path, options: dict) -> int:
    """Fetch `url` to `path` and return the HTTP status. If it is 200, the file is complete; otherwise there is no file.

    `options` are `timeout` and `backoff` (seconds) and `retries`. Raises `FetchError` if no attempt succeeded.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    timeout = urllib3.Timeout(connect=options["timeout"], read=options["timeout"])
    cause = ""
    try:
        for attempt in range(options["retries"] + 1):
            wait = options["backoff"] * 2**attempt
            try:
                with pool.request(
                    "GET", url, headers=HEADERS, preload_content=False, retries=ONE_TRY, timeout=timeout
                ) as response:
                    if response.status == 200:
                        _save(response, temporary, path.name)
                        publish(temporary, path)
                    if response.status not in RETRYABLE_STATUSES:
                        return response.status
                    cause = f"HTTP {response.status}"
                    wait = ONE_TRY.get_retry_after(response) or wait
            except HTTPError as error:
                cause = str(getattr(error, "reason", error))
            if attempt < options["retries"]:
                logging.warning("%s: %s; next attempt in %g s", url, cause, wait)
                time.sleep(wait)
    finally:
        temporary.unlink(missing_ok=True)
    raise FetchError(f"{url}: no complete response in {options['retries'] + 1} attempts, the last: {cause}")


def _save(response: urllib3.BaseHTTPResponse, path: Path, name: str) -> None:
    """Write the body of a response to `path`. Raises urllib3's `HTTPError` if it is shorter than Content-Length."""
    length = int(response.headers.get("Content-Length", 0))
    written, reported = 0, time.monotonic()
    with open(path, "wb") as file:
        for piece in response.stream(PIECE):
            written += file.write(piece)
            if time.monotonic() - reported >= PROGRESS_SECONDS:
                reported = time.monotonic()
                logging.log(PROGRESS, "%s: %.0f of %.0f MB", name, written / 1e6, length / 1e6)
