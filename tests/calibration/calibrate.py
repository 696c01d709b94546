"""How often intervals cover the truth, and how often claims are decided, rightly and wrongly, in simulated experiments.

    uv run python tests/calibration/calibrate.py [--runs 0.1] [--only TEXT] [--output docs/calibration.csv]

A row per cell and claim: the share of runs with a wrong verdict and with a right one, by today's rules and, for claims that
were there, by the former ones (`bonferroni.py`) on the same data. Rows `interval …` have the share of 95 % intervals that
cover the truth.
"""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path[:0] = [str(Path(__file__).parents[2] / "workflow" / "scripts"), str(Path(__file__).parent)]

from bonferroni import FORMER_CLAIMS, former_verdicts  # noqa: E402
from cells import CLAIMS, Cell, all_cells  # noqa: E402
from worlds import REFERENCE, simulate  # noqa: E402

from testbed.statistics.claims import all_claims  # noqa: E402
from testbed.statistics.comparisons import fits_of  # noqa: E402
from testbed.statistics.settings import Settings  # noqa: E402
from testbed.statistics.tables import pair_with_reference  # noqa: E402

COLUMNS = ["cell", "claim", "runs", "wrong", "right", "former_wrong", "former_right"]


def run(cell: Cell, seed: int) -> Counter:
    """Counts of one run: of wrong and right verdicts, today's and the former ones, and of intervals that cover."""
    evaluations, joint = simulate(cell.world, np.random.default_rng([seed, len(cell.name)]))
    pairs = pair_with_reference(evaluations, REFERENCE)
    settings = Settings()
    named = [{"best": [cell.sources[0]], "shift": "shift_1"}]
    pools = [{"name": name, "kind": "source"} for name in cell.sources]
    for name, members, ensemble in cell.mixtures:
        # Mixtures of the same shares have the same ensemble, the first one.
        shares = dict.fromkeys(members, 1.0)
        pools.append({"name": name, "kind": "mixture", "members": shares})
        if ensemble:
            pools.append({"name": ensemble, "kind": "ensemble", "members": shares, "average": "logits"})
    shifts = [f"shift_{number}" for number in range(1, 1 + len(cell.world.lines[cell.sources[0]]))]
    for name, origin in cell.filters:
        pools.append(
            {"name": name, "kind": "filter", "of": origin} | ({"against": shifts} if name in cell.clean else {})
        )
    origins = dict(cell.filters)
    pools += [
        {"name": name, "kind": "filter", "of": origins[filtered], "control_of": filtered}
        for name, filtered in cell.controls
    ]
    counts = Counter()
    claims = {claim.name: claim for claim in all_claims(pairs, pools, named, settings, joint, REFERENCE)}
    former = former_verdicts(pairs, cell.sources, cell.mixtures, [(cell.sources[0], "shift_1")], cell.filters)
    for name in set(CLAIMS) & set(claims):
        for way, verdict in (("", claims[name].verdict), ("former_", former.get(name, "undecided"))):
            if verdict != "undecided":
                counts[name, f"{way}right" if verdict == cell.right.get(name) else f"{way}wrong"] += 1
    _count_intervals(cell, pairs, joint, pools, settings, counts)
    statistic = claims["mixing_dilutes"].statistic
    if cell.fraction is not None and statistic is not None:
        counts["interval of the fraction", "runs"] += 1
        counts["interval of the fraction", "right"] += statistic.low <= cell.fraction <= statistic.high
    return counts


def _count_intervals(cell, pairs, joint, pools, settings, counts) -> None:
    ensembles = [pool["name"] for pool in pools if pool["kind"] == "ensemble"]
    (fit,) = fits_of(pairs, settings, joint, REFERENCE, ensembles).values()
    one, other = cell.sources[:2]
    for number, shift in enumerate(sorted(fit.shifts)):
        x = fit.common_reference(shift, [one, other])
        if np.isnan(x):
            continue
        lines = [cell.world.lines[pool][number] for pool in (one, other)]
        truths = [
            lines[0][0] * x + lines[0][1] + cell.world.bend * x**2,
            (lines[0][0] - lines[1][0]) * x + lines[0][1] - lines[1][1],
            lines[0][0] - lines[1][0],
        ]
        estimates = [
            fit.height(shift, one, x),
            fit.height(shift, one, x) - fit.height(shift, other, x),
            fit.slope(shift, one) - fit.slope(shift, other),
        ]
        low, high = fit.uncertainty(estimates).interval(np.array([one.value for one in estimates]), 0.95)
        for name, truth, below, above in zip(("a line", "a difference", "slopes"), truths, low, high, strict=True):
            counts[f"interval of {name}", "runs"] += 1
            counts[f"interval of {name}", "right"] += bool(below <= truth <= above)


def calibrate(cells: list[Cell], share: float) -> pd.DataFrame:
    """The table of all `cells`, with `share` of their runs."""
    rows = []
    with ProcessPoolExecutor(max_workers=2) as workers:
        for cell in cells:
            start, runs = time.time(), max(2, round(share * cell.runs))
            total = sum(workers.map(partial(run, cell), range(runs), chunksize=5), Counter())
            for name in CLAIMS:
                row = [total[name, kind] / runs for kind in COLUMNS[3:]]
                if name not in FORMER_CLAIMS:
                    row[2:] = np.nan, np.nan
                if np.nansum(row) or name in cell.right:
                    rows.append([cell.name, name, runs, *row])
            for name in sorted({name for name, _ in total if name.startswith("interval")}):
                drawn = total[name, "runs"]
                covered = total[name, "right"] / drawn
                rows.append([cell.name, name, drawn, 1 - covered, covered, np.nan, np.nan])
            print(f"{cell.name}: {runs} runs, {time.time() - start:.0f} s", flush=True)
    return pd.DataFrame(rows, columns=COLUMNS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=float, default=1.0, help="share of the runs of each cell")
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--output", type=Path, help="CSV file for the table")
    given = parser.parse_args()
    table = calibrate([cell for cell in all_cells() if given.only in cell.name], given.runs)
    print(table.round(3).to_string(index=False))
    if given.output:
        table.round(4).to_csv(given.output, index=False)
