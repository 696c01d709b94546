"""Compute a perceptual hash of each image of a test set, by which its near-duplicates in a pool are found.

In:  a test set in CLIP_benchmark's local WebDataset format
Out: a manifest; beside it a part for each shard of the test set, with uid (the sample's key), hash and coefficients of each
     image (see testbed.filtering.image_hashes), and NNNNNN.json (its record)
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from testbed.evaluation.tasks import TestsetError, task_of
from testbed.evaluation.testsets import read_samples, shards_of
from testbed.filtering.image_hashes import SCHEMA, hash_table, shrink
from testbed.records.files import sha256
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import write_json
from testbed.records.parts import make_parts, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from

if TYPE_CHECKING:
    from snakemake.script import snakemake

BATCH = 1024
"""Images whose files are in memory at once."""


def hash_shard(shard: Path, task: str, threads: int) -> pa.Table:
    """The hashes of the images in a shard of a test set. Raises `TestsetError` if one cannot be decoded."""

    def shrink_sample(sample: tuple[str, bytes, bytes]) -> np.ndarray:
        try:
            return shrink(sample[1])
        except (OSError, ValueError, SyntaxError) as error:
            raise TestsetError(
                f"{shard}: image {sample[0]} cannot be decoded ({error}). Copy the test set again."
            ) from error

    tables = [SCHEMA.empty_table()]
    with ThreadPoolExecutor(threads) as pool:
        samples = read_samples(shard, task)
        while batch := list(islice(samples, BATCH)):
            pixels = np.stack(list(pool.map(shrink_sample, batch)))
            tables.append(hash_table([key for key, _, _ in batch], pixels))
    return pa.concat_tables(tables)


def hash_testset(testset: Path, folder: Path, threads: int = 1) -> dict:
    """Write the hashes of the images of the test set in the folder `testset` into `folder`; returns the manifest."""
    task = task_of(testset)
    shards = {f"{number:06d}": shard for number, shard in enumerate(shards_of(testset))}
    requests = {name: [task, sha256(shard)] for name, shard in shards.items()}
    files = make_parts(
        folder, requests, lambda name: hash_shard(shards[name], task, threads), f"{folder.name}, hashing images"
    )
    number = sum(file["rows"] for file in files)
    flat = sum(read_part(folder, file, ["hash"])["hash"].null_count for file in files)
    logging.info("%s: %d images hashed, %d of them flat", folder.name, number, flat)
    return {"testset": folder.name, "images": number, "flat": flat, "files": files}


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = hash_testset(Path(snakemake.params.testset), folder, snakemake.threads)
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input.testset)})
