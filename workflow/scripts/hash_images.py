"""Compute a perceptual hash of each image of a source, by which near-duplicates are found.

In:  the table of the source's samples, and its shards
Out: a manifest; beside it a part for each part of that table, with uid, hash and coefficients of each row (see
     testbed.filtering.image_hashes), and NNNNNN.json (its record)
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from testbed.filtering.image_hashes import SIDE, hash_table, shrink
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import make_parts, parts_of, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.shards.samples import SampleError, read_image

if TYPE_CHECKING:
    from snakemake.script import snakemake

COLUMNS = ["uid", "shard", "offset"]


def shrink_samples(shards: Path, rows: list[dict]) -> np.ndarray:
    """The shrunk images (N, 32, 32; uint8) of `rows` (uid, shard, offset), which are in one shard."""
    pixels = np.empty((len(rows), SIDE, SIDE), np.uint8)
    if not rows:
        return pixels
    path = shards / rows[0]["shard"]
    with open(path, "rb") as file:
        for place, row in enumerate(rows):
            try:
                pixels[place] = shrink(read_image(file, row["offset"]))
            except (OSError, ValueError, SyntaxError) as error:
                raise SampleError(
                    f"{path}: image {row['uid']} cannot be decoded ({error}). Run `snakemake verify`."
                ) from error
    return pixels


def hash_part(shards: Path, table: pa.Table, threads: int) -> pa.Table:
    """The hashes of the samples in `table`, in its order; a part of such a table is of one shard."""
    rows = table.to_pylist()
    step = max(1, -(-len(rows) // threads))
    runs = [rows[start : start + step] for start in range(0, len(rows), step)]
    with ThreadPoolExecutor(threads) as pool:
        pixels = list(pool.map(shrink_samples, [shards] * len(runs), runs))
    return hash_table([row["uid"] for row in rows], np.concatenate(pixels) if pixels else np.empty((0, SIDE, SIDE)))


def hash_images(samples: Path, shards: Path, folder: Path, threads: int = 1) -> dict:
    """Write the hashes of the samples in the folder `samples` into `folder`; returns the manifest.

    `shards` has the images. Raises `SampleError` if an image is not where the table says, or cannot be decoded.
    """
    parent, parts = read_json(samples / "manifest.json"), parts_of(samples)
    started, done = time.monotonic(), 0

    def make(name: str) -> pa.Table:
        nonlocal done
        table = hash_part(shards, read_part(samples, parts[name], COLUMNS), threads)
        done += len(table)
        logging.info("part %s: %d images, %.0f images/s so far", name, len(table), done / (time.monotonic() - started))
        return table

    requests = {name: file["sha256"] for name, file in parts.items()}
    files = make_parts(folder, requests, make, f"{folder.name}, hashing images")
    flat = sum(read_part(folder, file, ["hash"])["hash"].null_count for file in files)
    number = sum(file["rows"] for file in files)
    logging.info("%s: %d images hashed, %d of them flat", folder.name, number, flat)
    return {"pool": parent["pool"], "samples": number, "flat": flat, "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = hash_images(
            Path(snakemake.input.samples).parent, Path(snakemake.input.shards).parent, folder, snakemake.threads
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
