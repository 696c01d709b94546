"""What a terminal shows: programs that run in a pseudo-terminal of 80 columns and 24 lines, and the screen they leave."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

COLUMNS, ROWS = 80, 24
CONTROL = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")
PATIENCE = 180.0


class Screen:
    """The lines of a terminal, with those that scrolled away; it knows the few control sequences that bars need."""

    def __init__(self):
        self.lines, self.row, self.column = [""], 0, 0
        self.unknown: set[str] = set()

    def feed(self, text: str) -> None:
        """Take what a program writes; `text` ends with whole control sequences."""
        place = 0
        while place < len(text):
            if match := CONTROL.match(text, place):
                self.control(*match.groups())
                place = match.end()
                continue
            self.write(text[place])
            place += 1

    def control(self, private: str, number: str, kind: str) -> None:
        if kind == "A":
            # Above the first line of the screen a terminal does not go.
            self.row = max(self.row - int(number or 1), len(self.lines) - ROWS, 0)
        elif kind == "K":
            self.lines[self.row] = "" if number == "2" else self.lines[self.row][: self.column]
        elif kind != "m" and not private:
            self.unknown.add(kind)

    def write(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self.row += 1
        elif letter >= " ":
            if self.column == COLUMNS:
                self.row, self.column = self.row + 1, 0
                self.lines += [""] * (self.row + 1 - len(self.lines))
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
            self.column += 1
        self.lines += [""] * (self.row + 1 - len(self.lines))

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal:
    """A program in a pseudo-terminal, as a person runs it: a session of its own, whose Ctrl-C reaches all its processes."""

    def __init__(self, command: list[str], folder: Path):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=os.environ | {"TERM": "xterm"},
        )
        os.close(slave)
        self.screen, self.raw, self.rest = Screen(), "", ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> bool:
        """Take what was written since; False when the program and all its children have closed the terminal."""
        if not select.select([self.master], [], [], 0.2)[0]:
            return True
        try:
            text = self.decoder.decode(os.read(self.master, 65536))
        except OSError:
            return False
        self.raw += text
        text = self.rest + text
        # A control sequence may come in two pieces.
        begun = re.search(r"\x1b(\[[?0-9;]*)?$", text)
        whole = begun.start() if begun else len(text)
        self.rest = text[whole:]
        self.screen.feed(text[:whole])
        return True

    def wait_for(self, condition: Callable[[str], bool], what: str) -> None:
        """Read until `condition` holds of the screen's text."""
        deadline = time.monotonic() + PATIENCE
        while not condition(self.screen.text()):
            assert time.monotonic() < deadline, f"waited for {what}:\n{self.screen.text()}"
            assert self.read(), f"ended before {what}:\n{self.screen.text()}"

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def wait(self) -> int:
        """Read to the end; the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < deadline, f"did not end:\n{self.screen.text()}"
        return self.process.wait()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
