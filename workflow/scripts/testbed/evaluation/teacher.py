"""The teacher: a model that embeds images and captions, for filters by CLIP score and for similarity."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testbed.evaluation.evaluator import load_model
from testbed.evaluation.preprocessing import Preprocessing
from testbed.evaluation.tasks import CLASS_FILES, read_lines
from testbed.models.networks import CONFIG_FILE, memory_format
from testbed.models.pixels import as_pixels, normalise
from testbed.models.precision import computing_in
from testbed.records.files import sha256
from testbed.records.manifest import digest, read_json
from testbed.shards.samples import SampleError, read_image

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

COLUMNS = ["uid", "caption", "shard", "offset"]


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
