"""Check the closed forms of testbed.theory.closed_forms, a reconstruction of the paper's simple setting, by Monte Carlo.

Out: results/tables/theory.csv, a row per statement, setting and quantity with its closed form, its simulated value and
     their difference in standard errors; theory_models.csv, the accuracies of single models of finite size
"""

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from testbed.records.log import log_to
from testbed.theory.closed_forms import (
    SETTING,
    SOURCES,
    Floats,
    bound_coverage,
    clean_share,
    deviation_bound,
    effective_robustness,
    ensemble,
    filtered_slope,
    kept_fraction,
    mean_probits,
    mixture,
    mixture_slope,
    probits,
    slope,
    standard_slope,
)

if TYPE_CHECKING:
    from snakemake.script import snakemake

log = logging.getLogger(__name__)

SIZES = tuple(50 * 2**step for step in range(9))
REPEATS = 200
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
THRESHOLDS = (-2.0, 0.0, 1.0, 2.0, 4.0)
CLEAN = (0.1, 0.3, 0.6)
TEST_IMAGES, TRAINING_SAMPLES, CHUNK = 200_000, 400_000, 10_000
DELTA = 0.05
# probability that any row of the table is outside of its bound if all closed forms are right
FAMILY_ERROR_RATE = 1e-3
# models of each size that are drawn as points
POINTS = 12

Row = dict[str, object]


def comparison_row(
    statement: str, setting: str, parameter: float, quantity: str, closed: float, simulated: float, error: float
) -> Row:
    """A row of the table; `error` is the standard error of the simulated value."""
    return {
        "statement": statement,
        "setting": setting,
        "parameter": parameter,
        "quantity": quantity,
        "closed_form": float(closed),
        "monte_carlo": float(simulated),
        "standard_error": float(error),
    }


def tabulate(rows: list[Row]) -> pd.DataFrame:
    """The table of `rows`, with each difference, also in standard errors, and whether it is within Bonferroni's bound.

    If all closed forms are right, all differences are within the bound with a probability of 1 - `FAMILY_ERROR_RATE`.
    """
    table = pd.DataFrame(rows)
    table["difference"] = table["monte_carlo"] - table["closed_form"]
    table["standard_errors"] = table["difference"] / table["standard_error"]
    table["within"] = table["standard_errors"].abs() <= norm.isf(FAMILY_ERROR_RATE / 2 / len(table))
    return table


def members(share: float) -> tuple[list[float], list[Floats]]:
    """Shares and means of the mixture in which the first source has `share`."""
    return [share, 1 - share], list(SOURCES.values())


def trends(rng: np.random.Generator) -> tuple[list[Row], pd.DataFrame]:
    """Rows for models of growing size of each source and of an even mixture, which move along the source's line.

    Models are drawn from their exact distribution, N(theta, tau^2 / n I). Standard errors of lines are from the jackknife
    over repeats. Also returns models as points: setting, samples, reference_accuracy, shifted_accuracy.
    """
    rows, points = [], []
    for name, mean in {**SOURCES, "mixture": mixture(*members(0.5))}.items():
        padded = np.pad(mean, (0, SETTING.dimension - len(mean)))
        scaled, inside = [], []
        for size in SIZES:
            noise = SETTING.source_noise / np.sqrt(size)
            models = padded + noise * rng.standard_normal((REPEATS, SETTING.dimension))
            scaled.append(probits(models))
            residuals = scaled[-1] @ [-slope(mean), 1]
            inside.append(np.abs(residuals) <= deviation_bound(models, mean, size, DELTA))
            points.append(_model_points(name, size, scaled[-1][:POINTS]))
            rows += _sizes_of(name, size, mean, scaled[-1])
        rows += _line_of(name, mean, np.stack(scaled))
        within = np.concatenate(inside)
        expected = bound_coverage(DELTA)
        error = np.sqrt(expected * (1 - expected) / within.size)
        rows.append(comparison_row("trend", name, np.nan, "models within the bound", expected, within.mean(), error))
    return rows, pd.concat(points)


def _sizes_of(name: str, size: int, mean: Floats, scaled: Floats) -> Iterator[Row]:
    errors = scaled.std(axis=0, ddof=1) / np.sqrt(len(scaled))
    for place, axis in enumerate(("reference", "shifted")):
        expected, simulated = mean_probits(mean, size)[place], scaled[:, place].mean()
        yield comparison_row("trend", name, size, f"mean {axis} probit", expected, simulated, errors[place])


def _line_of(name: str, mean: Floats, scaled: Floats) -> Iterator[Row]:
    """Rows for slope and intercept of the line through the mean probits of each size; `scaled` is (sizes, repeats, 2)."""
    repeats = scaled.shape[1]
    total = scaled.sum(axis=1)
    fit = _fit(total / repeats)
    left_out = np.array([_fit((total - scaled[:, repeat]) / (repeats - 1)) for repeat in range(repeats)])
    errors = np.sqrt((repeats - 1) * left_out.var(axis=0))
    yield comparison_row("trend", name, np.nan, "slope", slope(mean), fit[0], errors[0])
    yield comparison_row("trend", name, np.nan, "intercept", 0, fit[1], errors[1])


def _fit(points: Floats) -> Floats:
    return np.polyfit(points[:, 0], points[:, 1], 1)


def _model_points(name: str, size: int, scaled: Floats) -> pd.DataFrame:
    accuracies = ndtr(scaled)
    columns = {"reference_accuracy": accuracies[:, 0], "shifted_accuracy": accuracies[:, 1]}
    return pd.DataFrame({"setting": name, "samples": size, **columns})


def evaluate(rng: np.random.Generator, logits: Mapping[tuple, list[Floats]], images: int = TEST_IMAGES) -> Floats:
    """Accuracies (models, 2) on test images: for each model, the share with sign(sum of its members' logits) = y.

    `logits` has, for each model, the vectors whose logits <w, x> are added.
    """
    widths = [len(vectors) for vectors in logits.values()]
    vectors = np.stack([_pad(vector) for model in logits.values() for vector in model])
    starts = np.cumsum([0, *widths[:-1]])
    correct = np.zeros((len(widths), 2))
    means = (SETTING.reference_mean, SETTING.shifted_mean)
    for place, (mean, noise) in enumerate(zip(means, (SETTING.reference_noise, SETTING.shifted_noise), strict=True)):
        for _ in range(images // CHUNK):
            labels = rng.choice([-1, 1], CHUNK)
            x = labels[:, None] * _pad(mean) + noise * rng.standard_normal((CHUNK, SETTING.dimension))
            added = np.add.reduceat(x @ vectors.T, starts, axis=1)
            correct[:, place] += np.sum(added * labels[:, None] > 0, axis=0)
    return correct / (images // CHUNK * CHUNK)


def _pad(vector: Floats) -> Floats:
    return np.pad(vector, (0, SETTING.dimension - len(vector)))


def accuracies(rng: np.random.Generator) -> list[Row]:
    """Rows for accuracy, slope and effective robustness of sources, mixtures and ensembles, with unlimited samples.

    An ensemble adds the logits of its two members, each scaled to length 1.
    """
    models: dict[tuple, list[Floats]] = {("accuracy", name, np.nan): [mean] for name, mean in SOURCES.items()}
    closed = {key: (model[0], float(slope(model[0]))) for key, model in models.items()}
    for share in SHARES:
        shares, means = members(share)
        mixed = ("input mixing", "A + B", share)
        models[mixed] = [mixture(shares, means)]
        closed[mixed] = (models[mixed][0], mixture_slope(shares, means))
        combined = ("output mixing", "A + B", share)
        models[combined] = [weight * mean / np.linalg.norm(mean) for weight, mean in zip(shares, means, strict=True)]
        weights = [weight / np.linalg.norm(mean) for weight, mean in zip(shares, means, strict=True)]
        closed[combined] = (ensemble(shares, means), mixture_slope(weights, means))
    measured = evaluate(rng, models)
    return [
        row
        for key, accuracy in zip(models, measured, strict=True)
        for row in _accuracy_rows(key, *closed[key], accuracy, TEST_IMAGES)
    ]


def _accuracy_rows(key: tuple, model: Floats, expected_slope: float, accuracy: Floats, images: int) -> Iterator[Row]:
    """Rows of one model. Standard errors are binomial, for slope and effective robustness by the delta method."""
    errors = np.sqrt(accuracy * (1 - accuracy) / images)
    scaled = ndtri(accuracy)
    scaled_errors = errors / norm.pdf(scaled)
    measured_slope = scaled[1] / scaled[0]
    slope_error = np.hypot(scaled_errors[1], measured_slope * scaled_errors[0]) / scaled[0]
    propagated = norm.pdf(standard_slope() * scaled[0]) * standard_slope() * scaled_errors[0]
    expected = ndtr(probits(model))
    yield comparison_row(*key, "reference accuracy", expected[0], accuracy[0], errors[0])
    yield comparison_row(*key, "shifted accuracy", expected[1], accuracy[1], errors[1])
    yield comparison_row(*key, "slope", expected_slope, measured_slope, slope_error)
    robustness = effective_robustness(probits(model)), effective_robustness(scaled)
    yield comparison_row(*key, "effective robustness", *robustness, np.hypot(errors[1], propagated))


def mixing(rng: np.random.Generator) -> list[Row]:
    """Rows for the slope of models trained on the union of samples, each source with its exact share."""
    noise = SETTING.source_noise * rng.standard_normal((TRAINING_SAMPLES, 3))
    rows = []
    for share in SHARES:
        shares, means = members(share)
        first = np.arange(TRAINING_SAMPLES)[:, None] < round(share * TRAINING_SAMPLES)
        simulated, error = _trained_slope(np.where(first, *means) + noise, within=noise)
        expected = mixture_slope(shares, means)
        rows.append(comparison_row("input mixing", "A + B", share, "slope after training", expected, simulated, error))
    return rows


def _trained_slope(samples: Floats, within: Floats | None = None) -> tuple[float, float]:
    """Slope of the model that is the mean of `samples` (n, 3) of y x, and its standard error by the delta method.

    The omitted coordinates have the mean 0 and no effect on a slope. `within` has the deviations that determine the error
    of the mean, if samples are not independent draws from one distribution.
    """
    model = samples.mean(axis=0)
    simulated = float(slope(model))
    to_shifted = SETTING.shifted_mean / SETTING.shifted_noise
    to_reference = SETTING.reference_mean / SETTING.reference_noise
    gradient = (to_shifted - simulated * to_reference) / (model @ to_reference)
    return simulated, float(np.std((samples if within is None else within) @ gradient) / np.sqrt(len(samples)))


def filtering(rng: np.random.Generator) -> list[Row]:
    """Rows for each source filtered by the other's teacher: the kept fraction, and the slope of students."""
    rows = []
    noise = SETTING.source_noise * rng.standard_normal((TRAINING_SAMPLES, 3))
    for name, other in (("B", "A"), ("A", "B")):
        mean, teacher = SOURCES[name], SOURCES[other]
        samples = mean + noise
        scores = samples @ teacher / np.linalg.norm(teacher)
        setting = f"{name} filtered by {other}"
        for threshold in THRESHOLDS:
            kept = samples[scores >= threshold]
            expected = float(kept_fraction(mean, teacher, threshold))
            error = np.sqrt(expected * (1 - expected) / len(samples))
            share = len(kept) / len(samples)
            rows.append(comparison_row("filtering", setting, threshold, "kept fraction", expected, share, error))
            expected = float(filtered_slope(mean, teacher, threshold))
            rows.append(comparison_row("filtering", setting, threshold, "slope", expected, *_trained_slope(kept)))
    return rows


def cleaning(rng: np.random.Generator) -> list[Row]:
    """Rows for the share of clean samples after a filter by the source's own teacher; the other labels are random."""
    rows = []
    mean = SOURCES["A"]
    teacher = mean / np.linalg.norm(mean)
    for share in CLEAN:
        labels, others = rng.choice([-1, 1], (2, TRAINING_SAMPLES))
        clean = rng.random(TRAINING_SAMPLES) < share
        images = labels[:, None] * mean + SETTING.source_noise * rng.standard_normal((TRAINING_SAMPLES, 3))
        scores = np.where(clean, labels, others) * (images @ teacher)
        for threshold in THRESHOLDS:
            kept = scores >= threshold
            expected = float(clean_share(share, mean, teacher, threshold))
            error = np.sqrt(expected * (1 - expected) / kept.sum())
            setting, simulated = f"{100 * share:g} % clean", clean[kept].mean()
            rows.append(comparison_row("clean share", setting, threshold, "clean share", expected, simulated, error))
    return rows


def simulate(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of comparisons and of single models, equal for equal seeds."""
    rng = np.random.default_rng([seed, 0])
    lines, points = trends(rng)
    table = tabulate([*lines, *accuracies(rng), *mixing(rng), *filtering(rng), *cleaning(rng)])
    return table, points


def log_summary(table: pd.DataFrame) -> None:
    """Log the largest difference between simulation and closed forms, and warn of each row outside of its bound."""
    furthest = table.loc[table["standard_errors"].abs().idxmax()]
    log.info(
        "%d comparisons; the largest difference is %.2f standard errors (%s, %s, %s)",
        *(len(table), abs(furthest["standard_errors"])),
        *(furthest["statement"], furthest["setting"], furthest["quantity"]),
    )
    for row in table[~table["within"]].itertuples():
        log.warning(
            "%s, %s, %s %g: closed form %.5g, Monte Carlo %.5g, %.1f standard errors apart",
            *(row.statement, row.setting, row.quantity, row.parameter),
            *(row.closed_form, row.monte_carlo, row.standard_errors),
        )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    table, models = simulate(snakemake.params.seed)
    log_summary(table)
    table.to_csv(snakemake.output.comparisons, index=False)
    models.to_csv(snakemake.output.models, index=False)
