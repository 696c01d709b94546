"""An origin of test sets on loopback: the files of a folder, with the faults that a test asks for."""

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Origin(BaseHTTPRequestHandler):
    """Serves a folder's files at /wds_<name>/resolve/main/<file>, with the faults that the server was told of."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Server = self.server
        path = self.path.partition("://")[2].partition("/")[2] if "://" in self.path else self.path[1:]
        server.asked[path] += 1
        if server.moved and not path.startswith("elsewhere/"):
            return self.answer(302, Location=f"/elsewhere/{path}")
        path = path.removeprefix("elsewhere/")
        fault = server.faults.get(path.rpartition("resolve/main/")[2], [])
        kind = fault.pop(0) if fault else "ok"
        file = server.folder / path.replace("/resolve/main/", "/")
        if isinstance(kind, int):
            return self.answer(kind)
        if not file.is_file():
            return self.answer(404)
        content = file.read_bytes()
        if kind == "ok":
            return self.answer(200, content)
        self.answer(200, content[: len(content) // 2], **{"Content-Length": str(len(content))})
        self.close_connection = True

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing; `Server.asked` does."""


class Server(ThreadingHTTPServer):
    """On a free port of the loopback interface. `faults` has for a file what becomes of its first requests: a status, or
    "cut"; after them it comes as it is. `moved` answers every request with a redirect."""

    daemon_threads = True

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), Origin)
        self.folder, self.asked, self.faults, self.moved = folder, Counter(), {}, False
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def times(self) -> dict[str, int]:
        """How often each file was asked for."""
        return {path.rpartition("resolve/main/")[2]: times for path, times in self.asked.items()}
