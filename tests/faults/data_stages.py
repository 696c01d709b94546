"""Shuffle, download and shard as their rules do, skipping what has its manifest, as Snakemake does.

``python data_stages.py FOLDER OPTIONS``: FOLDER holds pairs.parquet, OPTIONS is a JSON file. It says which stage begins
(shuffle, download, shard) and when all is done, so that a test can kill it in the middle of one.
"""

import json
import sys
from pathlib import Path

from download_images import download_images
from shard_samples import Part, shard_samples
from shuffle_metadata import shuffle_pairs
from testbed.records.locks import locked
from testbed.records.manifest import write_json
from testbed.web.chunks import keep_from_updates


def say(stage: str) -> None:
    print(stage, flush=True)


def main(folder: Path, options: dict) -> None:
    keep_from_updates()
    # Before the first stage, so that the test kills work and not imports.
    import img2dataset  # noqa: F401

    shuffled, shards = folder / "shuffled", folder / "shards"
    if not (shuffled / "manifest.json").is_file():
        say("shuffle")
        content = shuffle_pairs(
            folder / "pairs.parquet", shuffled, "mine", options["samples"], options["part_size"], 1, seed=0
        )
        write_json(shuffled / "manifest.json", content)
    say("download")
    parts = [Part(rows, folder / "downloads" / rows.stem) for rows in sorted(shuffled.glob("*.parquet"))]
    for part in parts:
        if not (part.downloads / "manifest.json").is_file():
            with locked(part.downloads):
                content = download_images(part.rows, part.downloads, options["download"], [])
                write_json(part.downloads / "manifest.json", content)
    say("shard")
    with locked(shards):
        write_json(shards / "manifest.json", shard_samples("mine", parts, shards, options["shard_size"], 1))
    say("done")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
