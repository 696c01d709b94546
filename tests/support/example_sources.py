"""A source of two small parts with their downloads, and what tests read from the shards that are made of them."""

import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from mini_parts import write_downloads, write_part
from shard_samples import Part, shard_samples

URLS = [[f"http://a.test/{part}/{number}.jpg" for number in range(25)] for part in range(2)]
MISSING = {URLS[0][3], URLS[0][24], *URLS[1][10:14]}


@dataclass
class Source:
    """Two parts of a list with their downloads, and the shards that are made of them."""

    folder: Path
    parts: list[Part] = field(default_factory=list)

    def add(self, urls: list[str], missing: set[str] = frozenset()) -> None:
        name = f"{len(self.parts):05d}"
        part = Part(self.folder / "shuffled" / f"{name}.parquet", self.folder / "downloads" / name)
        write_downloads(part.downloads, write_part(part.rows, urls), missing)
        self.parts.append(part)

    def shard(self, shard_size: int = 10, needed: int = 40, to: str = "shards", keep: bool = True) -> dict:
        (self.folder / to).mkdir(exist_ok=True)
        return shard_samples("mine", self.parts, self.folder / to, shard_size, needed, keep)

    def downloads(self) -> list[str]:
        """The images that are still there, as part/chunk."""
        return sorted(f"{path.parent.name}/{path.stem}" for path in self.folder.glob("downloads/*/*.tar"))


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def urls_in(folder: Path) -> list[list[str]]:
    """The urls of each shard in a folder, in order."""
    return [
        [json.loads(content)["url"] for name, content in members(path).items() if name.endswith(".json")]
        for path in sorted(folder.glob("*.tar"))
    ]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.glob("*.tar"))}
