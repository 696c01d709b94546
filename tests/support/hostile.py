"""A web server that does what the web does at its worst, one behaviour per path: ``/<behaviour>/<anything>``.

`OUTCOMES` says what each behaviour has to end in.
"""

import io
import socket
import struct
import threading
import time
import zlib
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

DRIP_SECONDS = 0.2
SLOW_SECONDS = 0.5
HUGE_SIDE = 20_000

LIMITS = {
    **{"timeout": 0.6, "deadline": 3.0, "backoff": 0.05, "max_bytes": 3_000_000},
    "private_networks": ("127.0.0.1/32",),
}
"""Limits of fetches from this server, by which each behaviour ends soon."""

OUTCOMES = {
    "ok": "success",
    "png": "success",
    "webp": "success",
    "cmyk": "success",
    "grey16": "success",
    "exif": "success",
    "animated": "success",
    "transparent": "success",
    "slow": "success",
    "redirect": "success",
    "busy-once": "success",
    "unavailable-once": "success",
    "noindex-other": "success",
    "missing": "http 404",
    "forbidden": "http 403",
    "busy": "http 429",
    "ask-tomorrow": "http 429",
    "drip": "timeout",
    "drip-headers": "timeout",
    "silent": "timeout",
    "endless": "too large",
    "claims-much": "too large",
    "bomb": "no image",
    "huge": "too many pixels",
    "to-private": "private address",
    "to-metadata": "private address",
    "to-file": "scheme",
    "to-nowhere": "unknown host",
    "loop": "too many redirects",
    "html": "no image",
    "svg": "no image",
    "empty": "no image",
    "truncated": "cannot be decoded",
    "removed": "removed",
    "to-brackets": "bad url",
    "cut": "cut off",
    "noai": "opted out",
    "noindex-us": "opted out",
    "reset": "connection broken",
    "garbage": "connection broken",
}
"""How a URL of each behaviour ends, with two retries and limits of some seconds."""


@cache
def image(kind: str) -> bytes:
    """A small image file of its kind."""
    modes = {"cmyk": "CMYK", "grey16": "I;16", "transparent": "RGBA"}
    formats = {"grey16": "PNG", "transparent": "PNG", "png": "PNG", "webp": "WEBP", "animated": "GIF"}
    picture = Image.linear_gradient("L").resize((96, 72))
    picture = picture.convert("I").convert("I;16") if kind == "grey16" else picture.convert(modes.get(kind, "RGB"))
    options = {}
    if kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif}
    elif kind == "animated":
        options = {"save_all": True, "append_images": [picture.rotate(90 * turn) for turn in range(1, 4)]}
    file = io.BytesIO()
    picture.save(file, formats.get(kind, "JPEG"), **options)
    return file.getvalue()


@cache
def huge_png() -> bytes:
    """A PNG of 20,000 x 20,000 pixels in some kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = bytes(1 + HUGE_SIDE // 8)
    pixels = b"".join(packer.compress(row) for _ in range(HUGE_SIDE)) + packer.flush()
    head = struct.pack(">IIBBBBB", HUGE_SIDE, HUGE_SIDE, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@cache
def bomb() -> bytes:
    """100 MB of zeros, gzipped."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()


REDIRECTS = {
    "redirect": "/ok/behind-a-redirect",
    "to-private": "http://10.0.0.1/ok.jpg",
    "to-metadata": "http://169.254.169.254/latest/meta-data/",
    "to-file": "file:///etc/passwd",
    "to-nowhere": "http://no-such-host.invalid/ok.jpg",
    "to-brackets": "http://[x/ok.jpg",
    "removed": "/ok/removed.png",
}
STATUSES = {"missing": 404, "forbidden": 403, "busy": 429, "ask-tomorrow": 429}
ONCE = {"busy-once": 429, "unavailable-once": 503}
ROBOTS = {"noai": "noai", "noindex-us": "clip-data-testbed: noindex", "noindex-other": "otherbot: noindex"}


class HostileHandler(BaseHTTPRequestHandler):
    """Answers with what the first part of the path says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        first = self.server.visit(self.path)
        time.sleep(self.server.latency)
        if kind in self.server.files:
            self.give(self.server.files[kind])
        elif kind in REDIRECTS:
            self.give(b"", 302, Location=REDIRECTS[kind])
        elif kind == "loop":
            self.give(b"", 302, Location=self.path + "x")
        elif kind in STATUSES:
            self.give(b"no", STATUSES[kind], **{"Retry-After": "86400"} if kind == "ask-tomorrow" else {})
        elif kind in ONCE and first:
            self.give(b"no", ONCE[kind], **{"Retry-After": "1"})
        elif kind in ROBOTS:
            self.give(image("ok"), **{"X-Robots-Tag": ROBOTS[kind]})
        elif kind == "slow":
            time.sleep(SLOW_SECONDS)
            self.give(image("ok"))
        elif hasattr(self, kind.replace("-", "_")):
            getattr(self, kind.replace("-", "_"))()
        else:
            self.give(image(kind))

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def html(self) -> None:
        self.give(b"<!doctype html><html>Gone</html>", **{"Content-Type": "image/jpeg"})

    def svg(self) -> None:
        self.give(
            b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', **{"Content-Type": "image/svg+xml"}
        )

    def empty(self) -> None:
        self.give(b"")

    def truncated(self) -> None:
        self.give(image("png")[:-200])

    def cut(self) -> None:
        self.send_head(2 * len(image("ok")))
        self.wfile.write(image("ok"))
        self.close_connection = True

    def claims_much(self) -> None:
        self.send_head(10**12)
        self.wfile.write(image("ok"))
        self.close_connection = True

    def bomb(self) -> None:
        self.give(bomb(), **{"Content-Encoding": "gzip"})

    def huge(self) -> None:
        self.give(huge_png())

    def drip(self) -> None:
        self.send_head(1000)
        self.drop(b"x" * 1000)

    def drip_headers(self) -> None:
        self.drop(b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 80)

    def drop(self, content: bytes) -> None:
        for start in range(len(content)):
            self.wfile.write(content[start : start + 1])
            time.sleep(DRIP_SECONDS)

    def silent(self) -> None:
        self.server.quiet.wait()
        self.close_connection = True

    def endless(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while True:
            self.wfile.write(bytes(1 << 16))

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def garbage(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.close_connection = True

    def send_head(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing; the outcomes do."""


class HostileServer(ThreadingHTTPServer):
    """Serves on a free port of the loopback interface, each answer `latency` seconds late; counts visits by path.

    `files` are further behaviours: answers with these bytes.
    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, latency: float = 0.0, files: dict[str, bytes] | None = None):
        super().__init__(("127.0.0.1", 0), HostileHandler)
        self.latency, self.files = latency, files or {}
        self.visits: dict[str, int] = {}
        self.lock = threading.Lock()
        self.quiet = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def visit(self, path: str) -> bool:
        """Count a visit; whether it is the first."""
        with self.lock:
            self.visits[path] = visits = self.visits.get(path, 0) + 1
        return visits == 1

    def url(self, behaviour: str, name: object = 0) -> str:
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/{name}"

    def close(self) -> None:
        self.quiet.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up on such a server."""
