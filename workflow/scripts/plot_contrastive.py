"""Draw the errors of linear contrastive models with and without a teacher's filter: simulations and leading terms.

In:  results/tables/contrastive.csv and contrastive_rates.csv (see simulate_contrastive.py)
Out: results/plots/contrastive.pdf and .png
"""

from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.figures.layout import lettered_grid
from testbed.figures.style import COLOURS, STYLE, save_figure
from testbed.records.log import log_to
from testbed.theory.contrastive import Pairs, leading_error

if TYPE_CHECKING:
    from snakemake.script import snakemake

HEADLINE = "Linear contrastive learning on partly mismatched pairs, in the model of Pareek, Oh and Du (2025)"
GREY, DASHED, DOTTED = "#555555", (0, (4, 1.4)), (0, (1, 1.3))
STYLES = {
    "unfiltered": {"color": COLOURS[1], "marker": "s", "linestyle": DASHED},
    "filtered": {"color": COLOURS[0], "marker": "o", "linestyle": "-"},
}
# clean fractions in the panels of errors over samples: all pairs clean, and few
SHOWN = (1, 1 / 16)
STATED = {-1.0: "1/η", -0.5: "1/√η", 0.0: "constant"}
CURVE = np.geomspace(1e-3, 1, 121)


def plot_contrastive(table: pd.DataFrame, rates: pd.DataFrame) -> Figure:
    """The figure for the tables of `simulate_contrastive`: a row of three panels for each precision of the noise."""
    precisions = list(table["precision"].unique())
    titles = [
        title
        for precision in precisions
        for title in (f"γ = {precision:,g}: over samples", "over the clean fraction", "exponent of η")
    ]
    threshold = float(table["threshold"].dropna().iloc[0])
    with matplotlib.rc_context(STYLE):
        figure, panels = lettered_grid(HEADLINE, titles, 3, _legend(), 3)
        for row, precision in enumerate(precisions):
            own = table[table["precision"] == precision]
            left, middle, right = panels[3 * row : 3 * row + 3]
            _draw_samples(left, own, precision, threshold)
            _draw_fractions(middle, own, precision, threshold)
            _draw_exponents(right, rates[rates["precision"] == precision], precision, threshold)
    return figure


def _legend() -> list[Line2D]:
    entries = [Line2D([], [], label=name, linewidth=1.2, markersize=4, **style) for name, style in STYLES.items()]
    hollow = {"color": GREY, "linestyle": "", "marker": "o", "markerfacecolor": "white"}
    return [
        *entries,
        Line2D([], [], color=GREY, linestyle="", marker="o", markersize=4, label="simulated"),
        Line2D([], [], markersize=4, label="simulated, too few samples for the rates", **hollow),
        Line2D([], [], color=GREY, linewidth=1.2, label="leading term"),
        Line2D([], [], color=GREY, linewidth=0.9, linestyle=DOTTED, label="rates as stated (c, f)"),
    ]


def _theory(precision: float, clean: float, samples: float, method: str, threshold: float) -> float:
    return leading_error(Pairs(precision), clean, samples, threshold if method == "filtered" else None)


def _simulated(axes: Axes, rows: pd.DataFrame, over: str, method: str) -> None:
    """Draw simulated errors, with hollow markers if there are too few samples."""
    style = {**STYLES[method], "linestyle": "", "markersize": 4, "zorder": 3}
    for enough, own in rows.groupby("enough_samples"):
        face = {} if enough else {"markerfacecolor": "white"}
        axes.plot(own[over], own["error"], **style, **face)


def _draw_samples(axes: Axes, table: pd.DataFrame, precision: float, threshold: float) -> None:
    sizes = np.array(sorted(table["samples"].unique()))
    for clean in SHOWN:
        for method, style in STYLES.items():
            rows = table[(table["clean_fraction"] == clean) & (table["method"] == method)]
            line = [_theory(precision, clean, size, method, threshold) for size in sizes]
            axes.plot(sizes, line, linewidth=1.2, **{**style, "marker": ""})
            _simulated(axes, rows, "samples", method)
    for clean in SHOWN:
        ends = [_theory(precision, clean, sizes[-1], method, threshold) for method in STYLES]
        label = "η = 1" if clean == 1 else f"η = 1/{1 / clean:g}"
        axes.annotate(
            label, (sizes[-1], np.sqrt(np.prod(ends))), (6, 0), textcoords="offset points", va="center", fontsize=6.5
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.7 * sizes[0], 7 * sizes[-1])
    axes.set_xticks([1e4, 1e5])
    axes.set_xlabel("samples n")
    axes.set_ylabel("error", labelpad=1)


def _draw_fractions(axes: Axes, table: pd.DataFrame, precision: float, threshold: float) -> None:
    samples = table["samples"].max()
    for method, style in STYLES.items():
        line = [_theory(precision, clean, samples, method, threshold) for clean in CURVE]
        axes.plot(CURVE, line, linewidth=1.2, **{**style, "marker": ""})
        _simulated(axes, table[(table["samples"] == samples) & (table["method"] == method)], "clean_fraction", method)
    errors = table.loc[table["samples"] == samples, "error"]
    axes.set_yscale("log")
    axes.set_ylim(0.5 * errors.min(), 3 * errors.max())
    axes.set_ylabel(f"error at n = {samples:,}", labelpad=1)
    _fraction_axis(axes, 0.02)


def _draw_exponents(axes: Axes, rates: pd.DataFrame, precision: float, threshold: float) -> None:
    local = rates[rates["stated"].isna() & (rates["variable"] == "clean_fraction")]
    for method, style in STYLES.items():
        line = np.log([_theory(precision, clean, 1, method, threshold) for clean in CURVE])
        axes.plot(CURVE, np.gradient(line, np.log(CURVE)), linewidth=1.2, **{**style, "marker": ""})
        rows = local[local["method"] == method]
        middle = np.sqrt(rows["variable_min"] * rows["variable_max"])
        bars = (rows["exponent"] - rows["exponent_low"], rows["exponent_high"] - rows["exponent"])
        axes.errorbar(middle, rows["exponent"], yerr=bars, linewidth=0.8, **{**style, "linestyle": "", "markersize": 4})
    for exponent, label in STATED.items():
        axes.axhline(exponent, color=GREY, linestyle=DOTTED, linewidth=0.9, zorder=1)
        axes.text(0.0011, exponent + 0.02, label, color=GREY, fontsize=6.5, va="bottom")
    axes.set_ylim(-1.4, 0.2)
    axes.set_yticks([-1, -0.5, 0], ["−1", "−½", "0"])
    axes.set_ylabel("local exponent", labelpad=3)
    _fraction_axis(axes, 1e-3)


def _fraction_axis(axes: Axes, low: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(low, 1.25)
    axes.set_xlabel("clean fraction η")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    figure = plot_contrastive(pd.read_csv(snakemake.input.errors), pd.read_csv(snakemake.input.rates))
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
