"""The common style of all figures: a colour and marker per pool, readable names, legends, and saving."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from testbed.experiment.titles import title_of_pool
from testbed.statistics.settings import Settings

# Okabe and Ito's first six colours and six of Tol's "muted" colours: distinguishable with any colour vision
COLOURS = [
    *["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"],
    *["#332288", "#882255", "#117733", "#999933", "#AA4499", "#44AA99"],
]
PLAIN = "{x:,.15g}"
"""A number on an axis, without an exponent."""

# one marker more than colours, so that a repeated colour has another marker; the factors equalise their visible areas
MARKERS = dict(zip("os^DvP*Xh<p>d", [1, 0.85, 1.1, 0.7, 1.1, 1.4, 1.9, 1.15, 1.15, 1.1, 1.15, 1.1, 0.9], strict=True))
PAPER = ("yfcc", "laion", "cc12m", "redcaps", "wit", "shutterstock")
"""The paper's sources, and their counterparts in the demo, have the first colours and markers in every figure."""

BASELINE = "#1a1a1a"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,
}
AREAS = (15.0, 46.0)


class FigureError(ValueError):
    """The tables do not contain what a figure needs."""


@dataclass(frozen=True)
class Series:
    """One pool and architecture in a figure: its label, colour and marker."""

    pool: str
    architecture: str
    kind: str
    label: str
    colour: str
    marker: str

    @property
    def hollow(self) -> bool:
        """Whether markers are hollow: those of mixtures and ensembles."""
        return self.kind in ("mixture", "ensemble")

    @property
    def dashes(self) -> str | tuple[int, tuple[float, ...]]:
        """The line style for matplotlib: only sources have solid lines."""
        styles = {
            "mixture": (0, (5, 1.2)),
            "ensemble": (0, (5, 1.2, 1, 1.2)),
            "filter": (0, (7, 1.2, 1, 1.2, 1, 1.2)),
            "baseline": (0, (2.2, 1.2)),
        }
        return styles.get(self.kind, "-")

    def marker_style(self, area: float) -> dict[str, object]:
        """Keyword arguments for a line with this series' markers, each with an area of about `area` square points."""
        return {
            "marker": self.marker,
            "markersize": np.sqrt(area * MARKERS[self.marker]),
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markeredgecolor": self.colour if self.hollow else BASELINE if self.kind == "filter" else "white",
            "markeredgewidth": 1.0 if self.hollow else 0.7 if self.kind == "filter" else 0.4,
        }


def make_series(pairs: pd.DataFrame, pools: Sequence[Mapping], labels: Mapping[str, str] | None = None) -> list[Series]:
    """A series for every pool and architecture in `pairs` (see `pair_with_reference`), in the order of `pools`.

    `pools` are the experiment's, each with `name` and `kind` (`baseline`, `mixture`, `ensemble` and `filter` have their own
    styles). A pool keeps its colour and marker in all figures, also when a pool is added after it. `labels` replaces titles
    in the legend. Pools without a model in `pairs` have no series.

    Raises `FigureError` if none of `pools` was evaluated.
    """
    architectures = sorted(pairs["architecture"].unique())
    series = []
    styles = _styles(pools)
    for pool in pools:
        colour, first = styles[pool["name"]]
        present = pairs.loc[pairs["pool"] == pool["name"], "architecture"].unique()
        for architecture in sorted(present):
            marker = list(MARKERS)[(first + 6 * architectures.index(architecture)) % len(MARKERS)]
            label = (labels or {}).get(pool["name"], title_of_pool(pool))
            if pool["kind"] == "baseline":
                label += " (baseline)"
            if len(architectures) > 1:
                label += f", {architecture}"
            series.append(Series(pool["name"], architecture, pool["kind"], label, colour, marker))
    if not series:
        names = ", ".join(pool["name"] for pool in pools)
        raise FigureError(
            f"no model of the pools {names} was evaluated; evaluate one of them on the reference and a shift"
        )
    return series


def _styles(pools: Sequence[Mapping]) -> dict[str, tuple[str, int]]:
    """The colour and the place of the marker of each of `pools`.

    The paper's sources have fixed ones. Those of others follow from their names: another pool changes them only if it
    comes first and has the same.
    """
    others, markers = COLOURS[len(PAPER) :], len(MARKERS) - len(PAPER)
    styles: dict[str, tuple[str, int]] = {}
    for pool in pools:
        name = pool["name"]
        if pool["kind"] == "baseline":
            styles[name] = BASELINE, list(MARKERS).index("*")
        elif name.removeprefix("mini_") in PAPER:
            place = PAPER.index(name.removeprefix("mini_"))
            styles[name] = COLOURS[place], place
        else:
            number = crc32(name.encode())
            offered = [
                (others[(number + step) % len(others)], len(PAPER) + (number // len(others) + turn) % markers)
                for turn in range(markers)
                for step in range(len(others))
            ]
            used = [style for style in styles.values() if style[0] in others]
            colours = {colour for colour, _ in used} if len({colour for colour, _ in used}) < len(others) else set()
            free = [style for style in offered if style not in used and style[0] not in colours]
            styles[name] = free[0] if free else offered[0]
    return styles


def mixture_label(members: Mapping[str, float]) -> str:
    """The label of a mixture: `50 % a + 50 % b` for `{"a": 0.5, "b": 0.5}`. Shares are normalised to a sum of 1."""
    total = sum(members.values())
    return " + ".join(f"{100 * share / total:.3g} % {name}" for name, share in members.items())


def size_label(size: int) -> str:
    """A readable number of samples: 600, 4,800, 2.5M."""
    return f"{size / 1e6:.3g}M" if size >= 1e6 else f"{size:,}"


def marker_areas(sizes: Sequence[int]) -> dict[int, float]:
    """The marker area, in square points, for each training size: linear in the logarithm of the size."""
    sizes = sorted({int(size) for size in sizes})
    steps = np.log(sizes) - np.log(sizes[0])
    steps = steps / steps[-1] if len(sizes) > 1 else np.array([0.5])
    return {size: float(AREAS[0] + step * (AREAS[1] - AREAS[0])) for size, step in zip(sizes, steps, strict=True)}


def legend_entries(series: Sequence[Series], areas: Mapping[int, float], settings: Settings) -> list[Artist]:
    """The legend entries of all that a panel shows: pools, then lines, intervals and marker sizes."""
    middle = float(np.mean(list(areas.values())))
    pools = [
        Line2D(
            [], [], color=one.colour, linestyle=one.dashes, linewidth=1.3, label=one.label, **one.marker_style(middle)
        )
        for one in series
    ]
    band = f"{100 * settings.line_confidence:g} % interval of a line"
    bars = f"{100 * settings.point_confidence:g} % interval of a model"
    rules = [
        Line2D([], [], color="#555555", linewidth=0.9, linestyle=":", label="y = x"),
        Patch(facecolor="#999999", alpha=0.35, label=band),
        Line2D([], [], color="#555555", linewidth=0.8, marker="|", markersize=4, label=bars),
    ]
    shown = list(areas) if len(areas) <= 4 else [list(areas)[place] for place in (0, len(areas) // 2, -1)]
    dot = {"linestyle": "", "marker": "o", "color": "#777777", "markeredgecolor": "white"}
    sizes = [
        Line2D([], [], markersize=np.sqrt(areas[size]), label=f"{size_label(size)} training samples", **dot)
        for size in shown
    ]
    return [*pools, *rules, *sizes]


def save_figure(figure: Figure, pdf: Path | str, png: Path | str | None = None) -> None:
    """Write `figure` as PDF, with embedded fonts and without a date, and as PNG if asked. Equal figures give equal bytes."""
    # fontTools logs each table of each embedded font
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    with matplotlib.rc_context(STYLE):
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
        if png:
            figure.savefig(png, format="png", dpi=220)
