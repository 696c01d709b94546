"""Captions that name a class of the reference."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import compute

from testbed.filtering.matching import Matcher, can_match


class ClassNames:
    """Finds the classes that captions name.

    A caption names a class if it contains the class's name between spaces, in any case, also with an "s" at its end
    (MetaCLIP's rule; see `testbed.filtering.matching`). A name that several classes have counts for each of them.
    """

    def __init__(self, names: Sequence[str]):
        self.names = list(names)
        self.labels: dict[str, list[int]] = {}
        for label, name in enumerate(self.names):
            plain = name.lower()
            for entry in dict.fromkeys((plain, f"{plain}s")):
                if plain and can_match(entry):
                    self.labels.setdefault(entry, []).append(label)
        self.matcher = Matcher(self.labels)
        self.sizes = np.array([len(labels) for labels in self.labels.values()], np.int64)
        self.flat = np.array([label for labels in self.labels.values() for label in labels], np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes

    def find(self, captions: pa.ChunkedArray) -> tuple[np.ndarray, int]:
        """Return how many of `captions` name each class (C,), and how many name any."""
        if not self.labels or not len(captions):
            return np.zeros(len(self.names), np.int64), 0
        texts = compute.utf8_lower(captions)
        texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        offsets, entries = self.matcher.match(texts)
        found = np.repeat(np.arange(len(texts)), np.diff(offsets))
        sizes = self.sizes[entries]
        places = np.repeat(self.starts[entries] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        pairs = np.unique(np.repeat(found, sizes) * len(self.names) + self.flat[places])
        counts = np.bincount(pairs % len(self.names), minlength=len(self.names))
        return counts, int((np.diff(offsets) > 0).sum())
