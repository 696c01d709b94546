"""Index, shuffle and rewrite a source of tars as its rules do.

``python local_stages.py FOLDER TARS SHARD_SIZE``: FOLDER gets the products.
"""

import sys
from pathlib import Path

from local_runs import TarSource
from testbed.records.manifest import write_json


def main(folder: Path, tars: Path, shard_size: int) -> None:
    write_json(folder / "shards" / "manifest.json", TarSource(folder, tars, part_size=500).rewrite(shard_size))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
