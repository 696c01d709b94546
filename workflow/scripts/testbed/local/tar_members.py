"""Read the members of a tar file of any origin: where each one's content is, and how the file ends.

Nothing is extracted: a member's name is only a text, so a link or a name such as ``../x`` leads nowhere. The headers are
those of POSIX (ustar, pax) and GNU tar. Python's tarfile reads a third as many headers per second, and stops at the first
damaged one without saying where.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

BLOCK = 512
WINDOW = 16 * BLOCK
"""Bytes that are read at once. The caption and the metadata of a sample are mostly in one window with the next header."""

LONGEST_NAME = 1 << 16
"""Bytes of an extended header (a long name, or pax records). A longer one is damage, or made to take memory."""

EMPTY = bytes(BLOCK)
ADLER_PRIME = 65521
FILE_TYPES = {b"\0", b"0", b"7"}
NAME_TYPES = {b"L": "name", b"K": "link", b"x": "pax", b"X": "pax", b"g": "global"}
KINDS = {
    b"PK\x03\x04": "is a zip archive: unpack it, and pack its files with tar",
    b"\x1f\x8b": "is compressed (gzip): unpack it",
    b"BZh": "is compressed (bzip2): unpack it",
    b"\xfd7zXZ": "is compressed (xz): unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed (zstd): unpack it",
}


class Member(NamedTuple):
    """A member of a tar file: its name, the offset and number of bytes of its content, and whether it is a plain file."""

    name: str
    offset: int
    size: int
    is_file: bool


class TarFault(ValueError):
    """A tar file is not readable from here on. The message says why, and at which byte."""


class TarReader:
    """Reads the tar file of an open descriptor. `size` is the file's length in bytes."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.start = 0
        self.window = b""

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset` on; fewer at the end of the file."""
        place = offset - self.start
        if place < 0 or place + count > len(self.window):
            self.start, place = offset, 0
            self.window = os.pread(self.descriptor, max(count, WINDOW), offset)
        return self.window[place : place + count]

    def members(self) -> Iterator[Member]:
        """Yield the members in order. Tar files that were joined into one are read to the end of the last one.

        Raises `TarFault` where the file cannot be read on: it is cut or damaged, or no tar file at all.
        """
        if not self.size:
            raise TarFault("is empty")
        offset, extended, is_closed = 0, {}, False
        while offset < self.size:
            header = self.read(offset, BLOCK)
            if header == EMPTY:
                is_closed = True
                offset += BLOCK
                continue
            is_closed = False
            if len(header) < BLOCK:
                raise TarFault(self.fault(offset, "is cut"))
            kind = header[156:157]
            if not has_checksum(header):
                raise TarFault(self.fault(offset, "is damaged"))
            size = number_in(header[124:136])
            if size is None:
                raise TarFault(self.fault(offset, "is damaged"))
            content = offset + BLOCK
            if kind in NAME_TYPES:
                if size > LONGEST_NAME:
                    raise TarFault(f"has a header of {size:,} bytes at byte {offset:,} of {self.size:,}")
                read_extension(NAME_TYPES[kind], self.read(content, size), extended)
                offset = content + padded(size)
                continue
            size = extended.get("size", size)
            name = extended.get("name") or name_in(header)
            # The oldest tars mark a folder by its name alone.
            is_file = kind in FILE_TYPES and "sparse" not in extended and not name.endswith("/")
            # Only files have content, whatever their headers say; tarfile does the same.
            stored = size if kind not in b"123456" else 0
            yield Member(name, content, size, is_file)
            offset, extended = content + padded(stored), {}
            if content + stored > self.size:
                raise TarFault(self.fault(content, "is cut"))
        if not is_closed:
            raise TarFault("has no end mark, as if it were cut between two members")

    def fault(self, offset: int, text: str) -> str:
        """Return why the file cannot be read on from `offset`."""
        if not offset:
            start = os.pread(self.descriptor, 8, 0)
            kinds = [kind for magic, kind in KINDS.items() if start.startswith(magic)]
            return kinds[0] if kinds else "is no tar file"
        return f"{text} at byte {offset:,} of {self.size:,}"


def padded(size: int) -> int:
    """Return `size` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def has_checksum(header: bytes) -> bool:
    """Return whether the checksum of a header is right: the sum of its bytes, with blanks in place of the checksum."""
    field = header[148:156]
    # Mostly six digits, an empty byte and a blank.
    recorded = number_in(field if field[6] else field[:7])
    if recorded is None:
        return False
    # The lower half of Adler-32 is 1 and the sum of the bytes, modulo a prime. Python's sum would take half of the time.
    return (recorded + sum(field) - 8 * 0x20 + 1) % ADLER_PRIME == zlib.adler32(header) & 0xFFFF


def number_in(field: bytes) -> int | None:
    """Return the number in a field of a header, octal or base-256; None if there is no number that is 0 or more."""
    digits = field[:-1]
    if field[-1] == 0 and digits.isdigit():
        # Nearly all fields: the steps below take twice as long.
        return octal(digits)
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) - (0x80 << 8 * (len(field) - 1))
        return value if field[0] == 0x80 else None
    digits = field.partition(b"\0")[0].strip()
    if not digits:
        return 0
    return octal(digits) if digits.isdigit() else None


def octal(digits: bytes) -> int | None:
    try:
        return int(digits, 8)
    except ValueError:
        return None


def name_in(header: bytes) -> str:
    """Return the name in a plain header."""
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return text_of(prefix + b"/" + name if prefix else name)


def text_of(name: bytes) -> str:
    # Bytes that are not UTF-8 stay apart, so that two names never become one.
    return name.decode("utf-8", "backslashreplace")


def read_extension(kind: str, content: bytes, extended: dict) -> None:
    """Put what an extended header says of the next member into `extended`: name, size, and whether it is sparse."""
    if kind == "name":
        extended["name"] = text_of(content.partition(b"\0")[0])
    elif kind == "pax":
        for key, value in pax_records(content):
            if key == b"path":
                extended["name"] = text_of(value)
            elif key == b"size" and value.isdigit() and len(value) < 20:
                extended["size"] = int(value)
            elif key.startswith(b"GNU.sparse"):
                extended["sparse"] = True


def pax_records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of pax records (``<length> <key>=<value>\\n``) up to the first one that is none."""
    while content:
        length, blank, _ = content[:20].partition(b" ")
        count = 0
        with suppress(ValueError):
            count = int(length)
        if not blank or not len(length) < count <= len(content):
            return
        key, _, value = content[len(length) + 1 : count - 1].partition(b"=")
        yield key, value
        content = content[count:]
