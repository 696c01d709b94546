"""An origin of large files on loopback, as object stores are: ETags, ranges, and the faults that a test asks for."""

import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOGIN_PAGE = b"<!DOCTYPE html><html><body><form>Log in</form></body></html>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        origin: FileOrigin = self.server
        name = self.path.partition("?")[0].removeprefix("/")
        origin.asked[name].append(dict(self.headers))
        fault = origin.faults[name].pop(0) if origin.faults[name] else None
        if isinstance(fault, int):
            return self.answer(fault, b"")
        if fault == "login":
            return self.answer(200, LOGIN_PAGE, ETag='"login"')
        if name not in origin.files:
            return self.answer(404, b"")
        content = origin.files[name]
        version = {"ETag": f'"{hash(content)}"'} if origin.versions else {}
        begin = self.begin(content, version.get("ETag"), heeds=fault != "any version") if fault != "no ranges" else 0
        if begin == len(content):
            return self.answer(416, b"", **{"Content-Range": f"bytes */{len(content)}"})
        body, status = content[begin:], 206 if begin else 200
        headers = version | ({"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {})
        if fault == "wrong range":
            headers["Content-Range"] = f"bytes {begin + 1}-{len(content) - 1}/{len(content)}"
        if fault == "cut":
            return self.answer(status, body[: len(body) // 2], length=len(body), **headers)
        self.answer(status, body, **headers)

    def begin(self, content: bytes, version: str | None, heeds: bool) -> int:
        """The first byte that is asked for, 0 for all. A range counts for the named version only, if the origin heeds it."""
        asked = self.headers.get("Range", "")
        if not asked or (heeds and self.headers.get("If-Range") != version):
            return 0
        return int(asked.removeprefix("bytes=").rstrip("-"))

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests read `asked`."""


class FileOrigin(ThreadingHTTPServer):
    """Serves `files` (name to bytes). `faults` are those of the next responses by name, `asked` the headers of requests."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], versions: bool = True):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.versions = files, versions
        self.faults: dict[str, list] = defaultdict(list)
        self.asked: dict[str, list[dict]] = defaultdict(list)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
