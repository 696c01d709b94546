"""The chain of a source of tars without Snakemake: indexed, collected, shuffled and rewritten."""

from dataclasses import dataclass, replace
from pathlib import Path

from pyarrow import parquet

from collect_index import collect_index
from index_files import index_files
from index_shards import index_shards
from link_shards import link_shards
from rewrite_shards import rewrite_shards
from shuffle_metadata import shuffle_pairs
from testbed.local.files import describe_files, describe_tars, find_tars, group_names, short_names
from testbed.local.images import Storage
from testbed.local.reading import located
from testbed.records.manifest import write_json

STORAGE = Storage(image_size=256, quality=95, rotate=True, minimum_size=0, max_bytes=20_000_000, max_pixels=50_000_000)


FILE_OPTIONS = {"image": "path", "caption": "text", "url": "url"}


@dataclass(frozen=True)
class TarSource:
    """A source of the tars at `tars`, whose products lie below `folder`."""

    folder: Path
    tars: Path
    verify: str = "all"
    storage: Storage = STORAGE
    part_size: int = 70

    def with_(self, **changes) -> "TarSource":
        return replace(self, **changes)

    def index(self, needed: int = 0) -> dict:
        """The counts of the collected index."""
        return collect_index("mine", self.index_groups(), self.folder / "pairs.parquet", needed)

    def index_groups(self) -> list[Path]:
        """The folders of the indexed groups."""
        tars = find_tars(self.tars)
        folders = []
        for group in group_names(tars):
            folders.append(self.folder / "indexed" / group)
            folders[-1].mkdir(parents=True, exist_ok=True)
            manifest = index_shards(
                describe_tars(short_names(tars), group),
                folders[-1],
                {"url": "url", "verify": self.verify},
                self.storage,
            )
            write_json(folders[-1] / "manifest.json", manifest)
        return folders

    def shuffle(self) -> dict:
        counts = self.index()
        self.take(None)
        return counts

    def take(self, samples: int | None) -> None:
        """Write the first `samples` of the indexed ones, or all, as the shuffled list."""
        pairs = self.folder / "pairs.parquet"
        manifest = shuffle_pairs(pairs, self.shuffled, "mine", samples, self.part_size, 0, seed=0)
        write_json(self.shuffled / "manifest.json", manifest)

    def rewrite(self, shard_size: int = 30, needed: int = 0, to: str = "shards", counts: dict | None = None) -> dict:
        """The manifest of the shards. `counts` are those of `shuffle`, which is called where they are not given."""
        tars = located(counts or self.shuffle())
        (self.folder / to).mkdir(exist_ok=True)
        return rewrite_shards("mine", self.shuffled, tars, self.folder / to, shard_size, needed, self.storage)

    def link(self, needed: int = 0, to: str = "linked", seed: int = 0, most: int | None = None) -> dict:
        """The manifest of the tars as they are."""
        tars = located(self.index())
        (self.folder / to).mkdir(exist_ok=True)
        manifest = link_shards("mine", self.folder / "pairs.parquet", tars, self.folder / to, seed, needed, most)
        write_json(self.folder / to / "manifest.json", manifest)
        return manifest

    @property
    def shuffled(self) -> Path:
        return self.folder / "shuffled"

    def order(self) -> list[str]:
        """The uids of the shuffled list."""
        parts = sorted(self.shuffled.glob("*.parquet"))
        return [uid for part in parts for uid in parquet.read_table(part)["uid"].to_pylist()]


class FileSource(TarSource):
    """A source of the folder of images, or the list of local paths, at `tars`."""

    def index_groups(self) -> list[Path]:
        options = FILE_OPTIONS | {"verify": self.verify}
        folder = self.folder / "indexed" / "00000"
        folder.mkdir(parents=True, exist_ok=True)
        found = describe_files(self.tars, options)
        write_json(folder / "manifest.json", index_files(self.tars, found, folder, options, self.storage))
        return [folder]
