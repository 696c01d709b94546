"""The plan of filters with files of the user's own: costs, states, and what is missing."""

import numpy as np
import pytest
from test_plan import planned

from experiments import load, small
from plan import missing_files
from status import filter_row
from testbed.planning.costs import Expected, filter_stages, maximum_samples, stages_of
from testbed.planning.given_files import file_problems
from testbed.records.manifest import write_json

JOINED = {"from": "a", "method": "remove", "columns_from": {"path": "own.csv", "key": "uid"}, "where": "score > 1"}
NAMED = {"from": "a", "method": "subset", "path": "named.npy"}
CONTROL = {"from": "a", "method": "random", "as_many_as": "f"}


@pytest.fixture(autouse=True)
def experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return load(small(filters={"f": JOINED, "g": NAMED, "h": CONTROL}))


def test_a_join_is_a_stage_of_its_own_and_a_control_is_as_large_as_its_filter(experiment):
    expected = {"a": Expected(1000, 0.5, 1000), "b": Expected(1000, 0.5, 1000)}
    stages = {stage.rule: stage for stage in filter_stages(experiment, expected, dict.fromkeys(experiment.testsets))}
    assert stages["join_columns"].products == ["results/columns/f/manifest.json"]
    assert stages["join_columns"].work == "500 samples" and stages["join_columns"].cpu > 0
    assert len(stages["select, balance"].products) == 3
    experiment.filters["f"]["fraction"] = 0.1
    assert [maximum_samples(experiment, expected, name) for name in "fgh"] == [50, 500, 50]


def test_missing_files_are_told_by_the_plan_until_they_are_no_longer_needed(experiment, tmp_path):
    told = [
        "filters.f.columns_from: own.csv: there is no such file. Put the table there, or correct the path.",
        "filters.g.path: named.npy: there is no such file. Put it there, or correct the path.",
    ]
    assert missing_files(experiment) == told
    assert [line for line in file_problems(experiment.config) if line.startswith("filters")] == told
    (tmp_path / "own.csv").write_text("uid,score\na,1\n")
    write_json("results/samples/g/manifest.json", {})
    assert missing_files(experiment) == []
    np.save(tmp_path / "named.npy", np.zeros(1))
    assert "not a list of pairs" in next(file_problems(experiment.config))


def test_the_status_has_the_join(experiment):
    assert filter_row(experiment, "f", [])[-1].startswith("join_columns waiting, select_samples waiting")
    assert filter_row(experiment, "g", [])[-1].startswith("select_samples waiting")


def test_near_duplicates_are_planned_by_source_and_test_set():
    entries = {
        "apart": {"from": "a", "method": "decontaminate", "against": ["mini_v2", "mini_sketch"]},
        "unique": {"from": "apart", "method": "deduplicate"},
    }
    rates = {"success": 0.5, "hashed_per_second": 10, "compared_per_second": 5, "hashed_kb": 1000}
    experiment, expected, images = planned(filters=entries, costs=rates, cards={"overlap": False})
    stages = {stage.rule: stage for stage in stages_of(experiment, expected, images)}
    assert "measure_overlap" not in stages
    names = ("hash_images", "hash_testset", "find_duplicates")
    work = {rule: (len(stages[rule].products), stages[rule].work) for rule in names}
    tested = images["mini_v2"] + images["mini_sketch"]
    assert work["hash_images"] == (1, "500 images")
    assert work["hash_testset"] == (2, f"{tested:,} images")
    assert work["find_duplicates"] == (2, "1,000 samples")
    assert [stages[rule].cpu for rule in names] == [50 / 3600, pytest.approx(tested / 36000), 200 / 3600]
    assert stages["hash_images"].disk == 0.5


def test_sources_with_a_card_are_hashed_once_and_compared_with_all_test_sets():
    entries = {"apart": {"from": "a", "method": "decontaminate", "against": ["mini_v2"]}}
    rates = {"success": 0.5, "hashed_per_second": 10, "compared_per_second": 5}
    experiment, expected, images = planned(filters=entries, costs=rates)
    stages = {stage.rule: stage for stage in stages_of(experiment, expected, images)}
    names = ("hash_images", "hash_testset", "find_duplicates", "measure_overlap")
    assert [(len(stages[rule].products), stages[rule].work) for rule in names] == [
        (2, "1,000 images"),
        (5, "20,000 images"),
        (1, "500 samples"),
        (2, "1,000 samples"),
    ]
    assert [stages[rule].cpu for rule in names] == [100 / 3600, 2000 / 3600, 100 / 3600, 200 / 3600]
    without = planned(filters=entries, costs=rates, cards={"make": False})
    assert {stage.rule: len(stage.products) for stage in stages_of(*without)}["hash_images"] == 1
