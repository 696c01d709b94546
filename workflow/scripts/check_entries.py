"""See that captions have some of a filter's entries, as soon as the list of their source is prepared.

That none has is known here, and not after the download of images that the filter would drop. Where the source's list and
those of entries are there before a run begins, `expect_match` says so before any work.

All captions of the list are looked through. Where only some that are not among the source's `samples` have an entry,
count_entries says so.

In:  the list of entries, and the pairs of the source that the filter's samples are from
Out: a JSON file that says how many captions were looked through until one had an entry
"""

import ipaddress
import logging
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from build_entries import count_possible
from testbed.filtering.entry_lists import build_list, no_match, usable_entries
from testbed.filtering.matching import Matcher
from testbed.lists.list_files import find_files
from testbed.lists.pairs import LONGEST_CAPTION
from testbed.lists.released import resolve_format
from testbed.lists.released_batches import map_batches
from testbed.lists.validation import validate_batch
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import read_part
from testbed.records.processes import terminate_with_parent

if TYPE_CHECKING:
    from snakemake.script import snakemake

BATCH = 20_000
"""Captions that are looked through at once, and entries that are looked for first."""

EARLY = 1_000_000
"""Captions that are looked through before a run; where none of so many has an entry and there are more, the job sees."""


def check_entries(entries: Path, pairs: Path) -> int:
    """How many captions of the file `pairs` it takes to meet an entry of those in the folder `entries`.

    Raises `EntryError` where no caption has any.
    """
    listed = read_json(entries / "manifest.json")["files"][0]
    with parquet.ParquetFile(pairs) as file:
        captions = (batch["caption"] for batch in file.iter_batches(BATCH, columns=["caption"]))
        return meet_entry(entries.name, read_part(entries, listed)["entry"].to_pylist(), captions)


def expect_match(
    filter: str,
    lists: list[dict],
    path: str,
    format: str,
    columns: dict[str, str],
    private_networks: Iterable[str] = (),
) -> None:
    """Raise `EntryError` where none of the entries of `lists` is in any usable caption of a released list.

    Mostly one of the first entries is in one of the first captions; more are read where it is not. Of a list of more than
    `EARLY` captions nothing is said where none of the first has an entry.
    """
    few = set(islice(chain.from_iterable(map(usable_entries, lists)), BATCH))
    released = partial(released_captions, path, format, columns, private_networks)
    first = next(released(), None)
    # A list without usable rows is reported with the list.
    if first is None or len(Matcher(sorted(few)).match(first)[1]):
        return
    entries, _ = build_list(lists)
    count_possible(filter, entries)
    logging.info("filter %s: looking through the captions of %s for its entries", filter, path)
    meet_entry(filter, entries, released(), EARLY)


def released_captions(
    path: str, format: str, columns: dict[str, str], private_networks: Iterable[str]
) -> Iterator[pa.Array]:
    """The captions of the usable rows of a released list, in batches; raises `ListError` where it cannot be read."""
    resolved = resolve_format(format, columns)
    networks = [ipaddress.ip_network(network) for network in private_networks]
    judge = partial(validate_batch, format=resolved, longest=LONGEST_CAPTION, private_networks=networks)
    for _, (_, (_, _, captions), _) in map_batches(judge, find_files(path, resolved.container), resolved, {}):
        yield captions


def meet_entry(filter: str, entries: list[str], batches: Iterable[pa.Array], most: float = inf) -> int:
    """How many captions are looked through until one has an entry, or about `most`.

    Raises `EntryError` where there are captions, fewer than that, and none has.
    """
    matcher, looked = Matcher(entries), 0
    for captions in batches:
        looked += len(captions)
        if looked >= most or len(matcher.match(captions)[1]):
            return looked
    if looked:
        raise no_match(filter, len(entries), looked)
    return looked


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    captions = check_entries(Path(snakemake.input.entries).parent, Path(snakemake.input.pairs))
    logging.info("an entry is among the first %d captions", captions)
    write_json(snakemake.output.checked, {"captions": captions})
