"""Read the annotations of a RedCaps file, in memory that does not grow with the file.

`annotations` reads any JSON, one value at a time. `member_pieces` cuts files that are written as RedCaps' are (by Python's
json, in its default form) without parsing them, so that something quicker can.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from testbed.lists.pairs import ListError

CHUNK = 1 << 16
LONGEST_VALUE = 1 << 24
"""Characters; what does not parse within them is not JSON."""

PIECE = 1 << 22
"""Bytes of a file that are cut off together."""

START = b'"annotations": ['
BETWEEN = b"}, {"


class NotPlainError(ValueError):
    """A file is not written as expected; nothing is said about whether it is JSON."""


def member_pieces(file: BinaryIO) -> Iterator[memoryview]:
    """The members of the list "annotations" of a JSON object, in pieces of some, with the separators between them.

    Each is a JSON list without its brackets, unless a text or a member has what separates members elsewhere; it does not
    parse then, and neither do those that follow. Raises `NotPlainError` where there are no such pieces.
    """
    text = file.read(PIECE)
    start = text.find(START) + len(START)
    if start < len(START) or not _has_one_list(text[:start] + b"]}"):
        raise NotPlainError
    text = text[start:]
    while more := file.read(PIECE):
        text += more
        end = text.rfind(BETWEEN)
        if end < 0:
            raise NotPlainError
        yield memoryview(text)[: end + 1]
        text = text[end + len(BETWEEN) - 1 :]
    end = text.rfind(b"}]")
    if end < 0 or not _has_one_list(b"{" + START + text[end + 1 :]):
        raise NotPlainError
    yield memoryview(text)[: end + 1]


def _has_one_list(text: bytes) -> bool:
    """Whether a text is a JSON object that has the key "annotations" once, itself, and an empty list there."""
    try:
        members = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return False
    return [value for key, value in members if key == "annotations"] == [[]]


def annotations(file: BinaryIO, path: Path | str) -> Iterator[object]:
    """The members of the list "annotations" of a JSON object; `path` is named in errors.

    Raises `ListError` where the file is not a whole JSON object or has no such list.
    """
    stream = _Stream(file)
    found = False
    try:
        if stream.peek() != "{":
            raise ListError(f'{path}: holds no JSON object with "annotations"; it is not a file of RedCaps as released')
        for _ in stream.members("{", "}"):
            key = stream.value()
            stream.take(":")
            if key == "annotations" and stream.peek() == "[":
                found = True
                for _ in stream.members("[", "]"):
                    yield stream.value()
            else:
                stream.value()
    except ListError:
        raise
    # Not only JSONDecodeError: Python reads no numbers of thousands of digits.
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deep" if isinstance(error, RecursionError) else error)
        raise ListError(f"{path}: is not whole JSON ({reason}); download it again") from error
    if not found:
        raise ListError(f'{path}: has no list "annotations"; it is not a file of RedCaps as released')


class _Stream:
    """A JSON text of which only the part that is being parsed is in memory."""

    def __init__(self, file: BinaryIO):
        self.file = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape")
        self.decoder = json.JSONDecoder()
        self.text = ""
        self.place = 0

    def more(self) -> bool:
        """Read on, at least as much as is waiting, so that a long value is tried only some times."""
        waiting = self.text[self.place :]
        chunk = self.file.read(max(CHUNK, len(waiting)))
        self.text, self.place = waiting + chunk, 0
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is no white space, or "" at the end."""
        while True:
            while self.place < len(self.text):
                if self.text[self.place] not in " \t\r\n":
                    return self.text[self.place]
                self.place += 1
            if not self.more():
                return ""

    def take(self, wanted: str) -> None:
        if self.peek() != wanted:
            raise json.JSONDecodeError(f"expecting {wanted!r}", self.text, self.place)
        self.place += 1

    def members(self, start: str, end: str) -> Iterator[None]:
        """Stop before each member of an object or a list, for the caller to take it."""
        self.take(start)
        if self.peek() != end:
            yield
            while self.peek() == ",":
                self.place += 1
                yield
        self.take(end)

    def value(self) -> object:
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.place)
            except json.JSONDecodeError:
                if len(self.text) - self.place > LONGEST_VALUE or not self.more():
                    raise
                continue
            # A number at the end of what was read may go on.
            if end == len(self.text) and self.more():
                continue
            self.place = end
            return value
