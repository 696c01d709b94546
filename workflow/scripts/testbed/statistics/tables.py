"""The table of evaluations: its validation, and pairs of an evaluation on a shift and on the reference."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.evaluation.averages import AVERAGES
from testbed.evaluation.metrics import EVALUATION_COLUMNS, top1_by
from testbed.statistics.scales import transform

log = logging.getLogger(__name__)

METRIC = "top1"
KEY = ["model", "testset", "classes", "metric"]
NAMES = ["model", "architecture", "pool", "testset", "classes", "metric"]
NUMBERS = ["size", "seed", "n", "correct", "value", "value_low", "value_high"]
REMEDY = "delete the file and run the rule that makes it again"
# a value with six decimals agrees with its counts
TOLERANCE = 1e-6


class EvaluationsError(ValueError):
    """A table of evaluations lacks something, or has an impossible value."""


def read_evaluations(paths: Path | str | Sequence[Path | str]) -> pd.DataFrame:
    """The top-1 evaluations in one or several CSV files: one row per model, test set and classes, in the files' order.

    Columns are `EVALUATION_COLUMNS`: names are strings, accuracies floats (fractions), and `size` (0 if unknown), `seed`,
    `n` and `correct` integers. Rows of other metrics are checked for duplicates and then dropped.

    Raises `EvaluationsError` with file, line, model, value and remedy for: a missing column; an empty name; text, NaN or
    infinity in a numeric column; a count that is not an integer; n <= 0 or size < 0; correct outside of [0, n]; a value
    that is not correct / n; two rows with the same model, testset, classes and metric; no top-1 row.
    """
    paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
    table = pd.concat([_read_text(path) for path in paths], ignore_index=True) if paths else pd.DataFrame()
    if table.empty:
        raise EvaluationsError(f"{_listed(paths)}: no evaluation; evaluate at least one model")
    _check_duplicates(table)
    if METRIC not in table["metric"].values:
        raise EvaluationsError(f"{_listed(paths)}: no row with metric {METRIC!r}; evaluate models with this metric")
    return _of_metric(table, METRIC)


def read_ensemble_averages(path: Path | str) -> dict[str, pd.DataFrame]:
    """The evaluations of ensembles by each average (`AVERAGES`) in the CSV file `path`, as of `read_evaluations`."""
    table = _read_text(path)
    return {average: _of_metric(table, top1_by(average)) for average in AVERAGES}


def _of_metric(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of `metric`, with numbers; raises `EvaluationsError` for impossible values."""
    table = table[table["metric"] == metric].reset_index(drop=True)
    table = table.assign(**{column: _numbers(table, column) for column in NUMBERS})
    _check_values(table)
    integers = dict.fromkeys(("size", "seed", "n", "correct"), "int64")
    return table.astype(integers)[EVALUATION_COLUMNS]


def pair_with_reference(evaluations: pd.DataFrame, reference: str, minimum: float = 0.0) -> pd.DataFrame:
    """Each evaluation on a shift with the same model's evaluation on the reference over the same classes: a pair.

    Keeps the columns of `read_evaluations` and adds `reference_n`, `reference_correct` and `reference_value`. Rows are
    sorted by testset, classes, pool, architecture, size, seed and model, so that later results do not depend on the order
    in which evaluations were collected. Models with an accuracy below `minimum` (fraction) over all classes of the reference
    are left out, and logged: they say more about chance than about robustness.

    Raises `EvaluationsError` if no model was evaluated on `reference`, a model on a shift but not on the reference, or if
    no model reaches `minimum`.
    """
    evaluations = _reaching(evaluations, reference, minimum)
    is_reference = evaluations["testset"] == reference
    if not is_reference.any():
        known = _listed(evaluations["testset"].unique())
        raise EvaluationsError(
            f"no evaluation on the reference test set {reference!r}, only on {known}; evaluate it too"
        )
    columns = {"n": "reference_n", "correct": "reference_correct", "value": "reference_value"}
    beside = evaluations[is_reference].rename(columns=columns)[["model", "classes", *columns.values()]]
    pairs = evaluations[~is_reference].merge(beside, on=["model", "classes"], how="left")
    alone = pairs[pairs["reference_value"].isna()]
    if not alone.empty:
        row = alone.iloc[0]
        raise EvaluationsError(
            f"model {row['model']}: was evaluated on {row['testset']!r} (classes {row['classes']!r}) but not on the "
            f"reference {reference!r} with these classes; evaluate it there too ({len(alone)} such rows in all)"
        )
    pairs = pairs.astype({"reference_n": "int64", "reference_correct": "int64"})
    _warn_unused(beside, pairs, reference)
    _warn_missing(pairs)
    order = ["testset", "classes", "pool", "architecture", "size", "seed", "model"]
    return pairs.sort_values(order, ignore_index=True)


def _reaching(evaluations: pd.DataFrame, reference: str, minimum: float) -> pd.DataFrame:
    on_reference = evaluations[(evaluations["testset"] == reference) & (evaluations["classes"] == "all")]
    below = on_reference[on_reference["value"] < minimum]
    if below.empty:
        return evaluations
    best = on_reference["value"].max()
    if best < minimum:
        raise EvaluationsError(
            f"statistics.minimum_reference: {minimum:g} is above the accuracy of all models on {reference!r}, of which the "
            f"best has {best:.4f}; lower it"
        )
    log.info("left out, below %g on %s: %s", minimum, reference, _listed(sorted(below["model"])))
    return evaluations[~evaluations["model"].isin(below["model"])]


def on_scale(points: pd.DataFrame, scale: str) -> NDArray[np.bool_]:
    """Whether each row of `points` has finite scaled accuracies on both test sets, (n,)."""
    scaled = transform(points[["reference_value", "value"]], scale)
    return np.isfinite(scaled).all(axis=1)


def scaled_points(points: pd.DataFrame, scale: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scaled reference and shifted accuracies (n,) of the models in `points` for which both are finite."""
    fitted = points[on_scale(points, scale)]
    return transform(fitted["reference_value"], scale), transform(fitted["value"], scale)


def _read_text(path: Path | str) -> pd.DataFrame:
    try:
        # as text: a pool called "null" keeps its name, and an error can show the original value
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError as error:
        raise EvaluationsError(f"{path}: is missing; run the rule that makes it again") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise EvaluationsError(f"{path}: is not a CSV table ({error}); {REMEDY}") from error
    missing = [column for column in EVALUATION_COLUMNS if column not in table.columns]
    if missing:
        raise EvaluationsError(f"{path}: lacks the column {_listed(missing)}; {REMEDY}")
    table = table.assign(place=[f"{path}, line {line}" for line in range(2, len(table) + 2)])
    for column in NAMES:
        _check(table, table[column].str.strip() == "", column, "is empty")
    return table


def _numbers(table: pd.DataFrame, column: str) -> pd.Series:
    numbers = pd.to_numeric(table[column], errors="coerce")
    _check(table, ~np.isfinite(numbers), column, "is not a finite number")
    return numbers


def _check_duplicates(table: pd.DataFrame) -> None:
    repeated = table[table.duplicated(KEY, keep=False)]
    if repeated.empty:
        return
    first = repeated.iloc[0]
    same = repeated[(repeated[KEY] == first[KEY]).all(axis=1)]
    key = ", ".join(f"{column} {first[column]}" for column in KEY)
    raise EvaluationsError(f"{_listed(same['place'])}: {len(same)} rows for {key}; keep one of them")


def _check_values(table: pd.DataFrame) -> None:
    for column in ("size", "seed", "n", "correct"):
        _check(table, table[column] % 1 != 0, column, "is not whole")
    _check(table, table["size"] < 0, "size", "is below 0")
    _check(table, table["n"] <= 0, "n", "is not above 0")
    counted = "is outside of 0 to n; the count or n is wrong"
    _check(table, (table["correct"] < 0) | (table["correct"] > table["n"]), "correct", counted)
    differs = (table["value"] - table["correct"] / table["n"]).abs() > TOLERANCE
    _check(table, differs, "value", "is not correct / n as a fraction")


def _check(table: pd.DataFrame, bad: pd.Series, column: str, fault: str) -> None:
    if bad.any():
        row = table[bad].iloc[0]
        others = f" ({int(bad.sum())} such rows in all)" if bad.sum() > 1 else ""
        where = f"{row['place']}: model {row['model']}, test set {row['testset']}"
        raise EvaluationsError(f"{where}: {column} '{row[column]}' {fault}; evaluate this model again{others}")


def _warn_unused(beside: pd.DataFrame, pairs: pd.DataFrame, reference: str) -> None:
    used = set(zip(pairs["model"], pairs["classes"], strict=True))
    unused = set(zip(beside["model"], beside["classes"], strict=True)) - used
    for model, classes in sorted(unused):
        log.warning("model %s: was evaluated on %s, classes %s, but on no shift with these", model, reference, classes)


def _warn_missing(pairs: pd.DataFrame) -> None:
    """Warn of models without an evaluation on a shift that others have: the trends there have fewer models."""
    all_classes = pairs[pairs["classes"] == "all"]
    for testset, present in all_classes.groupby("testset")["model"]:
        missing = sorted(set(all_classes["model"]) - set(present))
        if missing:
            log.warning(
                "%s: has no evaluation of %d of %d models: %s",
                testset,
                len(missing),
                all_classes["model"].nunique(),
                _listed(missing),
            )


def _listed(names: Sequence[object]) -> str:
    return ", ".join(str(name) for name in names)
