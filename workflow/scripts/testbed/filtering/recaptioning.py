"""Other captions for the samples of a pool: from a column of their table, for all of them or a share drawn by uid."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from testbed.filtering.balancing import draw
from testbed.lists.pairs import clean_caption
from testbed.lists.validation import PLAIN_CAPTION, cleaned
from testbed.shards.samples import with_columns

ORIGINAL = "original_caption"
"""Column with the caption that a sample has in its source's list and shards."""


class CaptionError(ValueError):
    """The column of the new captions is missing, or has no texts."""


@dataclass(frozen=True)
class Recaptioning:
    """The new captions are in `column`. The share of the samples that takes them is drawn with `key`."""

    column: str
    share: float
    key: str

    def texts(self, table: pa.Table) -> pa.Array:
        """The new captions of `table` without artefacts, as those of lists; empty where there is none."""
        if self.column not in table.column_names:
            raise CaptionError(
                f"caption: the samples have no column {self.column}. The columns are {', '.join(table.column_names)}"
            )
        kind = table[self.column].type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
            raise CaptionError(f"caption: column {self.column} has the type {kind}. Name a column of texts")
        found = table[self.column].cast(pa.string()).combine_chunks()
        found = found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)
        return cleaned(found, PLAIN_CAPTION, clean_caption)[0]

    def is_drawn(self, table: pa.Table) -> np.ndarray:
        """Whether each sample of `table` is of the share that takes the new caption. A larger share has all of a smaller."""
        if self.share >= 1:
            return np.ones(len(table), bool)
        return draw(table["uid"].to_pylist(), self.key) < self.share

    def apply(self, table: pa.Table) -> pa.Table:
        """Return `table` with the new captions, and the former ones in `original_caption`.

        Samples without a new caption keep theirs. A caption that was replaced before keeps its first original.
        """
        texts = self.texts(table)
        taken = pc.and_(pa.array(self.is_drawn(table)), pc.not_equal(texts, ""))
        old = table["caption"].combine_chunks()
        if ORIGINAL not in table.column_names:
            table = with_columns(table, {ORIGINAL: old})
        return table.set_column(table.column_names.index("caption"), "caption", pc.if_else(taken, texts, old))

    def count(self, tables: Iterable[pa.Table]) -> dict[str, int]:
        """The samples of `tables` that have the new caption, that lack one, and that were not drawn."""
        counts = {"new": 0, "without": 0, "not_drawn": 0}
        for table in tables:
            drawn, has = self.is_drawn(table), pc.not_equal(self.texts(table), "").to_numpy(zero_copy_only=False)
            counts["new"] += int((drawn & has).sum())
            counts["without"] += int((drawn & ~has).sum())
            counts["not_drawn"] += int((~drawn).sum())
        return counts
