"""Single files over HTTP: fetched whole or not at all, with further tries where a failure may pass."""

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

PASSING_STATUSES = {408, 425, 429, 500, 502, 503, 504}
"""Answers after which another try may succeed."""

# Files come one after the other, and a file is tried again from its beginning, so that urllib3 only follows redirects.
ONE_TRY = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=10, retry_after_max=600)
HEADERS = {"User-Agent": "clip-data-testbed", "Accept-Encoding": "identity"}
PIECE = 1 << 20
PROGRESS_SECONDS = 30.0


class FetchError(RuntimeError):
    """No try gave a whole answer."""


def open_pool(url: str, proxy: str) -> urllib3.PoolManager:
    """Connections for `url`: through `proxy` (http://host:port) or, where that is "none", as the environment says."""
    parts = urlsplit(url)
    if proxy == "none" and not urllib.request.proxy_bypass(parts.hostname):
        proxy = urllib.request.getproxies().get(parts.scheme, "none")
    return urllib3.PoolManager(**pool_options(1)) if proxy == "none" else proxy_manager(proxy, 1)


def fetch(pool: urllib3.PoolManager, url: str, path: Path, options: dict) -> int:
    """Fetch `url` to `path`, whole or not at all; returns the HTTP status, which is 200 where the file is there.

    `options` are `timeout` and `backoff` (seconds) and `retries`. Raises `FetchError` where no try gave a whole answer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    timeout = urllib3.Timeout(connect=options["timeout"], read=options["timeout"])
    cause = ""
    try:
        for tried in range(options["retries"] + 1):
            wait = options["backoff"] * 2**tried
            try:
                with pool.request(
                    "GET", url, headers=HEADERS, preload_content=False, retries=ONE_TRY, timeout=timeout
                ) as response:
                    if response.status == 200:
                        _save(response, temporary, path.name)
                        publish(temporary, path)
                    if response.status not in PASSING_STATUSES:
                        return response.status
                    cause = f"HTTP {response.status}"
                    wait = ONE_TRY.get_retry_after(response) or wait
            except HTTPError as error:
                cause = str(getattr(error, "reason", error))
            if tried < options["retries"]:
                logging.warning("%s: %s; trying again in %g s", url, cause, wait)
                time.sleep(wait)
    finally:
        temporary.unlink(missing_ok=True)
    raise FetchError(f"{url}: no whole answer in {options['retries'] + 1} tries, at last: {cause}")


def _save(response: urllib3.BaseHTTPResponse, path: Path, name: str) -> None:
    """Write a response's body to `path`; raises urllib3's `HTTPError` where it ends before its Content-Length."""
    length = int(response.headers.get("Content-Length", 0))
    written, told = 0, time.monotonic()
    with open(path, "wb") as file:
        for piece in response.stream(PIECE):
            written += file.write(piece)
            if time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                logging.log(PROGRESS, "%s: %.0f of %.0f MB", name, written / 1e6, length / 1e6)
