"""Counts of one group of samples: a source's, or those that a filter keeps or drops."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute

from testbed.cards.classes import ClassNames
from testbed.cards.drawn import Repeats, Smallest
from testbed.cards.images import flag_columns, is_flagged, look_at_samples
from testbed.cards.measures import count_bins, quantiles_of
from testbed.cards.outcomes import count_endings
from testbed.cards.words import count_words_in
from testbed.filtering.selection import count_words
from testbed.shards.samples import LOCATION

COLUMNS = ["uid", "url", "caption", "sha256", "width", "height", "original_width", "original_height"]
READ = [*COLUMNS, *(name for name in LOCATION if name != "bytes")]
MOST_REPEATED = 10

SHEET = pa.schema(
    [(name, pa.string()) for name in ("group", "uid", "url", "caption")]
    + [("flagged", pa.bool_())]
    + [(name, pa.int64()) for name in ("original_width", "original_height", "bytes")]
    + [("thumbnail", pa.binary())]
)
"""The samples of a contact sheet; `thumbnail` is a JPEG."""


def measure_rows(rows: pa.Table) -> dict[str, np.ndarray]:
    """Return the measures of samples (N,) but for their bytes; NaN where a size is not known.

    The size of an image is that of the fetched one, or of the stored one where the fetched one's is not known.
    """
    width, height = (
        compute.coalesce(rows[f"original_{side}"], rows[side]).cast(pa.float64()).to_numpy()
        for side in ("width", "height")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = width / height
    return {
        "words": count_words(rows["caption"]).to_numpy(),
        "characters": compute.utf8_length(rows["caption"]).to_numpy(),
        "side": np.minimum(width, height),
        "aspect_ratio": ratio,
    }


class Group:
    """Counts of the samples that are added, table by table."""

    def __init__(self, name: str, expected: int, classes: ClassNames, captions: int):
        self.name, self.classes = name, classes
        self.samples = self.naming = 0
        self.named = np.zeros(len(classes.names), np.int64)
        self.predicted: Counter = Counter()
        self.histograms: dict[str, np.ndarray] = {}
        self.captions, self.files = Repeats(expected), Repeats(expected)
        self.drawn = Smallest(captions)

    def add(self, rows: pa.Table, places: np.ndarray, predicted: pa.ChunkedArray | None = None) -> None:
        """Count `rows` (columns `READ`, and flags), whose `places` in the whole table are given.

        `predicted` has the classes that a teacher predicts for their images.
        """
        for name, values in measure_rows(rows).items():
            self.histograms[name] = self.histograms.get(name, 0) + count_bins(name, values)
        counts, naming = self.classes.find(rows["caption"])
        self.named += counts
        self.naming += naming
        self.captions.add(rows["caption"], places)
        self.files.add(rows["sha256"], places)
        if predicted is not None:
            found = compute.value_counts(predicted).to_pylist()
            self.predicted.update({entry["values"]: entry["counts"] for entry in found})
        self.drawn.add(rows)
        self.samples += len(rows)

    def result(
        self,
        shards: Path,
        language: Callable[[str], str],
        images: int,
        decoded: int,
        caption_at: Callable[[Sequence[int]], list[str]],
    ) -> tuple[dict, Counter, pa.Table]:
        """Return the description of the group, the words of its drawn captions, and its contact sheet of `images` samples.

        `language` classifies captions, `decoded` images are looked at, and `caption_at` returns captions by place.
        """
        rows = self.drawn.rows()
        texts = rows["caption"].to_pylist()
        flags = flag_columns(rows.column_names)
        looks = look_at_samples(shards, rows.slice(0, max(images, decoded)), images)
        drawn = {**measure_rows(rows), "bytes": np.array([look.bytes for look in looks])}
        self.histograms["bytes"] = count_bins("bytes", drawn["bytes"])
        repeated, often = self.captions.result(MOST_REPEATED)
        languages = Counter(map(language, texts))
        marked = [is_flagged(row, flags) for row in rows.select(flags).to_pylist()] if flags else [False] * len(rows)
        description = {
            "name": self.name,
            "samples": self.samples,
            "drawn_captions": len(texts),
            "decoded_images": len(looks),
            "measures": {
                name: {"counts": counts.tolist(), **(quantiles_of(drawn[name]) or {})}
                for name, counts in self.histograms.items()
            },
            "repeated_captions": round(repeated, 6),
            "most_repeated": [
                {"caption": caption, "samples": count}
                for caption, (_, count) in zip(caption_at([place for place, _ in often]), often, strict=True)
            ],
            "repeated_images": round(self.files.result(0)[0], 6),
            "languages": dict(sorted(languages.items(), key=lambda entry: (-entry[1], entry[0]))),
            "naming": self.naming,
            "named": self.named.tolist(),
            "predicted": [self.predicted.get(name, 0) for name in self.classes.names] if self.predicted else None,
            "grey_images": sum(look.is_grey for look in looks),
            "url_endings": count_endings(rows["url"]),
            "flags": flags,
            "flagged": sum(marked),
        }
        return description, count_words_in(texts), self._sheet(rows, looks, marked, images)

    def _sheet(self, rows: pa.Table, looks: Sequence, marked: Sequence[bool], images: int) -> pa.Table:
        first = rows.slice(0, images).to_pylist()
        shown = [
            {name: row.get(name) for name in SHEET.names}
            | {"group": self.name, "flagged": mark, "bytes": look.bytes, "thumbnail": look.thumbnail}
            for row, look, mark in zip(first, looks, marked, strict=False)
        ]
        return pa.Table.from_pylist(shown, SHEET)
