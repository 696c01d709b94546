"""Write samples as a WebDataset shard: fixed metadata, hashed while written, and compared with the disk."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from testbed.records.files import publish
from testbed.records.manifest import record
from testbed.shards.index import ENTRY, index_path, write_index
from testbed.shards.shard_files import WRITE_BYTES, HashedFile, ShardError

METADATA = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str)
BLOCK = tarfile.BLOCKSIZE
BLANK_CHECKSUM = b" " * 8


class TarWriter:
    """Writes the bytes that tarfile writes (USTAR, fixed metadata), in half of the time.

    Headers differ only in name, size and checksum, and are made from one of tarfile's.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self.offset = 0
        plain = tarfile.TarInfo()
        plain.mode = 0o644
        header = plain.tobuf(tarfile.USTAR_FORMAT)
        self.before_size, self.after_size, self.after_checksum = header[100:124], header[136:148], header[156:]
        self.sum = sum(self.before_size + self.after_size + BLANK_CHECKSUM + self.after_checksum)

    def add(self, name: str, content: bytes) -> int:
        """Append a file, and return where its content begins. `name` has at most 100 bytes."""
        short, size = name.encode(), b"%011o\0" % len(content)
        checksum = b"%06o\0 " % (self.sum + sum(short) + sum(size))
        self.file.write(
            b"".join([short.ljust(100, b"\0"), self.before_size, size, self.after_size, checksum, self.after_checksum])
        )
        self.file.write(content)
        padding = -len(content) % BLOCK
        self.file.write(bytes(padding))
        start = self.offset + BLOCK
        self.offset = start + len(content) + padding
        return start

    def close(self) -> None:
        """Write the end of the archive: two empty blocks, and zeros up to a whole record."""
        end = self.offset + 2 * BLOCK
        self.file.write(bytes(2 * BLOCK + -end % tarfile.RECORDSIZE))


def write_samples(path: Path, samples: Iterable[tuple[bytes, dict]]) -> dict:
    """Write `samples`, pairs of an image and its metadata, as a shard at `path`, and return its record.

    The metadata have at least uid and caption. Raises `ShardError` if the disk returns other bytes than were written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    uids, places = [], []
    with open(temporary, "wb", buffering=0) as file:
        hashed = HashedFile(file)
        with io.BufferedWriter(hashed, WRITE_BYTES) as buffered:
            archive = TarWriter(buffered)
            for image, row in samples:
                uid, caption = row["uid"], row["caption"].encode("utf-8")
                image_start = archive.add(f"{uid}.jpg", image)
                archive.add(f"{uid}.json", METADATA.encode(row).encode("utf-8"))
                caption_start = archive.add(f"{uid}.txt", caption)
                uids.append(uid)
                places.append((image_start, len(image), caption_start, len(caption)))
            archive.close()
    # The old index goes first, so that none ever describes another shard.
    index_path(path).unlink(missing_ok=True)
    publish(temporary, path)
    write_index(index_path(path), np.array(places, ENTRY))
    entry = record(path, samples=len(uids), first_uid=uids[0], last_uid=uids[-1])
    if entry["sha256"] != hashed.hash.hexdigest():
        raise ShardError(
            f"{path}: the disk returns other bytes than were written. Check it and run the same command again."
        )
    return entry
