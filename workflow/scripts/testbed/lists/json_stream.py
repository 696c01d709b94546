"""Read the annotations of a RedCaps file in constant memory.

`annotations` reads any JSON, one value at a time. `member_pieces` splits files that have RedCaps' layout (that of Python's
json module) without parsing them, so that Arrow can parse the pieces.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from testbed.lists.pairs import ListError

CHUNK = 1 << 16
LONGEST_VALUE = 1 << 24
"""Characters. A longer value is reported as invalid JSON."""

PIECE = 1 << 22
"""Bytes that are read at once."""

START = b'"annotations": ['
SEPARATOR = b"}, {"


class LayoutError(ValueError):
    """A file does not have the expected layout. It may still be valid JSON."""


def member_pieces(file: BinaryIO) -> Iterator[memoryview]:
    """Yield the members of the list "annotations" of a JSON object, in pieces of several members with their separators.

    Each piece is a JSON list without its brackets. If a text or a member contains the separator, the piece and those after
    it may not parse. Raises `LayoutError` if the file has no such pieces.
    """
    text = file.read(PIECE)
    start = text.find(START) + len(START)
    if start < len(START) or not _has_one_list(text[:start] + b"]}"):
        raise LayoutError
    text = text[start:]
    while more := file.read(PIECE):
        text += more
        end = text.rfind(SEPARATOR)
        if end < 0:
            raise LayoutError
        yield memoryview(text)[: end + 1]
        text = text[end + len(SEPARATOR) - 1 :]
    end = text.rfind(b"}]")
    if end < 0 or not _has_one_list(b"{" + START + text[end + 1 :]):
        raise LayoutError
    yield memoryview(text)[: end + 1]


def _has_one_list(text: bytes) -> bool:
    """Return whether a text is a JSON object with the key "annotations" once, at the top level, and an empty list there."""
    try:
        members = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return False
    return [value for key, value in members if key == "annotations"] == [[]]


def annotations(file: BinaryIO, path: Path | str) -> Iterator[object]:
    """Yield the members of the list "annotations" of a JSON object. Errors name `path`.

    Raises `ListError` if the file is not a complete JSON object or has no such list.
    """
    stream = _Stream(file)
    found = False
    try:
        if stream.peek() != "{":
            raise ListError(
                f'{path}: has no JSON object with "annotations", so it is not a RedCaps file; correct the path or the format'
            )
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
    # ValueError: Python refuses numbers of thousands of digits.
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply" if isinstance(error, RecursionError) else error)
        raise ListError(f"{path}: is not complete JSON ({reason}); download it again") from error
    if not found:
        raise ListError(
            f'{path}: has no list "annotations", so it is not a RedCaps file; correct the path or the format'
        )


class _Stream:
    """A JSON text of which only the part that is being parsed is in memory."""

    def __init__(self, file: BinaryIO):
        self.file = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape")
        self.decoder = json.JSONDecoder()
        self.text = ""
        self.place = 0

    def more(self) -> bool:
        """Read at least as much as is unparsed, so that the number of attempts at a long value stays small."""
        unparsed = self.text[self.place :]
        chunk = self.file.read(max(CHUNK, len(unparsed)))
        self.text, self.place = unparsed + chunk, 0
        return bool(chunk)

    def peek(self) -> str:
        """Return the next character that is not white space, or "" at the end."""
        while True:
            while self.place < len(self.text):
                if self.text[self.place] not in " \t\r\n":
                    return self.text[self.place]
                self.place += 1
            if not self.more():
                return ""

    def take(self, expected: str) -> None:
        if self.peek() != expected:
            raise json.JSONDecodeError(f"expecting {expected!r}", self.text, self.place)
        self.place += 1

    def members(self, start: str, end: str) -> Iterator[None]:
        """Yield before each member of an object or a list, so that the caller reads it."""
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
            # A number at the end of the text may continue in the file.
            if end == len(self.text) and self.more():
                continue
            self.place = end
            return value
