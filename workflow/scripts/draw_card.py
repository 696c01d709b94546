"""Draw the card of a pool: one self-contained HTML page that shows what is in it, without scripts and without a network.

In:  the description of the pool, its words, its contact sheet, and of a source the words of the other sources and, if they
     are counted, its near-duplicates of test images; of a mixture, those of each member
Out: results/report/pools/<pool>.html
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow import parquet

from testbed.cards.card import card_page
from testbed.cards.mixture import mixed
from testbed.cards.overlap import overlap_section
from testbed.records.log import log_to
from testbed.records.manifest import read_json

if TYPE_CHECKING:
    from snakemake.script import snakemake


def read_words(path: Path) -> dict[str, dict[str, int]]:
    """Return the words of each group of a pool with their counts; the empty word stands for those that are not listed."""
    words: dict[str, dict[str, int]] = {}
    for row in parquet.read_table(path).to_pylist():
        words.setdefault(row["group"], {})[row["word"]] = row["count"]
    return words


def words_of_others(paths: Iterable[Path]) -> dict[str, dict[str, int]]:
    """Return the words of other sources, by the source."""
    return {path.parent.name: read_words(path)["all"] for path in map(Path, paths)}


def read_overlap(manifest: Path) -> tuple[dict, list[dict]]:
    """Return what was counted of the near-duplicates in a source, and example pairs."""
    return read_json(manifest), parquet.read_table(manifest.with_name("examples.parquet")).to_pylist()


if __name__ == "__main__":
    log_to(snakemake.log[0])
    params = snakemake.params
    overlap = [
        overlap_section(*read_overlap(Path(file)), params.testsets, params.blur) for file in snakemake.input.overlap
    ]
    files = snakemake.input
    descriptions = [read_json(file) for file in files.descriptions]
    sheets = [parquet.read_table(file).to_pylist() for file in files.sheets]
    words = [read_words(Path(file)) for file in files.words]
    is_mixture = params.pool["kind"] == "mixture"
    found = mixed(params.pool, descriptions, sheets, words) if is_mixture else (descriptions[0], sheets[0], words[0])
    description, sheet, counts = found
    page = card_page(
        description,
        params.pool,
        sheet,
        counts,
        words_of_others(snakemake.input.rivals),
        params.blur,
        "".join(overlap),
    )
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
