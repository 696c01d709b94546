"""Train linear contrastive models on partly mismatched pairs, with and without a teacher's filter, and fit the rates.

Out: results/tables/contrastive.csv, the error and its leading term for each precision of the noise, clean fraction, number
     of samples and method; contrastive_rates.csv, the fitted exponents and those that Pareek, Oh and Du 2025 state.
     testbed.theory.contrastive describes the model
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from testbed.records.log import log_to
from testbed.theory.contrastive import Pairs, leading_error, learn, learn_filtered, with_best_threshold

if TYPE_CHECKING:
    from snakemake.script import snakemake

log = logging.getLogger(__name__)

# the noise in the experiment of Pareek, Oh and Du, and noise as strong as the signal
PRECISIONS = (1e4, 1.0)
CLEAN = (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
SIZES = (2**12, 2**14, 2**16, 2**18)
REPEATS = 16
# the statements hold above a number of samples with an unknown constant; exponents are fitted to more than this multiple
MARGIN = 16
# limits of "large" and "small" clean fractions; Pareek, Oh and Du see a transition near 1 / r^2 = 1 / 16
LARGE, SMALL = 1 / 4, 1 / 8
# the mean score of mismatched pairs, as in the experiment of Pareek, Oh and Du
THRESHOLD = 0.0
# for all statements together; Bonferroni's correction gives the confidence of each interval
CONFIDENCE = 0.95
KEY = ["precision", "clean_fraction", "samples", "method"]


@dataclass(frozen=True)
class Rate:
    """The exponent of `variable`, from `low` to `high`, in the error of `method`, as Pareek, Oh and Du 2025 state it.

    `stated` is NaN if they state none, as for exponents between neighbouring clean fractions.
    """

    method: str
    variable: str
    low: float
    high: float
    stated: float


STATEMENTS = (
    Rate("unfiltered", "samples", 0, np.inf, -0.5),
    Rate("filtered", "samples", 0, np.inf, -0.5),
    Rate("unfiltered", "clean_fraction", 0, 1, -1.0),
    Rate("filtered", "clean_fraction", LARGE, 1, -0.5),
    Rate("filtered", "clean_fraction", 0, SMALL, 0.0),
)
LOCAL = tuple(
    Rate(method, "clean_fraction", low, high, np.nan)
    for method in ("unfiltered", "filtered")
    for high, low in pairwise(CLEAN)
)


def simulate(
    seed: int,
    precisions: Sequence[float] = PRECISIONS,
    cleans: Sequence[float] = CLEAN,
    sizes: Sequence[int] = SIZES,
    repeats: int = REPEATS,
) -> pd.DataFrame:
    """The error of each repeat: columns of `KEY`, repeat and error.

    Repeats are independent. Within a repeat, all settings share random numbers, because drawing them takes longer than
    learning from them. Each precision and clean fraction combines noise and signal in another order, so the errors of
    different fractions are nearly uncorrelated.
    """
    rng = np.random.default_rng([seed, 1])
    rows = []
    for repeat in range(repeats):
        draws = _draw(rng, max(sizes))
        for precision in precisions:
            for clean in cleans:
                images, texts = _pairs(draws, Pairs(precision), clean, rng.integers(max(sizes), size=2))
                for size in sizes:
                    for method, error in _method_errors(images[:size], texts[:size], Pairs(precision).signal):
                        rows.append((precision, clean, size, method, repeat, error))
    return pd.DataFrame(rows, columns=[*KEY, "repeat", "error"])


def _draw(rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    shape = Pairs(1.0)
    widths = {"signal": shape.signal, "other": shape.signal, "image": shape.image, "text": shape.text}
    normal = {name: rng.standard_normal((size, width)) for name, width in widths.items()}
    return {**normal, "uniform": rng.random(size)}


def _pairs(
    draws: dict[str, np.ndarray], pairs: Pairs, clean: float, shifts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, d) and texts (n, d~) of which a fraction `clean` matches; the rows of noise are rotated by `shifts`."""
    matched = (draws["uniform"] < clean)[:, None]
    images, texts = (
        np.roll(draws[side], shift, axis=0) / np.sqrt(pairs.precision)
        for side, shift in zip(("image", "text"), shifts, strict=True)
    )
    images[:, : pairs.signal] += draws["signal"]
    texts[:, : pairs.signal] += np.where(matched, draws["signal"], draws["other"])
    return images, texts


def _method_errors(images: np.ndarray, texts: np.ndarray, signal: int) -> list[tuple[str, float]]:
    return [
        ("unfiltered", learn(images, texts, signal).error()),
        ("filtered", learn_filtered(images, texts, signal, THRESHOLD).error()),
    ]


def tabulate(errors: pd.DataFrame) -> pd.DataFrame:
    """Root mean square errors, their leading terms, and whether there are enough samples for these.

    `ratio` is the mean square error over the squared leading term, which tends to 1 for many samples; its standard error
    is that of the mean over repeats.
    """
    squares = errors.assign(square=errors["error"] ** 2).groupby(KEY, sort=False)["square"]
    table = squares.agg(["mean", "std", "size"]).reset_index()
    leading = [
        leading_error(Pairs(row.precision), row.clean_fraction, row.samples, _threshold(row.method))
        for row in table.itertuples()
    ]
    table["error"] = np.sqrt(table["mean"])
    table["leading_term"] = leading
    table["threshold"] = [_threshold(method) for method in table["method"]]
    table["ratio"] = table["mean"] / table["leading_term"] ** 2
    table["ratio_standard_error"] = table["std"] / np.sqrt(table["size"]) / table["leading_term"] ** 2
    table["enough_samples"] = [
        row.samples >= MARGIN * Pairs(row.precision).minimum_samples(row.clean_fraction) for row in table.itertuples()
    ]
    return table.drop(columns=["mean", "std"]).rename(columns={"size": "repeats"})


def _threshold(method: str) -> float | None:
    return THRESHOLD if method == "filtered" else None


def fit_rates(errors: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """One row for each precision and rate: the exponent of the simulated errors, with its interval.

    The exponent is the slope of log error on the log of the variable, fitted to each repeat and averaged. The interval is
    Student's over repeats; the intervals of all statements hold simultaneously with `CONFIDENCE`. Settings without enough
    samples are left out. Exponents of the clean fraction are fitted at the largest number of samples. Exponents of the
    samples have an intercept for each clean fraction. Further columns have the exponents of the leading term over the same
    settings, for this threshold and for the best one.
    """
    precisions = errors["precision"].unique()
    confidence = 1 - (1 - CONFIDENCE) / (len(precisions) * len(STATEMENTS))
    enough = errors.merge(table[[*KEY, "leading_term", "enough_samples"]], on=KEY)
    enough = enough[enough["enough_samples"]]
    rows = []
    for rate in (*STATEMENTS, *LOCAL):
        for precision in precisions:
            chosen = _settings(enough[enough["precision"] == precision], rate)
            if chosen[rate.variable].nunique() > 1:
                rows.append({"precision": precision, **_fit(chosen, precision, rate, confidence)})
    return pd.DataFrame(rows)


def _settings(errors: pd.DataFrame, rate: Rate) -> pd.DataFrame:
    chosen = errors[(errors["method"] == rate.method) & errors[rate.variable].between(rate.low, rate.high)]
    if rate.variable == "clean_fraction":
        return chosen[chosen["samples"] == errors["samples"].max()]
    return chosen


def _fit(chosen: pd.DataFrame, precision: float, rate: Rate, confidence: float) -> dict[str, object]:
    fits = np.array([_slope(own, rate.variable, own["error"]) for _, own in chosen.groupby("repeat")])
    mean, error = fits.mean(), fits.std(ddof=1) / np.sqrt(len(fits))
    low, high = student_t.interval(confidence, len(fits) - 1, mean, error)
    settings = chosen[chosen["repeat"] == chosen["repeat"].min()]
    best = settings["leading_term"]
    if rate.method == "filtered":
        best = [with_best_threshold(Pairs(precision), row.clean_fraction, row.samples) for row in settings.itertuples()]
    return {
        "method": rate.method,
        "variable": rate.variable,
        "variable_min": chosen[rate.variable].min(),
        "variable_max": chosen[rate.variable].max(),
        "exponent": mean,
        "exponent_low": low,
        "exponent_high": high,
        "leading_term": _slope(settings, rate.variable, settings["leading_term"]),
        "leading_term_best_threshold": _slope(settings, rate.variable, best),
        "stated": rate.stated,
        "seen": "" if np.isnan(rate.stated) else bool(low <= rate.stated <= high),
    }


def _slope(rows: pd.DataFrame, variable: str, error: Sequence[float]) -> float:
    """Least-squares slope of log `error` on the log of `variable`, with an intercept per value of the other variable."""
    other = {"samples": "clean_fraction", "clean_fraction": "samples"}[variable]
    logs = pd.DataFrame({"x": np.log(rows[variable]), "y": np.log(np.asarray(error)), "group": rows[other]})
    centred = logs[["x", "y"]] - logs.groupby("group")[["x", "y"]].transform("mean")
    return float((centred["x"] * centred["y"]).sum() / (centred["x"] ** 2).sum())


def log_summary(rates: pd.DataFrame) -> None:
    """Log for each stated exponent whether the fitted interval contains it."""
    for row in rates[rates["stated"].notna()].itertuples():
        log.info(
            "precision %g, %s, exponent of %s from %.4g to %.4g: %.3f [%.3f, %.3f], stated %g, %s",
            *(row.precision, row.method, row.variable, row.variable_min, row.variable_max),
            *(row.exponent, row.exponent_low, row.exponent_high, row.stated, "seen" if row.seen else "not seen"),
        )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    errors = simulate(snakemake.params.seed)
    table = tabulate(errors)
    rates = fit_rates(errors, table)
    log_summary(rates)
    table.to_csv(snakemake.output.errors, index=False)
    rates.to_csv(snakemake.output.rates, index=False)
