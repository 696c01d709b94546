"""Compute a teacher's embedding of each image of a test set, to find the training samples that are nearest to it.

In:  a test set in CLIP_benchmark's local WebDataset format, and the teacher's folder
Out: a manifest; beside it a part for each shard of the test set, with uid (the sample's key) and embedding of each image
     (see testbed.filtering.embeddings), and NNNNNN.json (its record)
"""

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from testbed.evaluation.preprocessing import EVALUATION
from testbed.evaluation.tasks import TestsetError, task_of
from testbed.evaluation.teacher import Teacher, teacher_digest
from testbed.evaluation.testsets import read_samples, shards_of
from testbed.filtering.embeddings import embedding_table
from testbed.records.files import sha256
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import write_json
from testbed.records.parts import make_parts
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.records.warm_worker import run_warm

if TYPE_CHECKING:
    import pyarrow as pa
    from snakemake.script import snakemake


def embed_shard(teacher: Teacher, shard: Path, task: str) -> "pa.Table":
    """The embeddings of the images in a shard of a test set. Raises `TestsetError` if one cannot be decoded."""
    import torch

    def decode(sample: tuple[str, bytes, bytes]) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(sample[1])) as image:
                image.load()
                return np.asarray(teacher.preprocessing(image))
        except (OSError, ValueError, SyntaxError) as error:
            raise TestsetError(
                f"{shard}: image {sample[0]} cannot be decoded ({error}). Copy the test set again."
            ) from error

    keys, found = [], [np.empty((0, teacher.width))]
    with ThreadPoolExecutor(teacher.workers) as pool, torch.no_grad():
        samples = read_samples(shard, task)
        while batch := list(islice(samples, teacher.batch_size)):
            images = torch.from_numpy(np.stack(list(pool.map(decode, batch))))
            found.append(teacher.embed_images(images).cpu().numpy())
            keys += [key for key, _, _ in batch]
    return embedding_table(keys, np.concatenate(found))


def embed_testset(
    testset: Path, teacher: Path, folder: Path, device: str, batch_size: int, workers: int = 1, precision: str = "fp32"
) -> dict:
    """Write the embeddings of the images of the test set in the folder `testset` into `folder`; returns the manifest."""
    task, model = task_of(testset), teacher_digest(teacher, None)
    shards = {f"{number:06d}": shard for number, shard in enumerate(shards_of(testset))}
    # Loaded at first use: a job whose parts are all complete does not need it.
    load = cache(lambda: Teacher(teacher, device, batch_size, workers, precision=precision))
    requests = {name: [model, precision, task, sha256(shard)] for name, shard in shards.items()}
    files = make_parts(
        folder, requests, lambda name: embed_shard(load(), shards[name], task), f"{folder.name}, embedding images"
    )
    number = sum(file["rows"] for file in files)
    logging.info("%s: %d images", folder.name, number)
    return {"testset": folder.name, "teacher": model, "precision": precision, "images": number, "files": files}


if __name__ == "__main__":
    run_warm(*EVALUATION)
    log_to(snakemake.log[0])
    terminate_with_parent()
    params, evaluation = snakemake.params, snakemake.config["evaluation"]
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = embed_testset(
            Path(params.testset),
            Path(snakemake.input.teacher).parent,
            folder,
            params.device,
            evaluation["batch_size"],
            evaluation["workers"],
            params.precision,
        )
        inputs = [*snakemake.input.testset, snakemake.input.teacher]
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*inputs)})
