"""The mini-web's server: an HTTP proxy on loopback that responds as the web does, errors included.

It draws the image of a page at the request, and serves the files of `testbed.miniweb.origins`. Run as
``python -m testbed.miniweb.server PAGES.parquet...`` it takes a free port, prints its address, and serves until its standard
input is closed. This happens when the process that started it ends in any way.
"""

import http.client
import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from testbed.miniweb.origins import Origins, headers_of
from testbed.miniweb.planted import change_image
from testbed.miniweb.scenes import draw

SLOW_ANSWER_SECONDS = 0.5
CONTENT_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
GONE_PAGE = b"<!doctype html><html><title>Sorry</title><body><h1>This photo is no longer here</h1></body></html>"


def image_bytes(page: dict) -> bytes:
    """Return the image file of the page, in its own format."""
    image = change_image(draw(page["label"], page["domain"], page["seed"], page["size"]), page["change"])
    file = io.BytesIO()
    image.save(file, page["format"].upper(), quality=90)
    return file.getvalue()


def answer(page: dict | None, first_visit: bool) -> tuple[int, str, bytes]:
    """Return the status, content type and body of the response for `page` (None: an unknown URL)."""
    behaviour = page["behaviour"] if page else "missing"
    if behaviour == "missing":
        return 404, "text/html", GONE_PAGE
    if behaviour == "banned" or (behaviour == "busy" and first_visit):
        return 429, "text/html", b"Too many requests"
    if behaviour == "html":
        return 200, "text/html", GONE_PAGE
    body = image_bytes(page)
    if behaviour == "corrupt":
        body = b"\xff\xd8\xff\xe0" + bytes(255 - byte for byte in body[4:])
    elif behaviour == "truncated":
        body = body[: len(body) // 3]
    elif behaviour == "slow":
        time.sleep(SLOW_ANSWER_SECONDS)
    return 200, CONTENT_TYPES[page["format"]], body


def lacks_contact(url: str, agent: str) -> bool:
    """Return whether Wikimedia would refuse the user agent `agent`, because it names no contact."""
    return urlsplit(url).hostname == "upload.wikimedia.test" and "+" not in agent


class ProxyHandler(BaseHTTPRequestHandler):
    """Responds to one proxied request."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if found := self.server.origins.find(self.path):
            self.send_file(found)
            return
        if lacks_contact(self.path, self.headers.get("User-Agent", "")):
            status, content_type, body = 403, "text/plain", b"Add a contact to the user agent"
        else:
            status, content_type, body = self.server.visit(self.path)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == http.client.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, path: Path) -> None:
        self.send_response(200)
        for name, value in headers_of(path).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        if self.command == "GET":
            with open(path, "rb") as file:
                shutil.copyfileobj(file, self.wfile)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing: the outcome tables have every request, and standard error is for errors."""


class MiniwebServer(ThreadingHTTPServer):
    """Serves `pages` (URL to page, as in pages.parquet) on a free port of the loopback interface."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, pages: dict[str, dict]):
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.pages = pages
        self.origins = Origins()
        self.visits: dict[str, int] = {}
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def visit(self, url: str) -> tuple[int, str, bytes]:
        with self.lock:
            self.visits[url] = visits = self.visits.get(url, 0) + 1
        return answer(self.pages.get(url), first_visit=visits == 1)

    def handle_error(self, request: object, client_address: object) -> None:
        """Report errors, except closed connections, which are normal."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def read_pages(paths: list[str]) -> dict[str, dict]:
    """Return the pages of the pages.parquet files `paths`, by URL."""
    import pyarrow.parquet as parquet

    return {page["url"]: page for path in paths for page in parquet.read_table(path).to_pylist()}


@contextmanager
def running(pages: list[str]) -> Iterator[str]:
    """Context that serves the pages.parquet files `pages` in a separate process, and gives the proxy's address."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "testbed.miniweb.server", *pages]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the mini-web's server did not start; run it by hand to see why: {' '.join(command)}")
        try:
            yield address
        finally:
            process.stdin.close()


def open_proxy(proxy: str, pages: list[str]) -> AbstractContextManager[str]:
    """Return a context that gives the proxy of `download.proxy`: "none", an address, or for "miniweb" the mini-web's.

    `pages` are the pages.parquet files that the mini-web serves.
    """
    return running(pages) if proxy == "miniweb" else nullcontext(proxy)


def main(paths: list[str]) -> None:
    server = MiniwebServer(read_pages(paths))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
