"""Tables of image embeddings, and the nearest of them to each test image."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from testbed.records.parts import read_parts

SIMILARITIES = 2**26
"""Similarities that are computed at once: 256 MB."""

NEAREST_FILE = "nearest.parquet"
"""The table of the nearest samples of a pool."""

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
