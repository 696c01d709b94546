"""The stages of an experiment in its plan, and what is expected of its sources."""

from pathlib import Path
from typing import NamedTuple

from testbed.records.manifest import ManifestError, read_json

HOUR = 3600


class Stage(NamedTuple):
    """The jobs of one rule: a text that describes the work, the products that show which jobs are done, and the total cost.

    `disk` (what remains) and `network` are in GB, `cpu` and `gpu` in core-hours and GPU-hours. They are None if a rate is
    missing in `costs`.
    """

    rule: str
    work: str
    products: list[str]
    disk: float = 0.0
    network: float = 0.0
    cpu: float | None = 0.0
    gpu: float | None = 0.0

    @property
    def done(self) -> int:
        return sum(Path(product).is_file() for product in self.products)

    @property
    def share_left(self) -> float:
        return 1 - self.done / len(self.products) if self.products else 0.0


class Length(NamedTuple):
    """The length of a list: its rows and, if they are counted, its usable pairs. The samples of tars may be estimated."""

    rows: int
    usable: int | None = None
    is_estimate: bool = False

    @property
    def pairs(self) -> int:
        """The maximum number of pairs that can be fetched."""
        return self.rows if self.usable is None else self.usable

    def __str__(self) -> str:
        if self.is_estimate:
            return f"about {self.rows:,} samples"
        return f"{self.rows:,} rows" if self.usable is None else f"{self.usable:,} usable pairs"


class Expected(NamedTuple):
    """The expected yield of a source: URLs to fetch, the share of them that gives an image, and the list's rows.

    `length` is the list's length if it was read from the list itself.
    """

    urls: int
    success: float
    rows: int
    length: Length | None = None

    @property
    def images(self) -> int:
        return round(self.urls * self.success)


def counted(source: str) -> Length | None:
    """Return the length of the list of `source`, or of its tars, if they have been read."""
    try:
        counts = read_json(f"results/metadata/{source}/counts.json")
        return Length(counts["rows"], counts["kept"])
    except ManifestError:
        return None
