"""The status says what is done, under way and failing, and why, without disturbing what it looks at."""

import json
from collections import Counter
from pathlib import Path

import pytest

from experiments import load, small
from status import failure_in, filter_row, is_locked, model_row, source_row, state_of
from testbed.records.locks import acquire_lock
from testbed.records.log import progress_of
from testbed.records.manifest import write_json

SOURCE = "results/downloads/a"


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return load(small(shuffle__part_size=300))


def log(rule, name, text):
    path = Path(f"results/logs/{rule}/{name}.log")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_an_untouched_experiment_waits(experiment):
    failures = []
    assert source_row(experiment, "a", failures) == ("a", "waiting", "waiting", "0/4", "0", "0", "0", "", "waiting", "")
    assert Counter(model_row(model, failures)[1:] for model in experiment.models()) == {("waiting", "waiting"): 2}
    assert failures == []


def test_a_source_under_way(experiment):
    write_json("results/metadata/a/pairs.parquet", {})
    write_json("results/shuffled/a/manifest.json", {})
    write_json(f"{SOURCE}/00000/00000.json", {"causes": {"success": 70, "http 404": 20, "timeout": 10}})
    write_json(f"{SOURCE}/00000/00001.json", {"causes": {"success": 50, "timeout": 50}})
    write_json(f"{SOURCE}/00000/manifest.json", {})
    write_json(f"{SOURCE}/00001/00000.json", {"causes": {"success": 30}})
    lines = ("INFO x", "CRITICAL DownloadError: chunk 00003: only 1%")
    log("download_images", "a-00002", "".join(f"2026-01-01 00:00:00,000 {line}\n" for line in lines) + "Traceback\n")
    failures = []
    with acquire_lock(f"{SOURCE}/00001"):
        row = source_row(experiment, "a", failures)
    assert row == (
        "a",
        "done",
        "done",
        "1/4",
        "1",
        "1",
        "150",
        "65.2%",
        "waiting",
        "timeout 60, http 404 20",
    )
    assert failures == ["download_images a 00002: DownloadError: chunk 00003: only 1%"]


def test_the_three_most_frequent_causes_are_named(experiment):
    causes = {"bad url": 1, "http 404": 20, "success": 50, "timeout": 30, "tls": 2, "unknown host": 25}
    write_json(f"{SOURCE}/00000/00000.json", {"causes": causes})
    assert source_row(experiment, "a", [])[-1] == "timeout 30, unknown host 25, http 404 20"


def test_a_failed_training_is_told_with_its_reason(experiment):
    model = experiment.models()[0]
    log("train_clip", model.name, "2026-01-01 00:00:01,000 CRITICAL TrainingError: weights are not finite\n")
    failures = []
    assert model_row(model, failures)[1:] == ("failed", "waiting")
    assert failures == [f"train_clip {model.name}: TrainingError: weights are not finite"]


def test_a_training_that_the_machine_ended_goes_on(experiment):
    model = experiment.models()[0]
    note = {"cause": "SIGTERM", "step": 300, "planned": 1600}
    write_json(f"results/models/{model.name}/interrupted.json", note)
    failures = []
    assert model_row(model, failures)[1:] == ("interrupted", "waiting")
    reason = "SIGTERM; the same command goes on at step 300 of 1600"
    assert failures == [f"train_clip {model.name}: {reason}"]


def test_a_running_training_says_its_speed_and_the_time_left(experiment):
    model = experiment.models()[0]
    words = "34% of 2,000 samples, 812/s, loss 2.1, 3 min left"
    path = progress_of(log("train_clip", model.name, ""))
    path.write_text(json.dumps({"words": words, "fraction": 0.34}))
    lines = []
    with acquire_lock(f"results/models/{model.name}"):
        assert model_row(model, lines)[1:] == ("running", "waiting")
    assert lines == [f"train_clip {model.name}: {words}"]


def test_a_job_that_runs_again_is_no_failure(experiment):
    log("train_clip", "m", "2026-01-01 00:00:01,000 CRITICAL TrainingError: no\n")
    with acquire_lock("results/models/m"):
        assert state_of("results/models/m/manifest.json", "results/logs/train_clip/m.log").name == "running"
    write_json("results/models/m/manifest.json", {})
    assert state_of("results/models/m/manifest.json", "results/logs/train_clip/m.log").name == "done"


def test_looking_does_not_take_the_lock(tmp_path):
    acquire_lock(tmp_path).close()
    assert not is_locked(tmp_path)
    with acquire_lock(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path / "nowhere")


def test_of_a_long_log_the_end_is_read(tmp_path):
    path = tmp_path / "long.log"
    path.write_text("x CRITICAL first\n" + "y" * 30_000 + "\nx CRITICAL last\n" + "z\n" * 100)
    assert failure_in(path) == "last"
    assert failure_in(tmp_path / "none.log") == ""


def test_a_filter_says_how_far_it_is_and_what_it_keeps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    teacher = {"pool": "b", "size": 100}
    scored = {"from": "a", "method": "clip_score", "fraction": 0.5, "teacher": teacher}
    experiment, failures = (
        load(small(filters={"f": scored, "g": {"from": "f", "method": "basic", "language": "en"}})),
        [],
    )
    assert filter_row(experiment, "g", failures)[2:] == ("", "select_samples waiting, reshard_samples waiting")
    for part in range(3):
        write_json(f"results/scores/f/{part:06d}.json", {})
    with acquire_lock("results/scores/f"):
        stages = "score_pairs running (3 parts), select_samples waiting, reshard_samples waiting"
        assert filter_row(experiment, "f", failures) == ("f", "a", "", stages)
    write_json("results/scores/f/manifest.json", {})
    write_json("results/samples/f/manifest.json", {"samples": 1200, "of": 5000})
    log("reshard_samples", "f", "2026-01-01 00:00:00,000 CRITICAL ShardError: keeps 1200\n")
    stages = "score_pairs done, select_samples done, reshard_samples failed"
    assert filter_row(experiment, "f", failures) == ("f", "a", "1,200 of 5,000", stages)
    assert failures == ["reshard_samples f: ShardError: keeps 1200"]
