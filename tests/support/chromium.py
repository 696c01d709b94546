"""A headless Chromium, driven over the DevTools protocol through a pair of pipes: no package, port or network is needed."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

NAMES = ("chromium", "chromium-browser", "google-chrome")
KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "End": 35,
}


LEAVING = ("target navigated", "context was destroyed", "default execution context")
"""What the browser answers between two pages."""


def find_chromium() -> str | None:
    """The program, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class BrowserError(RuntimeError):
    """The browser said that something cannot be done, or a script in the page failed."""


class Page:
    """One page. Everything that it asks for, and everything that goes wrong in it, is kept to be looked at."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer, self._count, self._session = b"", 0, None
        self.requests: list[str] = []
        self.faults: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)

    def send(self, method: str, **params) -> dict:
        """The answer to one command; what happens meanwhile is noted."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def open(self, path: Path, words: str = "", size: tuple[int, int] = (1600, 900), **media: str) -> None:
        """Load a file, with `words` as the address's hash, in a window of that size; `media` are features of CSS."""
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.resize(*size)
        # another document in between: a new hash alone loads nothing
        self._load("about:blank")
        self._load(path.as_uri() + words)

    def resize(self, width: int, height: int) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def run(self, expression: str):
        """The value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails']['exception'].get('description')}")
        return answer["result"].get("value")

    def run_in_frame(self, expression: str):
        """The value of an expression in the page's only frame."""
        (frame,) = self.send("Page.getFrameTree")["frameTree"]["childFrames"]
        world = self.send("Page.createIsolatedWorld", frameId=frame["frame"]["id"])["executionContextId"]
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, contextId=world)
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 20) -> None:
        """Return once an expression holds, also on the page that a link leads to."""
        end = time.monotonic() + seconds
        while not self._holds(expression):
            if time.monotonic() > end:
                raise BrowserError(f"not within {seconds} s: {expression}")
            time.sleep(0.02)

    def _holds(self, expression: str) -> bool:
        try:
            return bool(self.run(expression))
        except BrowserError as error:
            # The browser was about to leave the page that it was asked on.
            if not any(words in str(error) for words in LEAVING):
                raise
            return False

    def press(self, key: str) -> None:
        """Press and release a key, as a person does."""
        code = KEYS[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def move(self, x: float, y: float) -> None:
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click_on(self, selector: str) -> None:
        """Click into the middle of the first element that a selector finds."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'nearest'}});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        self.click(*place)

    def screenshot(self) -> bytes:
        """The window as PNG, once nothing moves any more."""
        self.run("Promise.all(document.getAnimations().map((one) => one.finished.catch(() => null))).then(() => 1)")
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def _load(self, address: str) -> None:
        self._loaded = False
        self.send("Page.navigate", url=address)
        while not self._loaded:
            self._note(self._next())

    def _next(self) -> dict:
        while b"\0" not in self._buffer:
            piece = os.read(self._from, 1 << 16)
            if not piece:
                raise BrowserError("the browser has ended")
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.faults.append(params["exceptionDetails"]["exception"].get("description", ""))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.faults.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.faults.append(params["entry"]["text"])


def above_ten(end: int) -> int:
    """The same end of a pipe under a number of 10 or more."""
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(end)
    return moved


@contextmanager
def open_browser(program: str):
    """A page in a new browser, which ends with the block."""
    from_here, to_browser = os.pipe()
    from_browser, from_there = os.pipe()
    with TemporaryDirectory(prefix="chromium", ignore_cleanup_errors=True) as profile:
        options = [
            *["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
            *["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
            *[f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
        ]
        # the protocol's two pipes have fixed numbers, 3 and 4; the shell puts them there, where no other end is by now
        from_here, from_there = above_ten(from_here), above_ten(from_there)
        shell = ["bash", "-c", f'exec "$@" 3<&{from_here} 4>&{from_there}', "bash", program, *options]
        process = subprocess.Popen(
            shell, pass_fds=(from_here, from_there), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(from_here)
        os.close(from_there)
        try:
            yield Page(to_browser, from_browser)
        finally:
            process.kill()
            process.wait()
            os.close(to_browser)
            os.close(from_browser)
