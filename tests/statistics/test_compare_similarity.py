"""Accuracy by similarity: trainsets from prefixes, bins that are common, accuracies that can be counted by hand."""

import numpy as np
import pandas as pd
import pytest

from compare_similarity import compare_similarity
from plot_similarity import plot_similarity
from testbed.statistics.lines import clopper_pearson
from testbed.statistics.similarity import (
    accuracy_by_similarity,
    bin_edges,
    compared_sizes,
    describe_similarity,
    nearest_of_trainset,
    read_correct,
)

KEYS = [f"{number:03d}" for number in range(100)]


def nearest(values: dict[int, list[float]], testset: str = "photos") -> pd.DataFrame:
    """What measure_similarity writes for a pool: by prefix, the similarity of each test image."""
    tables = [
        pd.DataFrame({"samples": size, "testset": testset, "key": KEYS[: len(own)], "similarity": own})
        for size, own in values.items()
    ]
    return pd.concat(tables, ignore_index=True)


def predictions(path, correct: list[bool], testset: str = "photos") -> str:
    columns = {
        "testset": testset,
        "classes": "all",
        "key": KEYS[: len(correct)],
        "label": 1,
        "prediction": list(map(int, correct)),
    }
    table = pd.DataFrame(columns)
    # Over the classes of a shift, everything is right: these rows are not counted.
    pd.concat([table, table.assign(classes=testset, prediction=1)]).to_parquet(path)
    return str(path)


def test_a_mixture_is_as_near_as_the_nearest_of_its_prefixes():
    tables = {"a": nearest({10: [0.1, 0.9], 20: [0.3, 0.9]}), "b": nearest({10: [0.2, 0.4], 30: [0.8, 0.5]})}
    assert nearest_of_trainset(tables, {"a": 20, "b": 10})["similarity"].tolist() == [0.3, 0.9]
    assert nearest_of_trainset(tables, {"a": 10, "b": 30})["similarity"].tolist() == [0.8, 0.9]


def test_quantiles_are_those_of_the_test_images():
    images = nearest_of_trainset({"a": nearest({5: [n / 100 for n in range(100)]})}, {"a": 5})
    (row,) = describe_similarity(images).to_dict("records")
    assert row["images"] == 100
    assert row["mean"] == pytest.approx(0.495)
    assert [row[name] for name in ("q05", "q25", "median", "q75", "q95")] == pytest.approx(
        [0.0495, 0.2475, 0.495, 0.7425, 0.9405]
    )


def test_bins_are_common_and_hold_equally_many_images_of_all_pools_together():
    low, high = np.linspace(0, 0.49, 100), np.linspace(0.5, 1, 100)
    tables = [nearest_of_trainset({"a": nearest({1: one.tolist()})}, {"a": 1}) for one in (low, high)]
    edges = bin_edges(tables)["photos"]
    assert len(edges) == 9
    counts = np.bincount(np.searchsorted(edges, np.concatenate([low, high]), side="left"))
    assert counts.tolist() == [20] * 10
    # Equal similarities are in one bin.
    same = nearest_of_trainset({"a": nearest({1: [1.0] * 100})}, {"a": 1})
    assert bin_edges([same])["photos"].tolist() == [1.0]


def test_accuracies_by_similarity_are_counted_over_all_seeds(tmp_path):
    similarity = [0.2] * 40 + [0.8] * 60
    first = [True] * 10 + [False] * 30 + [True] * 45 + [False] * 15
    second = [True] * 20 + [False] * 20 + [True] * 45 + [False] * 15
    correct = read_correct([predictions(tmp_path / f"{n}.parquet", own) for n, own in enumerate((first, second))])
    images = nearest_of_trainset({"a": nearest({5: similarity})}, {"a": 5})
    table = accuracy_by_similarity(images, correct, {"photos": np.array([0.5])}, 0.95)
    assert table["n"].tolist() == [40, 60]
    assert table["accuracy"].tolist() == [0.375, 0.75]
    assert table["similarity"].tolist() == pytest.approx([0.2, 0.8])
    low, high = clopper_pearson([15, 45], [40, 60], 0.95)
    assert table["accuracy_low"].tolist() == pytest.approx(low)
    assert table["accuracy_high"].tolist() == pytest.approx(high)


@pytest.fixture
def tables(tmp_path):
    """Two sources: accuracy depends on similarity alone, and one is nearer to the test images than the other."""
    trainsets, pools = [], {}
    for place, pool in enumerate(("far", "near")):
        similarity = np.linspace(0.3 * place, 0.7 + 0.3 * place, 100)
        pools[pool] = nearest({size: similarity.tolist() for size in (10, 20)})
        correct = (np.arange(100) * 7919 % 100 / 100 < similarity).tolist()
        for size in (10, 20):
            files = {"net": [predictions(tmp_path / f"{pool}-{size}.parquet", correct)]}
            trainsets.append({"pool": pool, "size": size, "composition": {pool: size}, "predictions": files})
    return compare_similarity(pools, trainsets, 0.95)


def test_equal_accuracy_at_equal_similarity_shows_as_such(tables):
    summary, accuracy = tables
    assert summary[["pool", "size"]].values.tolist() == [["far", 10], ["far", 20], ["near", 10], ["near", 20]]
    means = summary.set_index(["pool", "size"])["mean"]
    assert means["near", 20] == pytest.approx(means["far", 20] + 0.3)
    wide = (
        accuracy[accuracy["size"] == 20]
        .pivot(index="bin", columns="pool", values=["accuracy_low", "accuracy_high"])
        .dropna()
    )
    assert len(wide) >= 5
    assert (wide["accuracy_low"].max(axis=1) <= wide["accuracy_high"].min(axis=1)).all()
    overall = (
        accuracy[accuracy["size"] == 20]
        .groupby("pool")[["accuracy", "n"]]
        .apply(lambda own: np.average(own["accuracy"], weights=own["n"]))
    )
    assert overall["near"] - overall["far"] > 0.2


def test_pools_are_compared_at_the_largest_size_of_all_sources():
    def sizes(**own):
        rows = [(pool, size) for pool, listed in own.items() for size in listed]
        kinds = {"base": "baseline", "mix": "mixture"}
        pools = [{"name": pool, "kind": kinds.get(pool, "source")} for pool in own]
        return compared_sizes(pd.DataFrame(rows, columns=["pool", "size"]), pools)

    assert sizes(a=[1, 2, 4], b=[1, 2], base=[1, 3], mix=[8]) == {"a": 2, "b": 2, "base": 1, "mix": 8}
    assert sizes(a=[1, 2], b=[4], c=[2, 4]) == {"a": 2, "b": 4, "c": 4}
    assert sizes(base=[1, 3]) == {"base": 3}


def test_the_figure_draws_every_pool_and_every_test_set(tables):
    summary, accuracy = tables
    pools = [{"name": name, "kind": "source", "title": name.title()} for name in ("far", "near", "unknown")]
    figure = plot_similarity(summary, accuracy, ["photos"], pools, "a teacher")
    left, right = figure.axes
    assert len(left.lines) == 6
    assert {len(line.get_xdata()) for line in right.lines} <= set(range(2, 11))
    assert len(right.lines) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Far", "Near"]
    assert "Nearest of 20 training images" in figure.texts[0].get_text()
    # A test set of another task has no accuracy.
    retrieval = summary.assign(testset="captions")
    figure = plot_similarity(pd.concat([summary, retrieval]), accuracy, ["photos", "captions"], pools, "a teacher")
    assert len(figure.axes) == 4
    assert not figure.axes[3].lines
