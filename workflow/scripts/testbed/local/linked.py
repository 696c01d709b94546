"""The samples of shards that are a user's tars as they are."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from testbed.local.images import ImageFault, image_size, original_size, stored
from testbed.records.manifest import problem
from testbed.shards.samples import FACTS, LOCATION, PAIR, SampleError


def list_linked(folder: Path, entry: dict, own: dict[str, tuple[str, pa.DataType]]) -> pa.Table:
    """Return the table of the samples in the linked shard that `entry` records, as `list_shard` does of others.

    Each image is read once for its facts. Raises `SampleError` if a sample is missing, or is no image.
    """
    for file in (entry, entry["table"]):
        if wrong := problem(folder, file, content=False):
            raise SampleError(f"{wrong}. Delete {folder}/manifest.json and run the same command again.")
    rows = parquet.read_table(folder / entry["table"]["name"])
    facts = list(facts_of(folder / entry["name"], rows))
    columns = {name: rows[name] for name in PAIR}
    columns |= {name: pa.array([fact[name] for fact in facts], kind) for name, kind in FACTS.items()}
    columns |= {name: rows[original].cast(kind) for original, (name, kind) in own.items() if original not in FACTS}
    return pa.table(columns | {name: rows[name] for name in LOCATION})


def facts_of(shard: Path, rows: pa.Table) -> Iterator[dict]:
    """Yield the FACTS of the image of each of `rows` in a linked shard."""
    known = [name for name in ("original_width", "original_height") if name in rows.column_names]
    own = rows.select(["file_key", "file_offset", "file_bytes", *known]).to_pylist()
    descriptor = os.open(shard, os.O_RDONLY)
    try:
        for row in own:
            content = os.pread(descriptor, row["file_bytes"], row["file_offset"])
            try:
                size = image_size(content)
            except ImageFault as fault:
                raise SampleError(
                    f"{shard.resolve()}: sample {row['file_key']} is no image. Set verify: all (or leave verify out), and "
                    "run the same command again."
                ) from fault
            facts = stored(content, size, size, "").facts
            yield facts | original_size(row, facts)
    finally:
        os.close(descriptor)
