"""Count what is in a pool: lengths, languages, repeats and classes of captions, sizes of images, outcomes of downloads.

Captions and sizes are counted over all samples, from the table of samples, part by part. Languages and words are counted
over captions that are drawn by uid, and images are decoded of fewer such samples. So memory does not grow with the pool,
but for 8 bytes a sample (up to 20 million) that count repeats. Of a filter, what it kept and what it dropped are counted.

In:  the table of the pool's samples and, of a filter, that of the pool that it selects from; the source's shards; the class
     names of the reference; the outcomes of the source's downloads; the classes that a teacher predicts, if there are any
Out: description.json; words.parquet, the most frequent words of each group; sheet.parquet, samples with thumbnails
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from testbed.cards.classes import ClassNames
from testbed.cards.counting import READ, Group
from testbed.cards.images import flag_columns
from testbed.cards.outcomes import describe_downloads, describe_list, describe_rewriting
from testbed.cards.words import most_frequent
from testbed.evaluation.tasks import read_lines
from testbed.filtering.selection import load_classifier
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import parts_of, read_part
from testbed.records.processes import terminate_with_parent
from testbed.records.progress import Progress

if TYPE_CHECKING:
    from snakemake.script import snakemake

ALL, KEPT, DROPPED = "all", "kept", "dropped"


class Rows(NamedTuple):
    """Rows of a part of the described table that are in one group, their places in the whole table, and their classes."""

    group: str
    rows: pa.Table
    places: np.ndarray
    predicted: pa.ChunkedArray | None


class Pool:
    """The table of a pool's samples in the folder `samples`, or of the samples in `parent` that a filter selects from.

    `scores` is the folder of a teacher's scores of the same rows, with the classes that it predicts.
    """

    def __init__(self, samples: Path, parent: Path | None = None, scores: Path | None = None):
        self.table = parent or samples
        self.parts = parts_of(self.table)
        self.kept = None if parent is None else (samples, parts_of(samples))
        self.scores = None if scores is None else (scores, parts_of(scores))
        self.name = read_json(samples / "manifest.json")["pool"]
        self.starts = np.cumsum([0, *(file["rows"] for file in self.parts.values())])

    def groups(self) -> dict[str, int]:
        """Return the groups that are counted, each with its number of samples."""
        total = int(self.starts[-1])
        if self.kept is None:
            return {ALL: total}
        kept = sum(file["rows"] for file in self.kept[1].values())
        return {KEPT: kept} | ({DROPPED: total - kept} if kept < total else {})

    def rows(self) -> Iterator[Rows]:
        """Yield the rows of each part, by group."""
        for start, (name, file) in zip(self.starts.tolist(), self.parts.items(), strict=False):
            columns = parquet.read_schema(self.table / file["name"]).names
            rows = read_part(self.table, file, [*READ, *flag_columns(columns)])
            predicted = None
            if self.scores is not None:
                folder, parts = self.scores
                predicted = read_part(folder, parts[name], ["reference_class"])["reference_class"]
            places = start + np.arange(len(rows))
            if self.kept is None:
                yield Rows(ALL, rows, places, predicted)
                continue
            folder, parts = self.kept
            uids = read_part(folder, parts[name], ["uid"])["uid"]
            is_kept = compute.is_in(rows["uid"], value_set=uids.combine_chunks())
            for group, mask in ((KEPT, is_kept), (DROPPED, compute.invert(is_kept))):
                chosen = None if predicted is None else predicted.filter(mask)
                yield Rows(group, rows.filter(mask), places[mask.to_numpy()], chosen)

    def captions_at(self, places: Sequence[int]) -> list[str]:
        """Return the captions of the rows at `places` of the table."""
        files = list(self.parts.values())
        found = []
        for place in places:
            part = int(np.searchsorted(self.starts, place, side="right")) - 1
            captions = read_part(self.table, files[part], ["caption"])["caption"]
            found.append(captions[place - int(self.starts[part])].as_py())
        return found


def describe_pool(
    pool: Pool, shards: Path, classes: Sequence[str], sampling: Mapping[str, int], language: Callable[[str], str]
) -> tuple[dict, dict[str, Counter], pa.Table]:
    """Return the description of a pool, the words of each of its groups, and its contact sheet.

    `shards` is the folder of the source's shards, `classes` are the names of the reference's classes. `sampling` has the
    keys `images`, `caption_sample` and `image_sample` of the section `cards`. `language` classifies captions.
    Each of a filter's two groups has half of the images of the sheet.
    """
    sizes, names = pool.groups(), ClassNames(classes)
    groups = {group: Group(group, size, names, sampling["caption_sample"]) for group, size in sizes.items()}
    progress, done = Progress(sum(sizes.values()), "samples"), 0
    for part in pool.rows():
        if len(part.rows):
            groups[part.group].add(part.rows, part.places, part.predicted)
            done += len(part.rows)
            progress.update(done)
    images = -(-sampling["images"] // len(groups))
    found = {
        name: group.result(shards, language, images, sampling["image_sample"], pool.captions_at)
        for name, group in groups.items()
    }
    description = {
        "pool": pool.name,
        "samples": sum(size for group, size in sizes.items() if group != DROPPED),
        "classes": list(classes),
        "groups": [group for group, _, _ in found.values()],
    }
    words = {name: words for name, (_, words, _) in found.items()}
    return description, words, pa.concat_tables([sheet for _, _, sheet in found.values()])


def words_table(words: Mapping[str, Counter]) -> pa.Table:
    """Return the most frequent words of each group with their counts, and under the empty word the count of all others."""
    rows = []
    for group, counts in words.items():
        kept = most_frequent(counts)
        others = counts.total() - sum(count for _, count in kept)
        rows += [{"group": group, "word": word, "count": count} for word, count in [*kept, ("", others)]]
    return pa.Table.from_pylist(rows, pa.schema({"group": pa.string(), "word": pa.string(), "count": pa.int64()}))


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    files, params = snakemake.input, snakemake.params
    folders = {name: Path(files[name][0]).parent for name in ("parent", "scores") if files.get(name)}
    shards = Path(files.shards).parent
    pool = Pool(Path(files.samples).parent, folders.get("parent"), folders.get("scores"))
    description, words, sheet = describe_pool(
        pool, shards, read_lines(Path(params.reference) / "classnames.txt"), dict(params.sampling), load_classifier()
    )
    if files.get("counts"):
        description["list"] = describe_list(Path(files.counts[0]))
        description |= {"rewriting": describe_rewriting(shards)}
    if files.get("downloads"):
        description["downloads"] = describe_downloads([Path(manifest).parent for manifest in files.downloads])
    parquet.write_table(words_table(words), snakemake.output.words, compression="zstd")
    parquet.write_table(sheet, snakemake.output.sheet, compression="zstd")
    write_json(snakemake.output.description, description)
