"""Fetch single files over HTTP, completely or not at all, with retries after temporary failures.

What came of a file stays beside it in a hidden part, also after a kill. Another attempt asks for the rest only (RFC 9110,
section 14), if the server says that the file is still the same (section 13.1.5), and else for all of it.
"""

import json
import logging
import re
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from testbed.records.files import publish
from testbed.records.log import PROGRESS
from testbed.web.connections import pool_options, proxy_manager

RETRYABLE_STATUSES = {408, 416, 425, 429, 500, 502, 503, 504}
"""HTTP statuses after which another attempt may succeed; after 416 (range not satisfiable), one from the beginning."""

# `fetch` retries a file itself, so urllib3 only follows redirects.
ONE_TRY = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=10, retry_after_max=600)
HEADERS = {"User-Agent": "clip-data-testbed", "Accept-Encoding": "identity"}
PIECE = 1 << 20
PROGRESS_SECONDS = 30.0


class FetchError(RuntimeError):
    """No attempt gave a complete response."""


@dataclass(frozen=True)
class Part:
    """What has come so far of the file `path` from `url`: the bytes, and beside them the version that they are of."""

    path: Path
    url: str

    @property
    def bytes(self) -> Path:
        return self.path.with_name(f".{self.path.name}.part")

    @property
    def version(self) -> Path:
        return self.path.with_name(f".{self.path.name}.part.json")

    def conditions(self) -> dict[str, str]:
        """Request headers for the rest of the file, in the version of this part; none without a part."""
        try:
            known = json.loads(self.version.read_text(encoding="utf-8"))
            size = self.bytes.stat().st_size
        except (OSError, ValueError):
            return {}
        if known.get("url") != self.url or not known.get("version") or not size:
            return {}
        return {"Range": f"bytes={size}-", "If-Range": known["version"]}

    def save(self, response: urllib3.BaseHTTPResponse) -> None:
        """Write the body of a response: the whole file, or the rest of it (status 206) after this part.

        Raises urllib3's `HTTPError` if the body is shorter than it should be, or is another part than the rest.
        """
        known = self.bytes.stat().st_size if response.status == 206 else 0
        if response.status == 206:
            begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            expected, version = self.conditions().get("If-Range"), version_of(response)
            if not begin or int(begin[1]) != known or version not in (None, expected):
                # Not every server or proxy heeds If-Range.
                self.discard()
                got = response.headers.get("Content-Range")
                raise HTTPError(f"asked for the bytes from {known} of {expected}, got {got} of {version}")
            logging.info("%s: goes on after %.1f MB", self.path.name, known / 1e6)
        else:
            self.version.unlink(missing_ok=True)
        with open(self.bytes, "ab" if known else "wb") as file:
            if not known:
                version = json.dumps({"url": self.url, "version": version_of(response)})
                self.version.write_text(version, encoding="utf-8")
            self._write(response, file, known)

    def _write(self, response: urllib3.BaseHTTPResponse, file: object, known: int) -> None:
        length = known + int(response.headers.get("Content-Length", 0))
        written, reported = known, time.monotonic()
        for piece in response.stream(PIECE):
            written += file.write(piece)
            if time.monotonic() - reported >= PROGRESS_SECONDS:
                reported = time.monotonic()
                logging.log(PROGRESS, "%s: %.0f of %.0f MB", self.path.name, written / 1e6, length / 1e6)

    def is_whole(self, response: urllib3.BaseHTTPResponse) -> bool:
        """Return whether the response to a request for the rest (status 416) says that this part is the whole file."""
        known = self.conditions() and f"bytes */{self.bytes.stat().st_size}"
        return bool(known) and response.headers.get("Content-Range") == known

    def publish(self) -> None:
        """Give the complete file its name."""
        self.version.unlink(missing_ok=True)
        publish(self.bytes, self.path)

    def discard(self) -> None:
        for path in (self.version, self.bytes):
            path.unlink(missing_ok=True)


def version_of(response: urllib3.BaseHTTPResponse) -> str | None:
    """What names the version of a file, for If-Range: its strong ETag, else its date; None if it has neither."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def open_pool(url: str, proxy: str) -> urllib3.PoolManager:
    """Return a urllib3 pool manager for `url`: through `proxy` (http://host:port) or, if "none", as the environment says."""
    parts = urlsplit(url)
    if proxy == "none" and not urllib.request.proxy_bypass(parts.hostname):
        proxy = urllib.request.getproxies().get(parts.scheme, "none")
    return urllib3.PoolManager(**pool_options(1)) if proxy == "none" else proxy_manager(proxy, 1)


def fetch(pool: urllib3.PoolManager, url: str, path: Path, options: dict, headers: dict[str, str] | None = None) -> int:
    """Fetch `url` to `path` and return the HTTP status. If it is 200, the file is complete; otherwise there is no file.

    `options` are `timeout` and `backoff` (seconds) and `retries`; `headers` are sent besides the usual ones. Raises
    `FetchError` if no attempt succeeded; what came of a file with a version is kept for the next call.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Part(path, url)
    timeout = urllib3.Timeout(connect=options["timeout"], read=options["timeout"])
    cause = ""
    for attempt in range(options["retries"] + 1):
        wait = options["backoff"] * 2**attempt
        try:
            with pool.request(
                "GET",
                url,
                headers=HEADERS | (headers or {}) | part.conditions(),
                preload_content=False,
                retries=ONE_TRY,
                timeout=timeout,
            ) as response:
                if response.status in (200, 206):
                    part.save(response)
                    part.publish()
                    return 200
                if response.status == 416 and part.is_whole(response):
                    # The last run ended between the last byte and the file's name.
                    part.publish()
                    return 200
                if response.status == 416 or response.status not in RETRYABLE_STATUSES:
                    part.discard()
                if response.status not in RETRYABLE_STATUSES:
                    return response.status
                cause = f"HTTP {response.status}"
                wait = ONE_TRY.get_retry_after(response) or wait
        except HTTPError as error:
            cause = str(getattr(error, "reason", error))
            if not part.conditions():
                part.discard()
        if attempt < options["retries"]:
            logging.warning("%s: %s; next attempt in %g s", url, cause, wait)
            time.sleep(wait)
    raise FetchError(f"{url}: no complete response in {options['retries'] + 1} attempts, the last: {cause}")
