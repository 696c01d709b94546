"""Compute the CLIP score of each pair of a pool: the cosine similarity of the teacher's embeddings of image and caption.

In:  the table of the pool's samples, the source's shards, the teacher's folder, and the reference's class names and
     templates if the filter works per class
Out: a manifest; beside it a part for each part of that table, with clip_score of each row and, for such filters,
     reference_class, the class that the teacher predicts for the image; and NNNNNN.json (its record)
"""

import logging
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.evaluation.preprocessing import EVALUATION
from testbed.evaluation.teacher import COLUMNS, Teacher, teacher_digest
from testbed.filtering.selection import histogram_of
from testbed.records.locks import locked
from testbed.records.log import PROGRESS, log_to
from testbed.records.manifest import write_json
from testbed.records.parts import PROGRESS_SECONDS, make_parts, parts_of, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.records.warm_worker import run_warm

if TYPE_CHECKING:
    import pyarrow as pa
    from snakemake.script import snakemake


def score_pairs(
    samples: Path,
    shards: Path,
    teacher: Path,
    folder: Path,
    device: str,
    batch_size: int,
    workers: int = 1,
    reference: Path | None = None,
    precision: str = "fp32",
) -> dict:
    """Write the scores of the samples in the folder `samples` into `folder`; returns the manifest.

    `shards` has the images and `teacher` the model, which computes in `precision` (fp32, tf32 or bf16). `reference` is the
    folder of the reference test set, or None if no classes are needed. Raises `SampleError` if an image is not where the
    table says, or cannot be decoded.
    """
    parts, model = parts_of(samples), teacher_digest(teacher, reference)
    # Loaded at first use: a job whose parts are all complete does not need it.
    load = cache(lambda: Teacher(teacher, device, batch_size, workers, reference, precision))
    started, done = time.monotonic(), 0

    def make(name: str) -> "pa.Table":
        nonlocal done
        table = load().score(shards, read_part(samples, parts[name], COLUMNS))
        done += len(table)
        logging.info("part %s: %d pairs, %.0f pairs/s so far", name, len(table), done / (time.monotonic() - started))
        return table

    # Without fp32, so that scores from before there was a choice stay valid.
    chosen = [] if precision == "fp32" else [precision]
    requests = {name: [model, file["sha256"], *chosen] for name, file in parts.items()}
    files = make_parts(folder, requests, make, f"{folder.name}, scoring pairs")
    if time.monotonic() - started > PROGRESS_SECONDS:
        logging.log(PROGRESS, "%s: %d pairs scored", folder.name, done)
    counts = sum(histogram_of(read_part(folder, file)["clip_score"].to_numpy()) for file in files)
    number = sum(file["rows"] for file in files)
    return {
        "teacher": model,
        "precision": precision,
        "samples": number,
        "histogram": counts.tolist(),
        "files": files,
    }


if __name__ == "__main__":
    run_warm(*EVALUATION)
    log_to(snakemake.log[0])
    terminate_with_parent()
    params, evaluation = snakemake.params, snakemake.config["evaluation"]
    teacher = Path(snakemake.input.teacher).parent
    with locked(Path(snakemake.output.manifest).parent) as folder:
        manifest = score_pairs(
            Path(snakemake.input.samples).parent,
            Path(snakemake.input.shards).parent,
            teacher,
            folder,
            params.device,
            evaluation["batch_size"],
            evaluation["workers"],
            Path(params.reference) if params.reference else None,
            params.precision,
        )
        write_json(snakemake.output.manifest, manifest | {"made_from": made_from(*snakemake.input)})
