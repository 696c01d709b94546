"""Draw one mixture's trend and those of its members, on each shift.

The trends are fitted here, so this figure needs only the models that it shows.

In:  the evaluations of the models of the mixture and its members, one CSV file per model with the columns of
     results/tables/evaluations.csv
Out: results/plots/mixtures/<mixture>.pdf and .png
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from testbed.experiment.pools import ensemble_of, in_order, testsets_in_order
from testbed.figures.background import Background
from testbed.figures.panels import draw_panels
from testbed.figures.style import FigureError, make_series, mixture_label, save_figure
from testbed.records.log import log_to
from testbed.statistics.baselines import read_baselines
from testbed.statistics.tables import pair_with_reference, read_evaluations
from testbed.statistics.trends import Settings, fit_pool_trends

if TYPE_CHECKING:
    from snakemake.script import snakemake


def plot_mixture(
    evaluations: pd.DataFrame,
    mixture: str,
    members: Mapping[str, float],
    reference: str,
    shifts: Sequence[str],
    settings: Settings,
    pools: Sequence[Mapping] | None = None,
    baselines: pd.DataFrame | None = None,
) -> Figure:
    """The figure of `mixture`, whose `members` are pools with their shares.

    `pools` are the experiment's, in order, each with `name` and `kind`. With them a pool has the same style as in the main
    figure, and the ensemble of the same members with the same shares is drawn too. Without them, the members come first,
    then the mixture. The baseline's pool is drawn if it was evaluated, and the line of standard models if `baselines` (the
    table of `read_baselines`) is given.

    Raises `FigureError` if the mixture or a member has no evaluated model, and as `draw_panels` does.
    """
    pairs = pair_with_reference(evaluations, reference)
    shown = [*members, mixture]
    for pool in shown:
        if pool not in set(pairs["pool"]):
            raise FigureError(f"mixture {mixture}: pool {pool!r} has no evaluated model; evaluate one of its models")
        if pools is not None and pool not in [known["name"] for known in pools]:
            raise FigureError(f"mixture {mixture}: {pool!r} is not a pool of the experiment; add it")
    if pools is None:
        pools = _pools_of(mixture, members, settings.baseline_pool)
    ensemble = ensemble_of({"members": members}, pools)
    pairs = pairs[pairs["pool"].isin([*shown, ensemble, settings.baseline_pool])]
    series = make_series(pairs, pools, {mixture: mixture_label(members)})
    trends = fit_pool_trends(pairs, settings)
    background = Background(baselines=baselines, combined=combine_lines(trends, mixture, members))
    return draw_panels(pairs, trends, series, reference, shifts, settings, background)


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
    figure = plot_mixture(
        read_evaluations(snakemake.params.evaluations),
        snakemake.params.mixture,
        snakemake.params.members,
        snakemake.params.reference,
        testsets_in_order(snakemake.params.shifts, snakemake.config),
        Settings(**snakemake.params.statistics),
        in_order(snakemake.params.pools, snakemake.config),
        read_baselines(snakemake.input.baselines),
    )
    save_figure(figure, snakemake.output.pdf, snakemake.output.png)
