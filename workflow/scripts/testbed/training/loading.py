"""Batches of a training: read by the trainset's index, in the order of the training, each sample once an epoch.

The training process draws the order (`order`). Loading processes turn numbers of samples into batches. They have no state
that matters, so their number changes nothing.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2.functional import to_pil_image

from testbed.records.manifest import read_json
from testbed.shards.index import load_index
from testbed.shards.samples import BLOCK as HEADER
from testbed.shards.samples import SampleError
from testbed.training.images import Crop, decode_image, seed_all
from testbed.training.order import CROP, STEP, Order, random_bits

VERIFY = (
    "Run `snakemake verify`, delete what it names and the trainset's manifest.json and index.npy, and run the same command "
    "again."
)
REPLACE = "Run `snakemake verify`. If the shard is as recorded, take the sample out of its list."

OPEN_SHARDS = 256
"""Shards that a process keeps open. 1,024 files are a common limit."""

CACHED_CAPTIONS = 10_000
"""Captions whose tokens are cached: a small trainset repeats them every epoch, and tokenising is slower than decoding."""


def cache_tokens(tokenizer: Callable) -> Callable:
    """`tokenizer` with a cache, unless it selects random words of a caption on each call."""
    return tokenizer if getattr(tokenizer, "reduction_fn", None) else lru_cache(CACHED_CAPTIONS)(tokenizer)


class Reader:
    """Reads samples of the trainset in `folder` by their numbers and its `index`.

    Raises `SampleError` if a shard is not as indexed.
    """

    def __init__(self, folder: Path, index: Path):
        manifest = read_json(folder / "manifest.json")
        self.folder, self.files = folder, manifest["files"]
        self.index = load_index(index, manifest["samples"], mapped=True)
        self.ends = np.cumsum([file["samples"] for file in self.files])
        self.open = lru_cache(OPEN_SHARDS)(self._open)

    def _open(self, number: int):
        """The open shard `number`; files that fall out of the cache are closed."""
        path = self.folder / self.files[number]["name"]
        try:
            shard = open(path, "rb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise SampleError(f"{path}: cannot be read ({error}). {VERIFY}") from error
        if (size := os.fstat(shard.fileno()).st_size) != self.files[number]["bytes"]:
            raise SampleError(f"{path}: has {size} bytes, but its record says {self.files[number]['bytes']}. {VERIFY}")
        return shard

    def shard_of(self, sample: int) -> Path:
        """The shard that has `sample`."""
        return self.folder / self.files[int(np.searchsorted(self.ends, sample, side="right"))]["name"]

    def read(self, samples: np.ndarray) -> Iterator[tuple[str, bytes, str]]:
        """Yield the name, the image file and the caption of each of `samples`. Neighbours are one read."""
        if not len(samples):
            return
        shards = np.searchsorted(self.ends, samples, side="right")
        cuts = np.nonzero((np.diff(samples) != 1) | (np.diff(shards) != 0))[0] + 1
        for run, shard in zip(np.split(samples, cuts), np.split(shards, cuts), strict=True):
            yield from self._read_run(self.open(int(shard[0])), self.index[run[0] : run[-1] + 1])

    def _read_run(self, shard, entries: np.ndarray) -> Iterator[tuple[str, bytes, str]]:
        begin = int(min(entries["image"].min(), entries["caption"].min())) - HEADER
        ends = (entries[part] + entries[f"{part}_bytes"] for part in ("image", "caption"))
        end = int(max(end.max() for end in ends))
        content = os.pread(shard.fileno(), end - begin, begin)
        for image, image_bytes, caption, caption_bytes in entries.tolist():
            for offset, size in ((image, image_bytes), (caption, caption_bytes)):
                header = content[offset - begin - HEADER : offset - begin]
                if member_size(header) != size or offset + size - begin > len(content):
                    raise SampleError(
                        f"{shard.name}: no file of {size} bytes begins at byte {offset}, where the index has one. {VERIFY}"
                    )
            name = content[image - begin - HEADER : image - begin][:100].rstrip(b"\0").decode("utf-8", "replace")
            text = content[caption - begin : caption - begin + caption_bytes]
            try:
                yield name, content[image - begin : image - begin + image_bytes], text.decode("utf-8")
            except UnicodeDecodeError as error:
                raise SampleError(
                    f"{shard.name}: the caption of sample {name} is no UTF-8 ({error}). {REPLACE}"
                ) from error


def member_size(header: bytes) -> int | None:
    """The size that the header of a tar member says; None if it is no such header."""
    try:
        return int(header[124:136].rstrip(b"\0 ") or b"x", 8)
    except ValueError:
        return None


@dataclass
class Batches(Dataset):
    """Turns (epochs, samples) into a batch: images, tokens, and the samples.

    Images are bytes of shape (len(samples), 3, height, width) with a `crop`, or what `transform` gives of a Pillow image.
    Decoded images are kept up to `cache_bytes` in each process. An error is returned instead of raised, so that the
    training process raises it without the traceback of the loading process.
    """

    reader: Reader
    seed: int
    tokenizer: Callable
    crop: Crop | None
    transform: Callable
    cache_bytes: int
    memory_format: torch.memory_format = torch.contiguous_format

    def __post_init__(self):
        self.cache: dict[int, torch.Tensor] = {}
        self.cached = 0

    def __getitem__(self, asked: tuple[np.ndarray, np.ndarray]) -> tuple | SampleError:
        try:
            return self.batch(*asked)
        except SampleError as error:
            return error

    def batch(self, epochs: np.ndarray, samples: np.ndarray) -> tuple:
        decoded, captions = self.decoded(samples)
        if self.crop:
            shape = (len(samples), 3, *self.crop.size)
            images = torch.empty(shape, dtype=torch.uint8, memory_format=self.memory_format)
            self.crop.cut(decoded, self.crop.draw(self.seed, epochs, samples), images)
            return images, torch.cat([self.tokenizer(caption) for caption in captions]), samples
        images, tokens = [], []
        bits = random_bits(CROP, self.seed, epochs, samples, 1)[:, 0]
        for image, caption, own in zip(decoded, captions, bits.tolist(), strict=True):
            seed_all(own)
            images.append(self.transform(to_pil_image(image)))
            tokens.append(self.tokenizer(caption))
        return torch.stack(images), torch.cat(tokens), samples

    def decoded(self, samples: np.ndarray) -> tuple[list[torch.Tensor], list[str]]:
        """The images, as bytes, and captions of `samples`."""
        kept = [self.cache.get(sample) for sample in samples.tolist()]
        missing = np.array([place for place, entry in enumerate(kept) if entry is None], int)
        # In the order of the shards, so that neighbours are read together.
        missing = missing[np.argsort(samples[missing], kind="stable")]
        read = self.reader.read(samples[missing])
        for place, (name, content, caption) in zip(missing.tolist(), read, strict=True):
            sample = int(samples[place])
            try:
                kept[place] = decode_image(content), caption
            except ValueError as error:
                shard = self.reader.shard_of(sample)
                raise SampleError(f"{shard}: the image {name} cannot be decoded ({error}). {REPLACE}") from error
            size = kept[place][0].numel()
            if self.cached + size <= self.cache_bytes:
                self.cache[sample] = kept[place]
                self.cached += size
        return [image for image, _ in kept], [caption for _, caption in kept]


class Steps:
    """The samples of the batches of one device from step `first` on, in order: what a DataLoader gives out to its processes.

    A step's samples are divided into `accumulated` batches, and each batch among `devices`.
    """

    def __init__(self, order: Order, first: int, last: int, batch_size: int, accumulated: int, devices: int, rank: int):
        self.order, self.steps, self.batch_size = order, range(first, last), batch_size
        self.parts = range(rank, accumulated * devices, devices)
        self.size = batch_size // (accumulated * devices)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for step in self.steps:
            epochs, samples = self.order.between(step * self.batch_size, (step + 1) * self.batch_size)
            for part in self.parts:
                own = slice(part * self.size, (part + 1) * self.size)
                yield epochs[own], samples[own]


class Loader:
    """What open_clip's trainer iterates: the batches of all steps from `first` on, for one device.

    `at_step` is called before each step, when the one before is complete. `given` are the samples of the last batch. `seen`
    counts how often the device was given each sample. Raises `SampleError` for a sample that cannot be read.
    """

    def __init__(
        self, batches: Batches, order: Order, steps: int, batch_size: int, *, accumulated: int, devices: int, rank: int,
        workers: int,
    ):  # fmt: skip
        self.batches, self.order, self.steps, self.batch_size = batches, order, steps, batch_size
        self.accumulated, self.devices, self.rank, self.workers = accumulated, devices, rank, workers
        self.first = 0
        self.at_step: Callable[[int], None] = lambda step: None
        self.given = torch.zeros(0, dtype=torch.int64)
        self.seen = torch.zeros(order.samples, dtype=torch.int32)

    @property
    def num_batches(self) -> int:
        """Batches that are left; the trainer divides them by `accumulated` to get steps."""
        return (self.steps - self.first) * self.accumulated

    @property
    def num_samples(self) -> int:
        """Samples that are left, for the trainer's messages."""
        return (self.steps - self.first) * self.batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        steps = Steps(*(self.order, self.first, self.steps, self.batch_size, self.accumulated, self.devices, self.rank))
        loader = DataLoader(
            self.batches,
            batch_size=None,
            sampler=steps,
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
        )
        for number, batch in enumerate(loader):
            if isinstance(batch, SampleError):
                raise batch
            step, part = divmod(self.first * self.accumulated + number, self.accumulated)
            if not part:
                self.at_step(step)
            images, tokens, self.given = batch
            self.seen.index_add_(0, self.given, torch.ones(len(self.given), dtype=torch.int32))
            # Random numbers of the model, such as those of dropout: the same after a restart.
            bits = random_bits(STEP, self.batches.seed, step, np.array([number % self.accumulated]), 1)
            seed_all(int(bits[0, 0]) ^ self.rank)
            yield images, tokens
