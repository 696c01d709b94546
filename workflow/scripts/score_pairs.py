"""Compute the CLIP score of each pair of a pool: the cosine similarity of the teacher's embeddings of image and caption.

In:  the table of the pool's samples, the source's shards, the teacher's folder, and the reference's class names and
     templates if the filter works per class
Out: a manifest; beside it a part for each part of that table, with clip_score of each row and, for such filters,
     reference_class, the class that the teacher predicts for the image; and NNNNNN.json (its record)
"""

import io
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testbed.evaluation.evaluator import load_model
from testbed.evaluation.preprocessing import EVALUATION, Preprocessing
from testbed.evaluation.testsets import read_lines
from testbed.filtering.selection import histogram_of
from testbed.models.networks import CONFIG_FILE, memory_format
from testbed.models.pixels import as_pixels, normalise
from testbed.models.precision import computing_in
from testbed.records.files import sha256
from testbed.records.locks import locked
from testbed.records.log import PROGRESS, log_to
from testbed.records.manifest import digest, read_json, write_json
from testbed.records.parts import PROGRESS_SECONDS, make_parts, parts_of, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.provenance import made_from
from testbed.records.warm_worker import run_warm
from testbed.shards.samples import SampleError, read_image

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from snakemake.script import snakemake

COLUMNS = ["uid", "caption", "shard", "offset"]
CLASS_FILES = ("classnames.txt", "zeroshot_classification_templates.txt")


class Teacher:
    """A model that scores pairs. It computes embeddings in `precision`, and everything after them in float32."""

    def __init__(
        self,
        folder: Path,
        device: str,
        batch_size: int,
        workers: int,
        reference: Path | None = None,
        precision: str = "fp32",
    ):
        import torch

        self.model, self.tokenizer = load_model(folder, device)
        preprocess, self.memory_format = self.model.visual.preprocess_cfg, memory_format(self.model.visual)
        self.preprocessing = Preprocessing.of(preprocess)
        self.mean, self.std = (torch.tensor(preprocess[name], device=device).view(-1, 1, 1) for name in ("mean", "std"))
        self.device, self.precision = device, precision
        self.batch_size, self.workers = batch_size, max(1, workers)
        self.width = read_json(folder / CONFIG_FILE)["model_cfg"]["embed_dim"]
        self.classes, self.head = [], None
        if reference is not None:
            from clip_benchmark.metrics.zeroshot_classification import zero_shot_classifier

            self.classes, templates = (read_lines(reference / name) for name in CLASS_FILES)
            with computing_in("fp32", device):
                self.head = zero_shot_classifier(self.model, self.tokenizer, self.classes, templates, device, amp=False)

    def decode(self, shard: Path, samples: list[tuple[int, str]]) -> list[np.ndarray]:
        """The preprocessed images (H, W, 3) of `samples` (offset, uid) in a shard."""
        from PIL import Image

        decoded = []
        with open(shard, "rb") as file:
            for offset, uid in samples:
                try:
                    with Image.open(io.BytesIO(read_image(file, offset))) as image:
                        image.load()
                        decoded.append(np.asarray(self.preprocessing(image)))
                except (OSError, ValueError, SyntaxError) as error:
                    raise SampleError(
                        f"{shard}: image {uid} cannot be decoded ({error}). Run `snakemake verify`."
                    ) from error
        return decoded

    def batches(self, shards: Path, table: "pa.Table") -> Iterator[tuple["torch.Tensor", list[str]]]:
        """Images (B, H, W, 3; uint8) and captions of `table`. The next batch is decoded while the model computes one."""
        import torch

        rows = table.select(COLUMNS).to_pylist()
        starts = range(0, len(rows), self.batch_size)
        with ThreadPoolExecutor(self.workers) as pool:

            def submit(start: int) -> list:
                batch = rows[start : start + self.batch_size]
                # Each thread gets consecutive rows, which lie in one shard: a part never spans several.
                step = -(-len(batch) // self.workers)
                runs = [batch[place : place + step] for place in range(0, len(batch), step)]
                return [
                    pool.submit(self.decode, shards / run[0]["shard"], [(row["offset"], row["uid"]) for row in run])
                    for run in runs
                ]

            pending = [submit(start) for start in starts[:1]]
            for place, start in enumerate(starts):
                images = [image for future in pending.pop() for image in future.result()]
                pending += [submit(later) for later in starts[place + 1 : place + 2]]
                yield (
                    torch.from_numpy(np.stack(images)),
                    [row["caption"] for row in rows[start : start + self.batch_size]],
                )

    def embed_images(self, images: "torch.Tensor") -> "torch.Tensor":
        """Normalised embeddings (B, D; float32) of `images` (B, H, W, 3; uint8)."""
        from torch.nn import functional

        pixels = as_pixels(images, self.device, self.memory_format)
        with computing_in(self.precision, self.device):
            embeddings = self.model.encode_image(normalise(pixels, self.mean, self.std), normalize=False)
        # In bfloat16, similarities would have three digits, and many pairs the same score.
        return functional.normalize(embeddings.float(), dim=-1)

    def embed_captions(self, captions: list[str]) -> "torch.Tensor":
        """Normalised embeddings (B, D; float32) of `captions`."""
        from torch.nn import functional

        tokens = self.tokenizer(captions).to(self.device)
        with computing_in(self.precision, self.device):
            embeddings = self.model.encode_text(tokens, normalize=False)
        return functional.normalize(embeddings.float(), dim=-1)

    def score(self, shards: Path, table: "pa.Table") -> "pa.Table":
        """Scores of the pairs in `table`, in its order; their images are in the folder `shards`."""
        import pyarrow as pa
        import torch

        scores, predicted = [], []
        with torch.no_grad():
            for images, captions in self.batches(shards, table):
                image = self.embed_images(images)
                scores.append((image * self.embed_captions(captions)).sum(dim=1).cpu().numpy())
                if self.head is not None:
                    predicted.append((image @ self.head).argmax(dim=1).cpu().numpy())
        columns = {"clip_score": pa.array(np.concatenate(scores) if scores else [], pa.float32())}
        if self.head is not None:
            names = [self.classes[number] for number in (np.concatenate(predicted) if predicted else [])]
            columns["reference_class"] = pa.array(names, pa.string())
        return pa.table(columns)


def teacher_digest(folder: Path, reference: Path | None) -> str:
    """Digest of the teacher's files and the reference's classes, on which scores depend."""
    files = [file["sha256"] for file in read_json(folder / "manifest.json")["files"]]
    return digest([files, [sha256(reference / name) for name in CLASS_FILES] if reference else None])


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
