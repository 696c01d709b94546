"""Runs download_images for the tests, in a process of its own.

It answers one request per line; each has its own web, so that what was visited can be counted.
"""

import json
import sys
import threading
from contextlib import redirect_stdout
from pathlib import Path

from download_images import DownloadError, download_images
from testbed.miniweb.server import MiniwebServer


def fetch(request: dict) -> dict:
    """Manifest or error of one call, and the visits to each page."""
    pages = {page["url"]: page for page in request["pages"]}
    with MiniwebServer(pages) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        options = {"proxy": server.address, **request["options"]}
        folder = Path(request["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        try:
            answer = {"manifest": download_images(Path(request["part"]), folder, options, request.get("files", []))}
        except DownloadError as error:
            answer = {"error": str(error)}
        server.shutdown()
    # Not getrusage, which counts what the process was before it ran this program: a copy of the tests'.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return {**answer, "visits": server.visits, "memory_mb": int(peak.split()[1]) / 1024}


if __name__ == "__main__":
    for line in sys.stdin:
        # img2dataset prints; what it says belongs to the messages, not to the answer.
        with redirect_stdout(sys.stderr):
            answer = fetch(json.loads(line))
        print(json.dumps(answer), flush=True)
