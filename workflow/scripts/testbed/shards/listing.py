"""Lists the samples of a shard: their metadata, and where they are in it."""

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from testbed.records.manifest import problem
from testbed.shards.index import ENTRY, index_path, load_index
from testbed.shards.samples import BLOCK, FACTS, LOCATION, PAIR, SampleError, as_text

METADATA_SUFFIX, CAPTION_SUFFIX = b".json", b".txt"

Listed = tuple[list[dict], list[int], list[int]]
"""The metadata of samples, the offset of the first byte of each, and that behind its last one."""


def list_shard(folder: Path, entry: dict, own: dict[str, tuple[str, pa.DataType]]) -> pa.Table:
    """Return the table of the samples in the shard that `entry` records. Raises `SampleError` if samples are missing.

    The index beside the shard says where the metadata are; without one, all headers of the shard are read.
    """
    if wrong := problem(folder, entry, content=False):
        raise SampleError(f"{wrong}. Delete {folder}/manifest.json and run the same command again.")
    path = folder / entry["name"]
    try:
        rows, offsets, ends = _by_index(path, entry["samples"]) or _by_headers(path)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise SampleError(
            f"{path}: cannot be read ({error}). Delete it and the manifest.json beside it, and run the same command again."
        ) from error
    if not len(rows) == len(offsets) == len(ends) == entry["samples"]:
        raise SampleError(
            f"{path}: has {len(rows)} samples, but its record says {entry['samples']}. "
            "Delete it and the manifest.json beside it, and run the same command again."
        )
    # When the shard was written, the facts replaced columns of the same name.
    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in (PAIR | FACTS).items()}
    for original, (name, kind) in own.items():
        if original not in FACTS:
            columns[name] = pa.array([as_text(row.get(original), kind) for row in rows], kind)
    sizes = [end - start for start, end in zip(offsets, ends, strict=True)]
    locations = {"shard": [entry["name"]] * len(rows), "offset": offsets, "bytes": sizes}
    return pa.table(columns | {name: pa.array(locations[name], kind) for name, kind in LOCATION.items()})


def _by_headers(path: Path) -> Listed:
    rows, offsets, ends = [], [], []
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            if member.name.endswith(".jpg"):
                offsets.append(member.offset)
            elif member.name.endswith(".json"):
                rows.append(json.loads(archive.extractfile(member).read()))
            else:
                ends.append(member.offset_data + -(-member.size // BLOCK) * BLOCK)
    return rows, offsets, ends


def _by_index(path: Path, samples: int) -> Listed | None:
    """Read the metadata alone, each with the headers around it.

    Returns None without an index, or if the shard is not laid out as `TarWriter` does: image, metadata, caption, nothing
    between samples.
    """
    try:
        index = load_index(index_path(path), samples)
    except SampleError:
        return None
    starts, ends = index["image"] - BLOCK, index["caption"] + _padded(index["caption_bytes"])
    places = index["image"] + _padded(index["image_bytes"])
    if not samples or starts[0] != 0 or (starts[1:] != ends[:-1]).any() or ends[-1] > path.stat().st_size:
        return None
    rows = []
    with open(path, "rb", buffering=0) as file:
        for place, caption in zip(places.tolist(), index["caption"].tolist(), strict=True):
            content = os.pread(file.fileno(), caption - place, place)
            row = _metadata_in(content)
            if row is None:
                return None
            rows.append(row)
    return rows, starts.tolist(), ends.tolist()


def _padded(sizes: np.ndarray) -> np.ndarray:
    return (sizes.astype(ENTRY["image"]) + BLOCK - 1) // BLOCK * BLOCK


def _metadata_in(content: bytes) -> dict | None:
    """Return the metadata in the bytes from its header up to the end of the caption's header; None if they are others."""
    name, _, _ = content[:100].partition(b"\0")
    caption, _, _ = content[-BLOCK:][:100].partition(b"\0")
    key = name.removesuffix(METADATA_SUFFIX)
    if name == key or caption != key + CAPTION_SUFFIX or content[257:262] != b"ustar":
        return None
    size = int(content[124:135], 8)
    if BLOCK + -(-size // BLOCK) * BLOCK + BLOCK != len(content):
        return None
    return json.loads(content[BLOCK : BLOCK + size])
