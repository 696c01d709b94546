"""Draw the accuracy of every model on each shift against its accuracy on the reference, with the trend of every pool.

The main figure has the sources and the baseline. A second one has all pools. Those of single shifts have what the main one
has, and are as wide as a column of a two-column paper.

In:  results/tables/evaluations.csv, trends.csv and joint_correct.parquet, resources/baselines.csv, the metrics of
     published checkpoints and the table of public models
Out: results/plots/effective_robustness.pdf and .png, the same of all pools, and a PDF of each shift
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from testbed.experiment.pools import ensembles_of, in_order, testsets_in_order
from testbed.figures.background import Background
from testbed.figures.layout import COLUMN_WIDTH, WIDTH
from testbed.figures.panels import draw_panels
from testbed.figures.style import make_series, save_figure
from testbed.records.log import log_to
from testbed.statistics.baselines import read_baselines
from testbed.statistics.intervals import INDEPENDENT, intervals_of
from testbed.statistics.joint_correct import JointCorrect, read_joint_correct
from testbed.statistics.settings import Settings
from testbed.statistics.tables import pair_with_reference, read_evaluations
from testbed.statistics.trends import read_trends

if TYPE_CHECKING:
    from snakemake.script import snakemake

log = logging.getLogger(__name__)

KINDS = ("source", "mixture", "filter", "ensemble", "baseline")
"""The kinds of pools."""
MAIN = ("source", "baseline")
"""Those of the main figure."""


def plot_effective_robustness(
    evaluations: pd.DataFrame,
    trends: pd.DataFrame,
    reference: str,
    shifts: Sequence[str],
    pools: Sequence[Mapping],
    settings: Settings,
    published: pd.DataFrame | None = None,
    baselines: pd.DataFrame | None = None,
    models: pd.DataFrame | None = None,
    joint: JointCorrect = INDEPENDENT,
    kinds: Collection[str] = KINDS,
    total_width: float = WIDTH,
) -> Figure:
    """The figure with one panel per shift with those of `pools` (mappings with `name` and `kind`) that are of `kinds`.

    If none of these was evaluated, all pools are drawn. Intervals are from all pools in any case.

    `published` are evaluations of published checkpoints, and `models` public models (see `Background`). They are drawn
    behind the pools and are not part of a trend. `baselines` is the table of `read_baselines`, from which the baseline of
    `settings` is drawn. `joint` is how often models are right about the same image.

    Pools that were not evaluated, and evaluated pools that are not among `pools`, are left out and logged.
    Raises `EvaluationsError` and `FigureError` as `pair_with_reference`, `make_series` and `draw_panels` do.
    """
    draw = figures_of(evaluations, trends, reference, pools, settings, published, baselines, models, joint)
    return draw(shifts, kinds, total_width)


def figures_of(
    evaluations: pd.DataFrame,
    trends: pd.DataFrame,
    reference: str,
    pools: Sequence[Mapping],
    settings: Settings,
    published: pd.DataFrame | None = None,
    baselines: pd.DataFrame | None = None,
    models: pd.DataFrame | None = None,
    joint: JointCorrect = INDEPENDENT,
) -> Callable[..., Figure]:
    """A function of shifts, kinds and width that draws a figure as `plot_effective_robustness`; all share one fit."""
    pairs = pair_with_reference(evaluations, reference, settings.minimum_reference)
    _warn_differences(set(pairs["pool"]), [pool["name"] for pool in pools])
    published_pairs = None if published is None else pair_with_reference(published, reference)
    background = Background(published_pairs, models, baselines)
    intervals = intervals_of(pairs, settings, reference, joint, ensembles_of(pools))
    series = make_series(pairs, pools)

    def draw(shifts: Sequence[str], kinds: Collection[str] = KINDS, total_width: float = WIDTH) -> Figure:
        shown = [one for one in series if one.kind in kinds] or series
        return draw_panels(pairs, trends, shown, reference, shifts, settings, intervals, background, total_width)

    return draw


def _warn_differences(evaluated: set[str], named: list[str]) -> None:
    for pool in [name for name in named if name not in evaluated]:
        log.warning("pool %s: no model was evaluated, so it is not in the figure", pool)
    for pool in sorted(evaluated.difference(named)):
        log.warning("pool %s: was evaluated, but is not one of the figure's pools, so it is left out", pool)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    published, models = snakemake.input.get("published"), snakemake.input.get("models")
    draw = figures_of(
        read_evaluations(snakemake.input.evaluations),
        read_trends(snakemake.input.trends),
        snakemake.params.reference,
        pools=in_order(snakemake.params.pools, snakemake.config),
        settings=Settings(**snakemake.params.statistics),
        published=read_evaluations(published) if published else None,
        baselines=read_baselines(snakemake.input.baselines),
        models=pd.read_csv(models) if models else None,
        joint=read_joint_correct(snakemake.input.joint_correct),
    )
    shifts = testsets_in_order(snakemake.params.shifts, snakemake.config)
    save_figure(draw(shifts, kinds=MAIN), snakemake.output.pdf, snakemake.output.png)
    save_figure(draw(shifts), snakemake.output.all_pdf, snakemake.output.all_png)
    for shift, pdf in zip(snakemake.params.shifts, snakemake.output.shifts, strict=True):
        save_figure(draw([shift], kinds=MAIN, total_width=COLUMN_WIDTH), pdf)
