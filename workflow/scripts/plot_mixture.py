"""Draw the trend of one mixture, filter or ensemble and those of the pools that it is made from, on each shift.

The trends are fitted here, so this figure needs only the models that it shows.

In:  the evaluations of the models of the pool and those it is made from, one CSV file per model with the columns of
     results/tables/evaluations.csv
Out: results/plots/mixtures/<mixture>.pdf, filters/<filter>.pdf or ensembles/<ensemble>.pdf, and .png
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from testbed.experiment.pools import ensembles_of, in_order, partner_of, testsets_in_order
from testbed.experiment.titles import title_of_pool
from testbed.figures.background import Background
from testbed.figures.layout import note_figure
from testbed.figures.panels import draw_panels
from testbed.figures.style import FigureError, make_series, mixture_label, save_figure
from testbed.records.log import log_to
from testbed.statistics.baselines import read_baselines
from testbed.statistics.intervals import INDEPENDENT, intervals_of
from testbed.statistics.joint_correct import JointCorrect, count_joint_correct
from testbed.statistics.settings import Settings
from testbed.statistics.tables import pair_with_reference, read_evaluations
from testbed.statistics.trends import fit_pool_trends

if TYPE_CHECKING:
    from snakemake.script import snakemake


def plot_mixture(
    evaluations: pd.DataFrame,
    pool: str,
    members: Mapping[str, float],
    reference: str,
    shifts: Sequence[str],
    settings: Settings,
    pools: Sequence[Mapping] | None = None,
    baselines: pd.DataFrame | None = None,
    joint: JointCorrect = INDEPENDENT,
) -> Figure:
    """The figure of the mixture, filter or ensemble `pool`, made from `members`, which are pools with their shares.

    `pools` are the experiment's, in order, each with `name` and `kind`. With them a pool has the same style as in the main
    figure, and a mixture is drawn with the ensemble of the same members and shares, an ensemble with the mixture. Without
    them, `pool` is a mixture; the members come first. The baseline's pool is drawn if it was evaluated, and the line of
    standard models if `baselines` (the table of `read_baselines`) is given. `joint` is how often models are right about the
    same image. Bands are narrower in the main figure, where more pools tell how much models vary.

    If all models of one are below `settings.minimum_reference`, the figure says so. Raises `FigureError` if the pool or a
    member has no evaluated model, and as `draw_panels` does.
    """
    pairs = pair_with_reference(evaluations, reference, settings.minimum_reference)
    if pools is None:
        pools = _pools_of(pool, members, settings.baseline_pool)
    known = {one["name"]: one for one in pools}
    kind = known[pool]["kind"] if pool in known else "mixture"
    for one in [*members, pool]:
        if one in set(evaluations["pool"]) - set(pairs["pool"]):
            return note_figure(f"{pool}: no model of {one} reaches statistics.minimum_reference.")
        if one not in set(pairs["pool"]):
            raise FigureError(f"{kind} {pool}: pool {one!r} has no evaluated model; evaluate one of its models")
        if one not in known:
            raise FigureError(f"{kind} {pool}: {one!r} is not a pool of the experiment; add it")
    partner = partner_of(known[pool] | {"members": members}, pools)
    pairs = pairs[pairs["pool"].isin([*members, pool, partner, settings.baseline_pool])]
    labels = {}
    if kind == "mixture":
        labels = {pool: mixture_label({title_of_pool(known[member]): share for member, share in members.items()})}
    series = make_series(pairs, pools, labels)
    intervals = intervals_of(pairs, settings, reference, joint, ensembles_of(pools))
    trends = fit_pool_trends(pairs, settings, intervals)
    combined = None if kind == "filter" else combine_lines(trends, pool, members)
    background = Background(baselines=baselines, combined=combined)
    return draw_panels(pairs, trends, series, reference, shifts, settings, intervals, background)


def combine_lines(trends: pd.DataFrame, mixture: str, members: Mapping[str, float]) -> pd.DataFrame:
    """The lines that `members` predict for `mixture`: the sum of theirs on the scale, weighted by the shares.

    Has a row per architecture, testset and classes for which all members and the mixture have a trend, with `slope`,
    `intercept`, and the mixture's `reference_min` and `reference_max`.
    """
    total = sum(members.values())
    rows = []
    for (architecture, testset, classes), own in trends.groupby(["architecture", "testset", "classes"], sort=False):
        lines = own.set_index("pool")
        if {mixture, *members} <= set(lines.index[lines["slope"].notna()]):
            slope, intercept = (
                sum(share / total * lines.loc[pool, part] for pool, share in members.items())
                for part in ("slope", "intercept")
            )
            limits = lines.loc[mixture, ["reference_min", "reference_max"]]
            rows.append([architecture, testset, classes, slope, intercept, *limits])
    columns = ["architecture", "testset", "classes", "slope", "intercept", "reference_min", "reference_max"]
    return pd.DataFrame(rows, columns=columns)


def _pools_of(mixture: str, members: Mapping[str, float], baseline: str | None) -> list[dict[str, str]]:
    kinds = {**dict.fromkeys(members, "source"), mixture: "mixture"}
    if baseline is not None:
        kinds[baseline] = "baseline"
    return [{"name": name, "kind": kind} for name, kind in kinds.items()]


if __name__ == "__main__":
    log_to(snakemake.log[0])
    # Each evaluation writes its predictions beside its metrics.
    predictions = [Path(table).with_name("predictions.parquet") for table in snakemake.params.evaluations]
    figure = plot_mixture(
        read_evaluations(snakemake.params.evaluations),
        snakemake.params.pool,
        snakemake.params.members,
        snakemake.params.reference,
        testsets_in_order(snakemake.params.shifts, snakemake.config),
        Settings(**snakemake.params.statistics),
        in_order(snakemake.params.pools, snakemake.config),
        read_baselines(snakemake.input.baselines),
        JointCorrect(count_joint_correct(predictions)),
    )
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
