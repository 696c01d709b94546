"""The samples of a tar file: members of equal key, in any order, put together as image, caption and metadata.

A key is a member's name up to its last dot, with its folders. The caption is in ``key.txt`` or in a field of ``key.json``.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from testbed.lists.pairs import LONGEST_CAPTION, clean_caption
from testbed.local.tar_members import Member, TarFault, TarReader

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")
READ_SUFFIXES = {*IMAGE_SUFFIXES, "txt", "json"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONGEST_TEXT = 1 << 20
"""Bytes of a caption or of metadata. Longer ones are not read."""

CAUSES = {
    "no_image": "keys have a caption or metadata, but no .jpg, .jpeg, .png or .webp; or the file of a list is missing",
    "repeated_key": "a tar has a key more than once, so that it is not known which caption is whose",
    "cut": "the tar ends within them; copy or download it again",
    "malformed": "captions are not UTF-8, or metadata are not a JSON object",
    "empty_caption": "samples have no caption; correct the key caption",
    "long_caption": f"captions have more than {LONGEST_CAPTION} characters; correct the key caption",
    "large": "images have more than download.max_bytes or download.max_pixels",
    "not_decodable": "images cannot be decoded",
    "small": "the shorter side has fewer pixels than download.minimum_size",
    "duplicate": "samples repeat the URL and caption, or the image and caption, of an earlier one",
}
"""Causes for which a sample of a tar file is left out, in the order of the checks."""


class Sample(NamedTuple):
    """One sample: the file that it is in, its key, where its image is, URL (empty if unknown), caption, and own columns."""

    file: str
    key: str
    offset: int
    size: int
    url: str
    caption: str
    metadata: dict
    modified_ns: int = 0
    """Time of the last change of the image, if it has a file of its own."""


@dataclass
class Contents:
    """What a tar file has: its samples in order, samples left out by cause, other members by kind, and why it ends early."""

    samples: list[Sample] = field(default_factory=list)
    dropped: Counter = field(default_factory=Counter)
    members: Counter = field(default_factory=Counter)
    fault: str = ""

    @property
    def rows(self) -> int:
        return len(self.samples) + self.dropped.total()

    def add(self, result: "Sample | str", images: int = 1) -> None:
        """Add a sample, or count the cause for which one with so many `images` is left out."""
        if isinstance(result, Sample):
            self.samples.append(result)
        else:
            self.dropped[result] += max(1, images)


@dataclass
class Parts:
    """The members of one key. `repeated`: there is more than one image, caption or metadata.

    `file` and `modified_ns` are those of an image with a file of its own.
    """

    image: tuple[int, int] | None = None
    file: str = ""
    modified_ns: int = 0
    is_cut: bool = False
    images: int = 0
    text: bytes | None = None
    metadata: bytes | None = None
    repeated: bool = False

    def add_image(self, place: tuple[int, int]) -> None:
        """Add an image by its first byte and its number of bytes."""
        self.images += 1
        self.repeated |= self.image is not None
        self.image = place

    def add_text(self, suffix: str, content: bytes) -> None:
        """Add the caption (suffix txt) or the metadata."""
        if suffix == "txt":
            self.repeated |= self.text is not None
            self.text = content
        else:
            self.repeated |= self.metadata is not None
            self.metadata = content


def read_samples(descriptor: int, file: str, caption: str | None, url: str) -> Contents:
    """Return the contents of the tar file of an open descriptor, which is called `file`.

    `caption` and `url` name fields of the metadata. Without `caption`, the caption is in ``key.txt``, or else in the field
    ``caption``.
    """
    reader, contents = TarReader(descriptor), Contents()
    keys: dict[str, Parts] = {}
    try:
        for member in reader.members():
            add_member(reader, member, keys, contents.members)
    except TarFault as fault:
        contents.fault = str(fault)
    for key, parts in keys.items():
        contents.add(sample_of(file, key, parts, caption, url), parts.images)
    return contents


def add_member(reader: TarReader, member: Member, keys: dict[str, Parts], members: Counter) -> None:
    """Add a member of a tar file to the parts of its key, or count it among the other members."""
    key, _, suffix = member.name.rpartition(".")
    suffix = suffix.lower()
    if not member.is_file:
        members["not_a_file"] += 1
        return
    # macOS puts a file ._name of its own beside each file.
    name = key.rpartition("/")[2]
    if suffix not in READ_SUFFIXES or not name or name.startswith("._"):
        members["other"] += 1
        return
    parts = keys.get(key)
    if parts is None:
        parts = keys[key] = Parts()
    is_cut = member.offset + member.size > reader.size
    parts.is_cut |= is_cut
    if suffix in IMAGE_SUFFIXES:
        parts.add_image((member.offset, member.size))
        return
    content = b"" if is_cut else reader.read(member.offset, min(member.size, LONGEST_TEXT + 1))
    parts.add_text(suffix, content)


def sample_of(file: str, key: str, parts: Parts, caption: str | None, url: str) -> Sample | str:
    """Return the sample of a key in `file`, or the cause for which it is left out."""
    if parts.image is None:
        return "no_image"
    if parts.repeated:
        return "repeated_key"
    if parts.is_cut:
        return "cut"
    metadata = {} if parts.metadata is None else metadata_in(parts.metadata)
    if metadata is None:
        return "malformed"
    if parts.text is not None and caption is None:
        try:
            text = parts.text.removeprefix(BYTE_ORDER_MARK).decode()
        except UnicodeDecodeError:
            # A text that was read in part may end within a letter.
            return "long_caption" if len(parts.text) > LONGEST_TEXT else "malformed"
    else:
        text = text_in(metadata, caption or "caption")
    link = text_in(metadata, url)
    if text is None or link is None:
        return "malformed"
    text = clean_caption(text)
    if not text:
        return "empty_caption"
    if len(text) > LONGEST_CAPTION:
        return "long_caption"
    return Sample(file, key, *parts.image, link.strip(), text, metadata)


def metadata_in(content: bytes) -> dict | None:
    """Return the object in a JSON file; None if there is none, or if it is longer than `LONGEST_TEXT`."""
    if len(content) > LONGEST_TEXT:
        return None
    try:
        metadata = json.loads(content.removeprefix(BYTE_ORDER_MARK).decode())
    except (ValueError, RecursionError):
        return None
    return metadata if isinstance(metadata, dict) else None


def text_in(metadata: Mapping, name: str) -> str | None:
    """Return the text in a field of the metadata, empty if there is none; None if it is no text, or none that is UTF-8."""
    value = metadata.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value
