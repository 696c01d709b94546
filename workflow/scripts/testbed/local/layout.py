"""Where the samples of a tar file lie, if each is one range of bytes, as in shards that the workflow writes."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from testbed.local.tar_members import BLOCK, Member, TarFault, TarReader, name_in, padded
from testbed.shards.index import ENTRY
from testbed.shards.shard_files import ShardError

RANGE = np.dtype([*((name, ENTRY[name]) for name in ENTRY.names), ("start", "<i8"), ("bytes", "<i8")])
"""An entry of an index, with the first byte of the sample (the header of its image) and its number of bytes."""

IMAGE_SUFFIXES = ("jpg", "jpeg")
JPEG_START = b"\xff\xd8"
LONGEST_NAME = 100
"""Bytes of a member's name in a plain header."""

REFUSED = "cannot be taken as it is. Remove as_is: its samples are then copied, image by image."


def sample_ranges(tar: Path, keys: Sequence[str], offsets: Sequence[int]) -> np.ndarray:
    """Return the RANGE of each sample of a tar file that has one of `keys` and its image at the byte in `offsets`.

    A range begins at the header of the image and ends with the caption. So ranges of samples, one after the other, are the
    content of a tar file. Raises `ShardError` if a sample is no such range, if its image is no JPEG file, or if the tar has
    no sample at a given byte, or is cut or damaged.
    """
    wanted = dict(zip(offsets, range(len(keys)), strict=True))
    ranges = np.zeros(len(keys), RANGE)
    found = np.zeros(len(keys), bool)
    descriptor = os.open(tar, os.O_RDONLY)
    try:
        for members in samples_of(TarReader(descriptor), wanted):
            image, caption = members[0], members[-1]
            number = wanted[image.offset]
            key = keys[number]
            if fault := fault_of(descriptor, key, members):
                raise ShardError(f"{tar}: {fault}, so that it {REFUSED}")
            start = image.offset - BLOCK
            end = caption.offset + padded(caption.size)
            ranges[number] = (image.offset, image.size, caption.offset, caption.size, start, end - start)
            found[number] = True
    except TarFault as error:
        raise ShardError(f"{tar}: {error}, so that it {REFUSED}") from error
    finally:
        os.close(descriptor)
    if not found.all():
        missing = keys[int(np.argmin(found))]
        raise ShardError(
            f"{tar}: has no sample {missing} where it was indexed. Run the same command again with --forcerun index_shards."
        )
    return ranges


def samples_of(reader: TarReader, wanted: Mapping[int, int]) -> Iterator[list[Member]]:
    """Yield the members of each sample whose image is at a byte in `wanted`: those that follow it and have its key."""
    members: list[Member] = []
    for member in reader.members():
        if members and stem_of(member.name) == stem_of(members[0].name):
            members.append(member)
            continue
        if members:
            yield members
        members = [member] if member.offset in wanted else []
    if members:
        yield members


def fault_of(descriptor: int, key: str, members: Sequence[Member]) -> str:
    """Return why the sample `key` with these adjacent `members` is no range that can be copied; empty if it is one."""
    image, caption = members[0], members[-1]
    if suffix_of(image.name) not in IMAGE_SUFFIXES or os.pread(descriptor, 2, image.offset) != JPEG_START:
        return f"the image of sample {key} is no JPEG file"
    if suffix_of(caption.name) != "txt":
        return f"sample {key} does not end with {key}.txt"
    header = os.pread(descriptor, BLOCK, image.offset - BLOCK)
    if name_in(header) != image.name or len(f"{key}.json".encode()) > LONGEST_NAME:
        return f"the name of sample {key} is too long"
    return ""


def stem_of(name: str) -> str:
    return name.rpartition(".")[0]


def suffix_of(name: str) -> str:
    return name.rpartition(".")[2].lower()
