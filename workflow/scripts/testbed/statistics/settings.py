"""The settings of the statistics: the section `statistics` of an experiment."""

from dataclasses import dataclass

from testbed.statistics.baselines import STANDARD_BASELINES
from testbed.statistics.lines import BOOTSTRAP_SEED
from testbed.statistics.scales import SCALES

POOL_BASELINE = "pool:"
CLASSES = ("all", "shift")
INTERVALS = ("parts", "bootstrap")


class TrendError(ValueError):
    """A setting of the statistics is unknown, or a trend does not exist."""


@dataclass(frozen=True)
class Settings:
    """The experiment's `statistics`: scale, baseline, classes, confidences, bootstrap.

    `baseline` is one of `STANDARD_BASELINES`, `pool:<name>` or `none`. `intervals` says how intervals are computed (see
    `testbed.statistics.intervals`). `classes` defines the x axis of a panel for a shift with fewer classes than the
    reference: the accuracy on `all` classes, or on those of the `shift`. Pools are compared at the reference accuracy
    `compare_at` (fraction); 0 means the midpoint of the range that they share. Differences of up to `margin` (percentage
    points), and of up to `fraction_margin` of the distance between two pools, count as none. `point_confidence` is that of
    the interval of one accuracy, `line_confidence` that of slopes, intercepts, bands, effective robustness and comparisons.
    Scale, confidences and bootstrap are by default those of modestyachts/imagenet-testbed (Taori et al. 2020).
    """

    scale: str = "logit"
    baseline: str = "none"
    intervals: str = "parts"
    classes: str = "all"
    compare_at: float = 0.0
    minimum_reference: float = 0.0
    margin: float = 1.0
    fraction_margin: float = 0.25
    point_confidence: float = 0.995
    line_confidence: float = 0.95
    bootstrap: int = 1000
    bootstrap_seed: int = BOOTSTRAP_SEED

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise TrendError(f"statistics: scale {self.scale!r} is unknown; use one of {', '.join(SCALES)}")
        known = ["none", *STANDARD_BASELINES]
        if self.baseline not in known and not self.baseline_pool:
            raise TrendError(
                f"statistics: baseline {self.baseline!r} is unknown; use {', '.join(known)} or pool:<name of a pool>"
            )
        if self.classes not in CLASSES:
            raise TrendError(f"statistics: classes {self.classes!r} is unknown; use one of {', '.join(CLASSES)}")
        if self.intervals not in INTERVALS:
            raise TrendError(f"statistics: intervals {self.intervals!r} is unknown; use one of {', '.join(INTERVALS)}")

    @property
    def baseline_pool(self) -> str | None:
        """Name of the pool whose trend is the baseline, or None."""
        return self.baseline.removeprefix(POOL_BASELINE) if self.baseline.startswith(POOL_BASELINE) else None
