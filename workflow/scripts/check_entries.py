"""Check that captions contain some of a filter's entries, as soon as the list of their source is prepared.

This check fails before the download of images that the filter would drop. If the source's list and the lists of entries
exist before a run begins, `expect_match` fails even before the run.

The check searches all captions of the list. If only captions outside of the source's `samples` contain an entry,
count_entries fails later.

In:  the list of entries, and the pairs of the source that the filter's samples are from
Out: a JSON file with the number of captions searched until one contained an entry
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
from testbed.filtering.entry_lists import build_list, no_match_error, read_usable_entries
from testbed.filtering.matching import Matcher
from testbed.lists.pairs import LONGEST_CAPTION
from testbed.lists.released import find_list
from testbed.lists.released_batches import map_batches
from testbed.lists.validation import validate_batch
from testbed.records.log import log_to
from testbed.records.manifest import read_json, write_json
from testbed.records.parts import read_part
from testbed.records.processes import terminate_with_parent

if TYPE_CHECKING:
    from snakemake.script import snakemake

BATCH = 20_000
"""Captions that are searched together, and entries that are searched for first."""

EARLY = 1_000_000
"""Captions that are searched before a run. If none of them contains an entry and there are more, the job searches all."""


def check_entries(entries: Path, pairs: Path) -> int:
    """Number of captions in the file `pairs` searched until one contains an entry of the folder `entries`.

    Raises `EntryError` if no caption contains any.
    """
    listed = read_json(entries / "manifest.json")["files"][0]
    with parquet.ParquetFile(pairs) as file:
        captions = (batch["caption"] for batch in file.iter_batches(BATCH, columns=["caption"]))
        return count_until_match(entries.name, read_part(entries, listed)["entry"].to_pylist(), captions)


def expect_match(
    filter: str,
    lists: list[dict],
    path: str,
    format: str,
    columns: dict[str, str],
    private_networks: Iterable[str] = (),
    join: str | None = None,
) -> None:
    """Raise `EntryError` if no usable caption of a released list contains any entry of `lists`.

    The first captions usually contain one of the first entries; otherwise all entries and more captions are read. A list
    with more than `EARLY` captions passes if none of the first ones contains an entry.
    """
    first_entries = set(islice(chain.from_iterable(map(read_usable_entries, lists)), BATCH))
    released = partial(released_captions, path, format, columns, private_networks, join)
    captions = next(released(), None)
    # Another check reports a list without usable rows.
    if captions is None or len(Matcher(sorted(first_entries)).match(captions)[1]):
        return
    entries, _ = build_list(lists)
    count_possible(filter, entries)
    logging.info("filter %s: searching the captions of %s for its entries", filter, path)
    count_until_match(filter, entries, released(), EARLY)


def released_captions(
    path: str, format: str, columns: dict[str, str], private_networks: Iterable[str], join: str | None
) -> Iterator[pa.Array]:
    """The captions of a released list's usable rows, in batches; raises `ListError` if the list cannot be read."""
    resolved, files = find_list(path, format, columns, join)
    networks = [ipaddress.ip_network(network) for network in private_networks]
    validate = partial(validate_batch, format=resolved, longest=LONGEST_CAPTION, private_networks=networks)
    for _, (_, (_, _, captions, *_), _) in map_batches(validate, files, resolved):
        yield captions


def count_until_match(filter: str, entries: list[str], batches: Iterable[pa.Array], limit: float = inf) -> int:
    """Number of captions searched until one contains an entry, or until `limit` is reached.

    Raises `EntryError` if the captions end before `limit` and none contains an entry.
    """
    matcher, searched = Matcher(entries), 0
    for captions in batches:
        searched += len(captions)
        if searched >= limit or len(matcher.match(captions)[1]):
            return searched
    if searched:
        raise no_match_error(filter, len(entries), searched)
    return searched


if __name__ == "__main__":
    log_to(snakemake.log[0])
    terminate_with_parent()
    captions = check_entries(Path(snakemake.input.entries).parent, Path(snakemake.input.pairs))
    logging.info("one of the first %d captions contains an entry", captions)
    write_json(snakemake.output.checked, {"captions": captions})
