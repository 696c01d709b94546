"""See that captions have some of a filter's entries, as soon as their list is shuffled.

That none has is known here, and not after the download of images that the filter would drop.

In:  the list of entries, and the shuffled list of the source that the filter's samples are from
Out: a JSON file that says how many captions were looked through until one had an entry
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow import parquet

from testbed.entries import Matcher
from testbed.log import log_to
from testbed.manifest import read_json, write_json
from testbed.parts import read_part
from testbed.wordlists import no_match
from testbed.work import follow_parent

if TYPE_CHECKING:
    from snakemake.script import snakemake

BATCH = 20_000
"""Captions that are looked through at once."""


def check_entries(entries: Path, shuffled: Path) -> int:
    """How many captions of the shuffled list in the folder `shuffled` it takes to meet an entry of those in `entries`.

    Raises `EntryError` where no caption has any.
    """
    listed = read_json(entries / "manifest.json")["files"][0]
    matcher, captions = Matcher(read_part(entries, listed)["entry"].to_pylist()), 0
    for part in read_json(shuffled / "manifest.json")["parts"]:
        with parquet.ParquetFile(shuffled / part["name"]) as file:
            for batch in file.iter_batches(BATCH, columns=["caption"]):
                captions += len(batch)
                if len(matcher.match(batch["caption"])[1]):
                    return captions
    raise no_match(entries.name, listed["rows"], captions)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    follow_parent()
    entries, shuffled = (Path(path).parent for path in (snakemake.input.entries, snakemake.input.shuffled))
    captions = check_entries(entries, shuffled)
    logging.info("an entry is among the first %d captions", captions)
    write_json(snakemake.output.checked, {"captions": captions})
