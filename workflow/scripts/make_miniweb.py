"""Make one mini-source: its list in the released format of the source it imitates, and the pages of its URLs.

In:  the kind of source, the number of usable pairs, a seed, and the number of images in each test set, of which one source
     has near-duplicates.
Out: ``list/`` the list's files; ``pages.parquet`` the page that the mini-web's server has for each URL;
     ``manifest.json`` their records and the counts. Equal arguments give equal bytes.
"""

import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import pyarrow as pa
from pyarrow import parquet

from testbed.miniweb.lists import write_list
from testbed.miniweb.pages import Page, draw_pages
from testbed.miniweb.planted import plant_duplicates
from testbed.miniweb.rows import UNUSUAL_ROWS, Row, count_of, draw_rows
from testbed.miniweb.world import SOURCES
from testbed.records.log import log_to
from testbed.records.manifest import record, write_json

if TYPE_CHECKING:
    from snakemake.script import snakemake

PAGES_SCHEMA = pa.schema(
    {
        "url": pa.string(),
        "label": pa.string(),
        "domain": pa.string(),
        "seed": pa.int64(),
        "size": pa.int32(),
        "format": pa.string(),
        "behaviour": pa.string(),
        "change": pa.string(),
    }
)


@dataclass(frozen=True)
class MiniSource:
    """One mini-source: the rows of its list and the pages of their URLs."""

    rows: list[Row]
    pages: list[Page]


def draw_source(kind: str, pairs: int, seed: int, testset_images: int = 0) -> MiniSource:
    """Return the rows and pages of the mini-source for `kind`, with `pairs` usable rows.

    `testset_images` is the number of images in each test set of this seed.
    Raises ValueError for an unknown kind, or for fewer than 20 pairs, which are too few for invalid rows of each cause.
    """
    if kind not in SOURCES:
        raise ValueError(f"kind: {kind!r} is not a source of the mini-web; choose one of {', '.join(SOURCES)}")
    if pairs < 20:
        raise ValueError(f"pairs: {pairs} is too few for a list with invalid rows; request 20 or more")
    page_stream, row_stream, _, planted_stream = _streams(kind, seed)
    repeats = count_of(UNUSUAL_ROWS[kind]["repeat"], pairs) if "repeat" in UNUSUAL_ROWS[kind] else 0
    pages = draw_pages(kind, pairs - repeats, page_stream)
    rows = draw_rows(kind, pages, pairs, row_stream)
    return MiniSource(rows, plant_duplicates(kind, pages, testset_images, seed, planted_stream))


def make_source(kind: str, pairs: int, seed: int, manifest: Path, testset_images: int = 0) -> None:
    """Draw a mini-source and write its list, its pages and, last, its manifest into the manifest's folder."""
    source = draw_source(kind, pairs, seed, testset_images)
    folder = manifest.parent
    shutil.rmtree(folder / "list", ignore_errors=True)
    files = write_list(kind, source.rows, folder / "list", _streams(kind, seed)[2])
    _write_pages(source.pages, folder / "pages.parquet")
    invalid = Counter(row.cause for row in source.rows if row.cause)
    content = {
        "kind": kind,
        "seed": seed,
        "pairs": pairs,
        "rows": len(source.rows),
        "traps": dict(sorted(invalid.items())),
        "behaviours": dict(sorted(Counter(page.behaviour for page in source.pages).items())),
        "planted": dict(sorted(Counter(page.change for page in source.pages if page.change).items())),
        "list": [record(path) | {"name": f"list/{path.name}"} for path in files],
        "pages": record(folder / "pages.parquet", rows=len(source.pages)),
    }
    write_json(manifest, content)


def _streams(kind: str, seed: int) -> list[numpy.random.Generator]:
    """Return separate streams for pages, rows, the format's own columns and near-duplicates.

    A change of one keeps the others.
    """
    sequence = numpy.random.SeedSequence([seed, list(SOURCES).index(kind)])
    return [numpy.random.default_rng(child) for child in sequence.spawn(4)]


def _write_pages(pages: list[Page], path: Path) -> None:
    table = pa.Table.from_pylist([asdict(page) for page in pages], schema=PAGES_SCHEMA)
    parquet.write_table(table, path, compression="zstd")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    params = snakemake.params
    make_source(
        params.kind, int(params.pairs), int(params.seed), Path(snakemake.output.manifest), int(params.testset_images)
    )
