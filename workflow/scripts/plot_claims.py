"""Draw the claims as a forest plot: for each claim its verdict, and the comparisons that decide it, with intervals.

In:  results/claims.csv, results/tables/comparisons.csv and dilution.csv
Out: results/plots/claims.pdf and .png
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from testbed.experiment.pools import in_order
from testbed.experiment.titles import title_of, title_of_pool
from testbed.figures.layout import WIDTH
from testbed.figures.style import STYLE, FigureError, save_figure
from testbed.records.log import log_to
from testbed.statistics.comparisons import CONTRADICTED, FRACTION, GAIN, HEIGHT, SLOPE, SUPPORTED, UNDECIDED
from testbed.statistics.settings import Settings

if TYPE_CHECKING:
    from snakemake.script import snakemake

SHOWN = 6
"""Most comparisons of a claim that are drawn; the table has all."""

OF_EQUALITY = {
    *("sources_differ", "filtering_moves_the_line", "filtering_moves_models_along", "selection_moves_the_line"),
    "not_from_duplicates",
}
"""Claims whose verdict depends on the margin, which is drawn."""

# inches: a line of text, the space for labels and for numbers beside an axis, and around a claim
LINE, LABELS, NUMBERS, AXIS, GAP, TOP = 0.148, 2.75, 1.35, 0.33, 0.08, 0.1
LETTERS = 112
"""Letters of a statement in one line."""

COLOURS = {SUPPORTED: "#00714e", CONTRADICTED: "#b3261e", UNDECIDED: "#555555"}
MARKS = {SUPPORTED: "\u2713", CONTRADICTED: "\u2717", UNDECIDED: "?"}
UNITS = {
    HEIGHT: ("points of shifted accuracy at equal reference accuracy", 1),
    SLOPE: ("difference of slopes", 2),
    GAIN: ("points of reference accuracy at equal size", 1),
    FRACTION: ("from the worst member (0) to the best one (1)", 2),
}
APART = "mixture minus ensemble, fraction of the members' distance"


@dataclass(frozen=True)
class Row:
    """One line of the forest plot: a comparison's label, value and interval, and its verdict."""

    label: str
    value: float
    low: float
    high: float
    verdict: str
    together: bool = False


@dataclass(frozen=True)
class Panel:
    """One claim: its row in the table of claims, the comparisons that are drawn, what they are, and how many there are."""

    claim: pd.Series
    rows: tuple[Row, ...]
    unit: str
    digits: int
    marks: tuple[float, ...]
    band: float

    @property
    def statement(self) -> list[str]:
        """The lines of the claim's statement."""
        return wrap(self.claim["statement"], LETTERS)

    @property
    def height(self) -> float:
        """Height in inches."""
        axis = AXIS if self.rows else 0.0
        return (len(self.statement) + len(self.rows) + (0 if self.rows else 1)) * LINE + axis + GAP


def plot_claims(
    claims: pd.DataFrame,
    comparisons: pd.DataFrame,
    dilution: pd.DataFrame,
    pools: Sequence[Mapping],
    settings: Settings,
) -> Figure:
    """The forest plot of `claims` (see `check_claims`), with at most six comparisons of each.

    Of a claim of which any part is enough, these are the clearest comparisons; of one of which all parts must hold, the
    weakest. Claims about mixing have the fractions of each mixture and shift from the table `dilution`, and that of all
    together. Grey bands are margins within which pools count as equal. Raises `FigureError` without claims.
    """
    if claims.empty:
        raise FigureError("there is no claim to draw; run check_claims again")
    titles = {pool["name"]: title_of_pool(pool) for pool in pools}
    panels = [_panel(claim, comparisons, dilution, titles, settings) for _, claim in claims.iterrows()]
    height = TOP + sum(panel.height for panel in panels) + 3.2 * LINE
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height))
        top = height - TOP
        for panel in panels:
            _draw(figure, panel, top, height)
            top -= panel.height
        note = (
            f"Intervals at {100 * settings.line_confidence:g} %. Where one comparison is enough for a claim, they hold for "
            f"all of its comparisons together, and are wider.\n"
            f"Diamonds: all mixtures and shifts together. Grey bands: counts as equal."
        )
        style = {"fontsize": 6.5, "color": "#555555", "va": "center", "linespacing": 1.3}
        figure.text(0.08 / WIDTH, 1.1 * LINE / height, note, **style)
    return figure


def _panel(
    claim: pd.Series, comparisons: pd.DataFrame, dilution: pd.DataFrame, titles: Mapping[str, str], settings: Settings
) -> Panel:
    name = claim["claim"]
    own = comparisons[(comparisons["claim"] == name) & comparisons["difference_low"].notna()]
    measure = claim["measure"] if isinstance(claim["measure"], str) else HEIGHT
    own = own[own["measure"] == measure]
    unit, digits = UNITS[measure]
    if measure == FRACTION:
        together = [_row("all mixtures and shifts", row, True) for _, row in own.iterrows()]
        if name == "output_mixing_predicts":
            return Panel(claim, tuple(together), APART, digits, (0.0,), settings.fraction_margin)
        # Both claims about the fraction have one number: its parts are drawn once.
        single = _fractions(dilution, titles) if name == "mixing_dilutes" else []
        return Panel(claim, (*together, *single), unit, digits, (0.0, 1.0), 0.0)
    chosen = _chosen(name, own).head(SHOWN)
    if name == "sources_differ":
        chosen = _turned_up(chosen)
    if name == "no_best_source":
        unit = "points by which each source is beaten, at equal accuracy"
    equal = name in OF_EQUALITY
    rows = tuple(_row(_label(row, titles), row) for _, row in chosen.iterrows())
    return Panel(claim, rows, unit, digits, (0.0,), settings.margin if equal and measure != SLOPE else 0.0)


def _chosen(name: str, own: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of a claim in the order in which they tell most about it."""
    error = np.hypot(own["images_error"], own["models_error"])
    certainty = own["difference"] / error.where(error > 0)
    if name == "no_best_source":
        # Of each source what beats it most clearly.
        best = certainty.groupby(own["other"], sort=False).idxmax()
        return own.loc[best.dropna()].sort_values("difference_low")
    if name.startswith("best_on_"):
        return own.loc[certainty.sort_values().index]
    return own.loc[certainty.abs().sort_values(ascending=False).index].drop_duplicates(["pool", "other", "testset"])


def _turned_up(chosen: pd.DataFrame) -> pd.DataFrame:
    """The same comparisons with the higher pool first."""
    turned = chosen.rename(columns={"pool": "other", "other": "pool"})[chosen.columns]
    turned["difference"] = -chosen["difference"]
    turned["difference_low"], turned["difference_high"] = -chosen["difference_high"], -chosen["difference_low"]
    return chosen.where(chosen["difference"] >= 0, turned)


def _fractions(dilution: pd.DataFrame, titles: Mapping[str, str]) -> list[Row]:
    """The fractions of single mixtures and shifts whose interval is bounded, the surest first."""
    known = dilution[(dilution["classes"] == "all") & dilution["fraction_low"].notna()]
    width = known["fraction_high"] - known["fraction_low"]
    rows = known.loc[width.sort_values().index].head(SHOWN - 1)
    return [
        Row(
            f"{titles.get(row.mixture, row.mixture)}, {title_of(row.testset)}",
            *(row.fraction, row.fraction_low, row.fraction_high),
            SUPPORTED if row.fraction_low > 0 and row.fraction_high < 1 else UNDECIDED,
        )
        for row in rows.itertuples()
    ]


def _label(row: pd.Series, titles: Mapping[str, str]) -> str:
    one, other = (titles.get(row[name], row[name]) for name in ("pool", "other"))
    return f"{one} \u2212 {other}, {title_of(row['testset'])}"


def _row(label: str, row: pd.Series, together: bool = False) -> Row:
    return Row(label, *row[["difference", "difference_low", "difference_high"]], row["verdict"], together)


def _draw(figure: Figure, panel: Panel, top: float, height: float) -> None:
    verdict = panel.claim["verdict"]
    for number, line in enumerate(panel.statement):
        y = (top - (number + 0.5) * LINE) / height
        figure.text(0.3 / WIDTH, y, line, va="center", fontsize=7.5, fontweight="bold")
    first = (top - 0.5 * LINE) / height
    figure.text(0.08 / WIDTH, first, MARKS[verdict], va="center", fontsize=9, color=COLOURS[verdict], fontweight="bold")
    below = top - len(panel.statement) * LINE
    text = verdict
    if verdict == UNDECIDED and isinstance(panel.claim["lacks"], str) and panel.claim["lacks"]:
        text += f": needs {panel.claim['lacks']}"
    if not panel.rows:
        where = (below - 0.5 * LINE) / height
        figure.text(0.3 / WIDTH, where, f"{text} (nothing to compare)", va="center", color=COLOURS[verdict])
        return
    inches = len(panel.rows) * LINE
    width = WIDTH - LABELS - NUMBERS
    axes = figure.add_axes((LABELS / WIDTH, (below - inches) / height, width / WIDTH, inches / height))
    _draw_rows(axes, panel)
    for number, row in enumerate(panel.rows):
        y = (below - (number + 0.5) * LINE) / height
        weight = "bold" if row.together else "normal"
        figure.text((LABELS - 0.08) / WIDTH, y, row.label, va="center", ha="right", fontsize=6.8, fontweight=weight)
        numbers = f"{_signed(row.value, panel)} [{_signed(row.low, panel)}, {_signed(row.high, panel)}]"
        colour = COLOURS[row.verdict]
        figure.text((WIDTH - NUMBERS + 0.06) / WIDTH, y, numbers, va="center", fontsize=6.8, color=colour)
    wrapped = "\n".join(wrap(text, 44))
    where = (below - inches - 0.05) / height
    figure.text(0.3 / WIDTH, where, wrapped, va="top", fontsize=6.8, color=COLOURS[verdict], linespacing=1.3)


def _draw_rows(axes: Axes, panel: Panel) -> None:
    ends = [end for row in panel.rows for end in (row.low, row.high)] + list(panel.marks)
    low, high = min(*ends, -panel.band), max(*ends, panel.band)
    margin = 0.04 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(len(panel.rows) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="x", labelsize=6.2, length=2, pad=1.5)
    axes.set_xlabel(panel.unit, fontsize=6.2, labelpad=1)
    if panel.band:
        axes.axvspan(-panel.band, panel.band, color="#dddddd", linewidth=0, zorder=0)
    for mark in panel.marks:
        axes.axvline(mark, color="#333333", linewidth=0.8, linestyle=":" if mark else "-", zorder=1)
    for number, row in enumerate(panel.rows):
        style = {"color": COLOURS[row.verdict], "solid_capstyle": "butt"}
        axes.plot([row.low, row.high], [number, number], linewidth=2 if row.together else 1.2, zorder=2, **style)
        marker = "D" if row.together else "o"
        axes.plot([row.value], [number], marker=marker, markersize=4.2 if row.together else 3.4, zorder=3, **style)


def _signed(value: float, panel: Panel) -> str:
    sign = "" if panel.digits == 2 and len(panel.marks) == 2 else "+"
    text = f"{value:{sign}.{panel.digits}f}"
    # No sign of a number that is rounded to zero.
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "\u2212")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    figure = plot_claims(
        pd.read_csv(snakemake.input.claims),
        pd.read_csv(snakemake.input.comparisons),
        pd.read_csv(snakemake.input.dilution),
        in_order(snakemake.params.pools, snakemake.config),
        Settings(**snakemake.params.statistics),
    )
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
