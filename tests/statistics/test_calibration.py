"""The calibration runs, and its cells say what they mean."""

import numpy as np
import pandas as pd
import pytest
from bonferroni import former_verdicts
from calibrate import COLUMNS, calibrate
from cells import CLAIMS, all_cells
from worlds import CORRELATION, REFERENCE, World, simulate

from experiments import ROOT
from testbed.statistics.tables import pair_with_reference


def test_cells_have_names_of_their_own_and_known_claims():
    cells = all_cells()
    assert len({cell.name for cell in cells}) == len(cells) > 30
    assert {name for cell in cells for name in cell.right} <= set(CLAIMS)
    for cell in cells:
        pools = {*cell.sources, *(name for mixture in cell.mixtures for name in (mixture[0], *mixture[1], mixture[2]))}
        pools |= {name for pair in (*cell.filters, *cell.controls) for name in pair} | {*cell.clean}
        assert pools <= set(cell.world.lines) and {name for _, name in cell.controls} <= {
            name for name, _ in cell.filters
        }


def test_simulated_accuracies_are_those_of_the_lines():
    world = World({"a": [(0.9, -0.5)]}, {None: (600, 4800)}, images=200_000, trainset=0, seed=0, block=0)
    evaluations, joint = simulate(world, np.random.default_rng(0))
    pairs = pair_with_reference(evaluations, REFERENCE)
    x, y = (np.log(pairs[name] / (1 - pairs[name])) for name in ("reference_value", "value"))
    assert y.to_numpy() == pytest.approx(0.9 * x.to_numpy() - 0.5, abs=0.03)
    covariance = joint.covariance(REFERENCE, "all", evaluations[evaluations["testset"] == REFERENCE])
    correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    # Of correctness, which is less than that of difficulty.
    assert 0.15 < correlation < sum(CORRELATION)


def test_former_rules_find_clear_differences():
    lines = {"a": [(0.9, 0.5)], "b": [(0.9, -0.5)], "m": [(0.9, 0.0)], "e": [(0.9, 0.0)]}
    world = World(lines, {None: (600, 1200, 2400, 4800)}, images=50_000, trainset=0.01, seed=0.01, block=0)
    evaluations, _ = simulate(world, np.random.default_rng(1))
    pairs = pair_with_reference(evaluations, REFERENCE)
    verdicts = former_verdicts(pairs, ["a", "b"], [("m", ("a", "b"), "e")], [("a", "shift_1")])
    for name in ("sources_differ", "best_on_shift_1", "mixing_dilutes", "mixing_beats_the_worst"):
        assert verdicts[name] == "supported"


def test_the_committed_table_has_every_cell():
    table = pd.read_csv(ROOT / "docs" / "calibration.csv")
    assert table.columns.tolist() == COLUMNS
    assert [*table["cell"].unique()] == [cell.name for cell in all_cells()]


@pytest.mark.slow
def test_a_small_calibration_runs():
    cells = [cell for cell in all_cells() if cell.name.startswith("members 1 apart, mixtures at 0.5, 1 seeds")]
    table = calibrate(cells, 0.03)
    mixing = table[table["claim"].isin(["mixing_dilutes", "mixing_beats_the_worst"])]
    assert (mixing["right"] == 1).all() and (mixing["wrong"] == 0).all()
    assert {"interval of a difference", "interval of the fraction"} <= set(table["claim"])
