"""Tables of image embeddings, and the nearest of them to each test image."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute

from testbed.records.parts import PartError, parts_of, read_part, read_parts

SIMILARITIES = 2**26
"""Similarities that are computed at once: 256 MB."""

NONE = -2.0
"""A similarity below that of all images."""


def embedding_table(uids: Sequence[str], embeddings: np.ndarray) -> pa.Table:
    """Return a table with `uids` and their `embeddings` (N, D), which are stored with half precision (2 D bytes each)."""
    rows = embeddings.astype(np.float16)
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1), pa.float16()), rows.shape[1])
    return pa.table({"uid": pa.array(uids, pa.string()), "embedding": column})


def embeddings_of(table: pa.Table) -> np.ndarray:
    """Return the embeddings (N, D; float32) in a table of `embedding_table`."""
    column = table["embedding"].combine_chunks()
    values = (
        column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(table), column.type.list_size)
    )
    # Half precision leaves lengths that are not quite 1, and the same image would have a similarity above 1.
    return values / np.linalg.norm(values, axis=1, keepdims=True)


class EmbeddedPool:
    """The embeddings of a pool, in its order.

    `samples` is the folder of its table and `embeddings` that of the embeddings of its source.
    """

    def __init__(self, samples: Path, embeddings: Path):
        self.samples, self.embeddings = samples, embeddings
        self.parts, self.embedded = parts_of(samples), parts_of(embeddings)
        self.stops = dict(zip(self.parts, np.cumsum([file["rows"] for file in self.parts.values()]), strict=True))

    def digests(self) -> list[list[str]]:
        """Return what the embeddings depend on."""
        return [[file["sha256"], self.embedded[name]["sha256"]] for name, file in self.parts.items()]

    def table(self, name: str) -> pa.Table:
        """Return the embeddings of a part's samples. A filter's part has some of the samples of its source's part.

        Raises `PartError` if one has no embedding.
        """
        uids = read_part(self.samples, self.parts[name], ["uid"])["uid"]
        table = read_part(self.embeddings, self.embedded[name])
        if uids.equals(table["uid"]):
            return table
        places = compute.index_in(uids, value_set=table["uid"].combine_chunks())
        if places.null_count:
            raise PartError(
                f"{self.embeddings / self.embedded[name]['name']}: has no embedding of {places.null_count} samples of "
                f"{self.samples}. Delete {self.embeddings}/manifest.json and run the same command again."
            )
        return table.take(places)

    def rows(self, start: int, stop: int) -> Iterator[pa.Table]:
        """Yield the embeddings of the samples from `start` up to `stop`, part by part."""
        for name, end in self.stops.items():
            begin = int(end) - self.parts[name]["rows"]
            if begin < stop and end > start:
                yield self.table(name).slice(max(0, start - begin), min(stop, int(end)) - max(start, begin))


def read_testsets(folders: Mapping[str, Path]) -> tuple[pa.Table, np.ndarray]:
    """Return the names of the images (testset, key) in folders of embeddings by test set, and their embeddings (M, D)."""
    tables = [
        table.append_column("testset", pa.array([name] * len(table), pa.string()))
        for name, folder in folders.items()
        for table in read_parts(folder)
    ]
    table = pa.concat_tables(tables)
    return pa.table({"testset": table["testset"], "key": table["uid"]}), embeddings_of(table)


class Nearest:
    """The nearest samples of a pool to test images, by cosine similarity; it grows by `add`.

    `similarity` (M) is that of the nearest sample of each of the M test images, and `uid` names this sample.
    """

    def __init__(self, images: np.ndarray, device: str = "cpu"):
        import torch

        self.images = torch.from_numpy(images).to(device)
        self.similarity = np.full(len(images), NONE, np.float32)
        self.uid = np.full(len(images), None, object)

    def add(self, table: pa.Table) -> None:
        """Add the samples of `table` (see `embedding_table`). The first of several that are equally near stays."""
        import torch

        step = max(1, SIMILARITIES // len(self.images))
        for start in range(0, len(table), step):
            block = table.slice(start, step)
            samples = torch.from_numpy(embeddings_of(block)).to(self.images.device)
            similarity, place = (found.cpu().numpy() for found in (samples @ self.images.T).max(dim=0))
            nearer = similarity > self.similarity
            self.similarity[nearer] = similarity[nearer]
            self.uid[nearer] = np.array(block["uid"].to_pylist(), object)[place[nearer]]
