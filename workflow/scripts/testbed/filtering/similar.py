"""Near-duplicates by a teacher's embeddings: pairs of images whose cosine similarity is high."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from testbed.filtering.embeddings import SIMILARITIES, embeddings_of
from testbed.filtering.hash_search import Pairs
from testbed.filtering.near_duplicates import KEPT, keep_first

if TYPE_CHECKING:
    import torch

TILE = 8192
"""Rows of the matrix products."""


@dataclass(frozen=True)
class BySimilarity:
    """Two images are near-duplicates if the cosine similarity of their embeddings is at least `least`.

    All pairs are compared, in matrix products on `device`. See `testbed.filtering.near_search.Comparison`.
    """

    least: float
    device: str = "cpu"
    batch = 500_000
    field = ("similarity", pa.float32())

    @property
    def request(self) -> list[object]:
        return ["similarity", self.least]

    def load(self, tables: Iterable[pa.Table]) -> np.ndarray:
        """Return embeddings (N, D; float16): with single precision, a pool would take twice the memory."""
        return np.concatenate([embeddings_of(table).astype(np.float16) for table in tables])

    def tile(self, images: np.ndarray) -> "torch.Tensor":
        """Return embeddings as unit vectors in single precision, on the device."""
        import torch

        rows = torch.from_numpy(images).to(self.device).float()
        return rows / rows.norm(dim=1, keepdim=True)

    def between(self, first: np.ndarray, second: np.ndarray) -> Pairs:
        if not len(second):
            return pairs_of([])
        found, others = [], self.tile(second)
        step = max(1, min(TILE, SIMILARITIES // len(second)))
        for start in range(0, len(first), step):
            similarity = self.tile(first[start : start + step]) @ others.T
            row, column = (similarity >= self.least).nonzero(as_tuple=True)
            found.append([row.cpu().numpy() + start, column.cpu().numpy(), similarity[row, column].cpu().numpy()])
        return pairs_of(found)

    def before(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        near, similarity = np.full(len(images), KEPT), np.zeros(len(images), np.float32)
        kept: list[tuple[np.ndarray, torch.Tensor]] = []
        for start in range(0, len(images), TILE):
            rows = np.arange(start, min(start + TILE, len(images)))
            for earlier, others in kept:
                rows = self._drop(rows, images, earlier, others, near, similarity)
            # Those that are near no kept image of an earlier tile are compared with each other.
            own = self.tile(images[rows])
            product = own @ own.T
            second, first = (product >= self.least).tril(-1).nonzero(as_tuple=True)
            pairs = Pairs(first.cpu().numpy(), second.cpu().numpy(), product[second, first].cpu().numpy())
            near_own, similarity_own = keep_first(len(rows), pairs)
            is_kept = near_own == KEPT
            near[rows[~is_kept]] = rows[near_own[~is_kept]]
            similarity[rows] = np.where(is_kept, 0, similarity_own)
            kept.append((rows[is_kept], own[is_kept.tolist()]))
        return near, similarity

    def _drop(
        self,
        rows: np.ndarray,
        images: np.ndarray,
        earlier: np.ndarray,
        others: "torch.Tensor",
        near: np.ndarray,
        similarity: np.ndarray,
    ) -> np.ndarray:
        """Return those of `rows` that are near none of the kept images `others`, whose rows are `earlier`.

        For the rest, the first such image and its similarity are written to `near` and `similarity`.
        """
        if not len(rows) or not len(earlier):
            return rows
        product = self.tile(images[rows]) @ others.T
        is_near = product >= self.least
        # Of equal values, argmax gives the first.
        first = is_near.int().argmax(dim=1)
        dropped = is_near.any(dim=1).cpu().numpy()
        near[rows[dropped]] = earlier[first.cpu().numpy()[dropped]]
        similarity[rows[dropped]] = product.gather(1, first[:, None])[:, 0].cpu().numpy()[dropped]
        return rows[~dropped]


def pairs_of(found: list[list[np.ndarray]]) -> Pairs:
    """Return the pairs in a list of (first, second, similarity)."""
    empty = [np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)]
    return Pairs(*map(np.concatenate, zip(empty, *found, strict=True)))
