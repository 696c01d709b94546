"""Compute a teacher's embedding of each image of a source, by which the samples near to test images are found.

In:  the table of the source's samples, its shards, and the teacher's folder
Out: a manifest; beside it a part for each part of that table, with uid and embedding of each row (see
     testbed.filtering.embeddings), and NNNNNN.json (its record)
"""

import logging
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testbed.evaluation.preprocessing import EVALUATION
from testbed.evaluation.teacher import COLUMNS, Teacher, teacher_digest
from testbed.filtering.embeddings import embedding_table
from testbed.records.locks import locked
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import make_parts, parts_of, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.records.warm_worker import run_warm

if TYPE_CHECKING:
    import pyarrow as pa
    from snakemake.script import snakemake


def embed_part(teacher: Teacher, shards: Path, table: "pa.Table") -> "pa.Table":
    """The embeddings of the samples in `table`, in its order; their images are in the folder `shards`."""
    import torch

    with torch.no_grad():
        found = [teacher.embed_images(images).cpu().numpy() for images, _ in teacher.batches(shards, table)]
    return embedding_table(table["uid"].to_pylist(), np.concatenate(found or [np.empty((0, teacher.width))]))


def embed_images(
    samples: Path,
    shards: Path,
    teacher: Path,
    folder: Path,
    device: str,
    batch_size: int,
    workers: int = 1,
    precision: str = "fp32",
) -> dict:
    """Write the embeddings of the samples in the folder `samples` into `folder`; returns the manifest.

    `shards` has the images and `teacher` the model, which computes in `precision`. Raises `SampleError` if an image is not
    where the table says, or cannot be decoded.
    """
    parent, parts, model = read_json(samples / "manifest.json"), parts_of(samples), teacher_digest(teacher, None)
    # Loaded at first use: a job whose parts are all complete does not need it.
    load = cache(lambda: Teacher(teacher, device, batch_size, workers, precision=precision))
    started, done = time.monotonic(), 0

    def make(name: str) -> "pa.Table":
        nonlocal done
        table = embed_part(load(), shards, read_part(samples, parts[name], COLUMNS))
        done += len(table)
        logging.info("part %s: %d images, %.0f images/s so far", name, len(table), done / (time.monotonic() - started))
        return table

    requests = {name: [model, precision, file["sha256"]] for name, file in parts.items()}
    files = make_parts(folder, requests, make, f"{folder.name}, embedding images")
    number = sum(file["rows"] for file in files)
    return {"pool": parent["pool"], "teacher": model, "precision": precision, "samples": number, "files": files}


if __name__ == "__main__":
    run_warm(*EVALUATION)
    log_to(snakemake.log[0])
    terminate_with_parent()
    params, evaluation = snakemake.params, snakemake.config["evaluation"]
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = embed_images(
            Path(snakemake.input.samples).parent,
            Path(snakemake.input.shards).parent,
            Path(snakemake.input.teacher).parent,
            folder,
            params.device,
            evaluation["batch_size"],
            evaluation["workers"],
            params.precision,
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
