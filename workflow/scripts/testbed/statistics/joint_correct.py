"""How the accuracies of models vary together when the images of a test set are drawn anew.

All models are evaluated on the same images, and an image that is difficult for one model is difficult for most. So the
errors that test images cause are correlated between models, and a difference of two models has a smaller error than the
accuracies alone suggest. The number of images that two models both classify correctly determines this: the covariance of
their accuracies is (both / n - a b) / n, which is the limit of the paired bootstrap over images for many resamples.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as parquet
from numpy.typing import NDArray

JOINT_KEY = ["testset", "classes"]
JOINT_COLUMNS = [*JOINT_KEY, "model", "other", "n", "both"]


class JointCorrectError(ValueError):
    """Predictions of two models are not of the same images, or do not agree with the table of evaluations."""


def count_joint_correct(predictions: Sequence[Path | str]) -> pd.DataFrame:
    """The images that two models both classify correctly, for each pair of the parquet files `predictions`.

    The folder of each file has the name of the model.

    One row of `JOINT_COLUMNS` per test set, classes and unordered pair, a model with itself included. Memory is one byte
    for each model and image. Raises `JointCorrectError` if the images of two models differ.
    """
    keys: dict[tuple[str, str], pa.Array] = {}
    correct: dict[tuple[str, str], dict[str, NDArray[np.bool_]]] = {}
    for path in predictions:
        model = Path(path).parent.name
        table = parquet.read_table(path, columns=[*JOINT_KEY, "key", "rank"])
        for key, rows in _groups(table):
            images = rows["key"].combine_chunks()
            if not images.equals(keys.setdefault(key, images)):
                raise JointCorrectError(
                    f"{path}: the images of test set {key[0]!r}, classes {key[1]!r}, are not those of the model "
                    f"{next(iter(correct[key]))}; evaluate both on the same test set"
                )
            # As accuracies are counted: if two classes have equal logits, the best one need not be the prediction.
            right = compute.fill_null(compute.equal(rows["rank"], 0), False)
            correct.setdefault(key, {})[model] = right.to_numpy(zero_copy_only=False)
    parts = [_pairs(*key, own) for key, own in correct.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=JOINT_COLUMNS)


def _groups(table: pa.Table):
    """The key and the rows of each test set and classes; `evaluate_clip` writes those of one group one after another."""
    both = [table[name].combine_chunks().dictionary_encode() for name in JOINT_KEY]
    codes = np.stack([column.indices.to_numpy() for column in both])
    starts = [0, *(np.flatnonzero((np.diff(codes, axis=1) != 0).any(axis=0)) + 1), table.num_rows]
    for start, end in zip(starts[:-1], starts[1:], strict=True):
        if start < end:
            key = tuple(column.dictionary[int(code[start])].as_py() for column, code in zip(both, codes, strict=True))
            yield key, table.slice(start, end - start)


def _pairs(testset: str, classes: str, correct: dict[str, NDArray[np.bool_]]) -> pd.DataFrame:
    # Sums of zeros and ones below 2^24 are exact in single precision, so the counts are the same on every machine.
    hits = np.stack([*correct.values()]).astype(np.float32)
    both = hits @ hits.T
    first, second = np.triu_indices(len(hits))
    models = np.array([*correct], dtype=object)
    return pd.DataFrame(
        {
            "testset": testset,
            "classes": classes,
            "model": models[first],
            "other": models[second],
            "n": hits.shape[1],
            "both": both[first, second].astype(np.int64),
        }
    )


class JointCorrect:
    """The counts of `count_joint_correct` for lookup. Without a table, models are independent (binomial)."""

    def __init__(self, table: pd.DataFrame | None = None) -> None:
        self._counts = {}
        for key, rows in [] if table is None else table.groupby(JOINT_KEY, sort=False):
            models = pd.Index(rows["model"].unique())
            both = np.full((len(models), len(models)), np.nan)
            first, second = models.get_indexer(rows["model"]), models.get_indexer(rows["other"])
            both[first, second] = both[second, first] = rows["both"]
            self._counts[key] = models, both

    def covariance(self, testset: str, classes: str, points: pd.DataFrame) -> NDArray[np.float64]:
        """Covariances (models, models) of accuracies that test images cause.

        `points` has `model`, `correct` and `n` of distinct models on this test set with these classes. Two models of which
        one has no counts have covariance 0. The variance of one model is a (1 - a) / n, with at least half an image and at
        most n - 1/2 right.

        Raises `JointCorrectError` if the counts are not of these evaluations.
        """
        correct, n = (points[name].to_numpy(float) for name in ("correct", "n"))
        share = np.clip(correct, 0.5, n - 0.5) / n
        covariance = np.diag(share * (1 - share) / n)
        if (testset, classes) not in self._counts:
            return covariance
        models, both = self._counts[testset, classes]
        known = models.get_indexer(points["model"])
        rows = np.flatnonzero(known >= 0)
        joint = both[np.ix_(known[rows], known[rows])]
        differs = joint.diagonal() != correct[rows]
        if differs.any():
            model = points["model"].iloc[rows[differs][0]]
            raise JointCorrectError(
                f"model {model}, {testset}, classes {classes}: {joint.diagonal()[differs][0]:g} correct predictions, but "
                f"{correct[rows[differs]][0]:g} in the table of evaluations; run count_joint_correct again"
            )
        accuracy = correct[rows] / n[rows]
        paired = (joint / n[rows] - np.outer(accuracy, accuracy)) / n[rows]
        np.fill_diagonal(paired, covariance.diagonal()[rows])
        covariance[np.ix_(rows, rows)] = paired
        return covariance


def read_joint_correct(path: Path | str) -> JointCorrect:
    """The counts in the parquet table at `path`; raises `JointCorrectError` if it lacks a column."""
    table = pd.read_parquet(path)
    missing = [name for name in JOINT_COLUMNS if name not in table.columns]
    if missing:
        raise JointCorrectError(f"{path}: lacks the column {', '.join(missing)}; run count_joint_correct again")
    return JointCorrect(table)
