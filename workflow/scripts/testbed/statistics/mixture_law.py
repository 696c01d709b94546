"""A law of mixtures: the dilution fraction as a function of the share of the better of two members.

Ye et al. 2024 (arXiv 2403.16952) fit a loss as an exponential function of the shares. Between two members whose lines are
known, both ends of that curve are known, 0 and 1, and one number is left, the curvature t:

    fraction(share) = (exp(t share) - 1) / (exp(t) - 1),    and share itself for t = 0.

A negative curvature means that a little of the better member helps more than its share.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from testbed.experiment.pools import Pool, shares_of

MOST = 20.0
"""Largest absolute curvature: at 20, one per cent of the better member would give a fraction of 0.18."""
LAW_KEY = ["architecture", "testset", "classes"]
LAW_COLUMNS = [
    *["better", "other", *LAW_KEY, "scale", "mixture", "share", "fraction", "fraction_low", "fraction_high"],
    *["n", "curvature", "expected", "held_out"],
]


def fraction_at(share: ArrayLike, curvature: float) -> NDArray[np.float64]:
    """The dilution fraction of mixtures with this `share` (n,) of the better member."""
    share = np.asarray(share, dtype=float)
    if abs(curvature) < 1e-6:
        return share
    return np.expm1(curvature * share) / np.expm1(curvature)


def fit_curvature(share: ArrayLike, fraction: ArrayLike, error: ArrayLike) -> float:
    """The curvature that fits the fractions (n,) best, by least squares weighted with their errors (n,); NaN without any."""
    share, fraction, error = (np.asarray(values, dtype=float) for values in (share, fraction, error))
    if not len(share):
        return np.nan

    def squares(curvature: float) -> float:
        return float(np.sum(((fraction - fraction_at(share, curvature)) / error) ** 2))

    # Several minima cannot be excluded: the search begins at the best of a grid.
    grid = np.linspace(-MOST, MOST, 81)
    middle = grid[np.argmin([squares(curvature) for curvature in grid])]
    step = grid[1] - grid[0]
    bounds = max(-MOST, middle - step), min(MOST, middle + step)
    return float(minimize_scalar(squares, bounds=bounds, method="bounded", options={"xatol": 1e-8}).x)


def fit_mixture_law(dilution: pd.DataFrame, pools: list[Pool]) -> pd.DataFrame:
    """One row of `LAW_COLUMNS` per mixture of two pools, architecture, shift and classes, with its fraction.

    `dilution` is the table of dilution, and `pools` are the experiment's. The `better` of two pools is the one that is
    better for most of their mixtures; `share` is its share, and `fraction` runs from the `other` (0) to it (1). `curvature`
    is fitted to all `n` mixtures of the two whose fraction has an interval, and `expected` is what it gives. `held_out` is
    the fraction that the law expects if it is fitted to the other mixtures only: a prediction, to be compared with the
    interval of `fraction`. Values that need more mixtures are NaN.
    """
    pairs = {pool["name"]: shares_of(pool) for pool in pools if pool["kind"] == "mixture" and len(pool["members"]) == 2}
    rows = dilution[dilution["mixture"].isin(pairs)].copy()
    rows["members"] = [tuple(pairs[mixture]) for mixture in rows["mixture"]]
    found = []
    for (members, *key), own in rows.groupby(["members", *LAW_KEY], sort=False):
        found += _law_of(members, dict(zip(LAW_KEY, key, strict=True)), own, pairs)
    return pd.DataFrame(found, columns=LAW_COLUMNS)


def _law_of(members: tuple[str, str], key: dict, own: pd.DataFrame, shares: dict[str, dict[str, float]]) -> list[dict]:
    counts = own["best"].value_counts()
    better = max(members, key=lambda member: counts.get(member, 0))
    (other,) = (member for member in members if member != better)
    swapped = (own["best"] == other).to_numpy()
    low, high = own["fraction_low"].to_numpy(float), own["fraction_high"].to_numpy(float)
    fraction = np.where(swapped, 1 - own["fraction"], own["fraction"]).astype(float)
    low, high = np.where(swapped, 1 - high, low), np.where(swapped, 1 - low, high)
    share = np.array([shares[mixture][better] for mixture in own["mixture"]])
    error = (high - low) / 2
    known = np.isfinite(fraction) & np.isfinite(error)
    curvature = fit_curvature(share[known], fraction[known], error[known])
    rows = []
    for place, mixture in enumerate(own["mixture"]):
        others = known & (np.arange(len(own)) != place)
        held_out = fit_curvature(share[others], fraction[others], error[others])
        values = {
            "share": share[place],
            "fraction": fraction[place],
            "fraction_low": low[place],
            "fraction_high": high[place],
            "n": int(known.sum()),
            "curvature": curvature,
            "expected": float(fraction_at(share[place], curvature)),
            "held_out": float(fraction_at(share[place], held_out)),
        }
        scale = own["scale"].iloc[place]
        rows.append({"better": better, "other": other, **key, "scale": scale, "mixture": mixture, **values})
    return sorted(rows, key=lambda row: row["share"])
