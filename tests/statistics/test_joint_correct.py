"""Joint counts of correct predictions, against a bootstrap over images, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from testbed.statistics.joint_correct import (
    JointCorrect,
    JointCorrectError,
    count_joint_correct,
    read_joint_correct,
)

IMAGES = 400


@pytest.fixture
def hits():
    """Three models, the first two of which are right about much the same images (3, images)."""
    rng = np.random.default_rng(0)
    first = rng.random(IMAGES) < 0.4
    second = np.where(rng.random(IMAGES) < 0.8, first, rng.random(IMAGES) < 0.4)
    return np.stack([first, second, rng.random(IMAGES) < 0.7])


def written(folder, hits):
    """Predictions of the models in the form of evaluate_clip, over all classes and over those of a shift."""
    paths = []
    for number, own in enumerate(hits):
        path = folder / f"model{number}" / "predictions.parquet"
        path.parent.mkdir()
        parts = [
            pd.DataFrame(
                {
                    "testset": "sketch",
                    "classes": classes,
                    "key": [f"image{place}" for place in range(len(chosen))],
                    # Wrong is the second best class, or none of the best five.
                    "rank": [0 if one else (1 if number else None) for one in chosen],
                }
            )
            for classes, chosen in (("all", own), ("few", own[:50]))
        ]
        pd.concat(parts, ignore_index=True).to_parquet(path)
        paths.append(path)
    return paths


def points_of(hits, names=("model0", "model1", "model2")):
    return pd.DataFrame({"model": names, "correct": hits.sum(axis=1), "n": hits.shape[1]})


def test_covariances_are_those_of_a_paired_bootstrap(hits, tmp_path):
    table = count_joint_correct(written(tmp_path, hits))
    assert len(table) == 2 * 6
    pair = table[(table["model"] == "model0") & (table["other"] == "model1") & (table["classes"] == "few")]
    assert pair["both"].item() == (hits[0] & hits[1])[:50].sum()
    covariance = JointCorrect(table).covariance("sketch", "all", points_of(hits))
    rng = np.random.default_rng(1)
    drawn = np.stack([hits[:, rng.integers(0, IMAGES, IMAGES)].mean(axis=1) for _ in range(20_000)])
    assert covariance == pytest.approx(np.cov(drawn.T), rel=0.06, abs=3e-5)
    difference = np.array([1, -1, 0])
    # Half of what independent test sets would give.
    alone = JointCorrect().covariance("sketch", "all", points_of(hits))
    assert difference @ covariance @ difference < 0.5 * (difference @ alone @ difference)


def test_models_without_predictions_are_independent(hits, tmp_path):
    joint = JointCorrect(count_joint_correct(written(tmp_path, hits[:2])))
    covariance = joint.covariance("sketch", "all", points_of(hits))
    assert covariance[0, 1] > 0 and (covariance[2, :2] == 0).all()
    share = hits[2].mean()
    assert covariance[2, 2] == pytest.approx(share * (1 - share) / IMAGES)
    assert (joint.covariance("other", "all", points_of(hits)) == np.diag(np.diag(covariance))).all()


def test_a_model_that_is_always_right_has_a_variance():
    points = pd.DataFrame({"model": ["perfect"], "correct": [100], "n": [100]})
    assert JointCorrect().covariance("sketch", "all", points)[0, 0] == pytest.approx(0.995 * 0.005 / 100)


def test_what_does_not_fit_is_refused(hits, tmp_path):
    paths = written(tmp_path, hits)
    table = count_joint_correct(paths)
    wrong = points_of(hits).assign(correct=[1, 2, 3])
    with pytest.raises(JointCorrectError, match="model0, sketch, classes all: .* but 1 in the table of evaluations"):
        JointCorrect(table).covariance("sketch", "all", wrong)
    frame = pd.read_parquet(paths[2])
    frame.assign(key="another" + frame["key"]).to_parquet(paths[2])
    with pytest.raises(JointCorrectError, match="the images of test set 'sketch', classes 'all', are not those of"):
        count_joint_correct(paths)
    table.drop(columns="both").to_parquet(tmp_path / "table.parquet")
    with pytest.raises(JointCorrectError, match="lacks the column both; run count_joint_correct again"):
        read_joint_correct(tmp_path / "table.parquet")


def test_counts_can_be_read_again(hits, tmp_path):
    table = count_joint_correct(written(tmp_path, hits))
    table.to_parquet(tmp_path / "table.parquet", index=False)
    again = read_joint_correct(tmp_path / "table.parquet")
    expected = JointCorrect(table).covariance("sketch", "all", points_of(hits))
    assert (again.covariance("sketch", "all", points_of(hits)) == expected).all()
