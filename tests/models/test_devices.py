"""`device: cuda` without a GPU says so at once; with one that torch only believes in, all but the arithmetic is a GPU's."""

import json
import subprocess
import sys

import numpy as np
import pytest

from filter_tables import write_pool
from processes import HERE, ROOT
from runs import TINY, run_snakemake
from small_testsets import drawn, write_classification
from testbed.miniweb.world import CLASSES
from testbed.models.devices import DRIVER, DeviceError, check_gpus
from testbed.models.networks import CONFIG_FILE, WEIGHTS_FILE
from testbed.records.processes import in_own_process

pytestmark = pytest.mark.slow

NAMES = [entry.name for entry in CLASSES[:3]]

without_gpu = pytest.mark.skipif(DRIVER.is_file(), reason="the machine has GPUs")


@without_gpu
def test_a_machine_without_gpus_is_told_where_to_run(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(DeviceError) as caught:
        in_own_process(check_gpus, 2)
    for words in (
        "device: cuda, gpus: 2, but torch sees no GPU on ",
        "Driver: none is loaded",
        "CUDA",
        "--profile slurm",
    ):
        assert words in str(caught.value)


@without_gpu
def test_a_job_without_gpus_is_told_what_it_asked_slurm_for(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_JOB_PARTITION", "cpu")
    with pytest.raises(DeviceError) as caught:
        in_own_process(check_gpus, 1)
    for words in ("Job 17", "SLURM_JOB_PARTITION=cpu", "SLURM_JOB_GPUS=", "slurm_partition", "gres", "nvidia-smi"):
        assert words in str(caught.value)


@pytest.fixture
def gpu_experiment(workflow_copy):
    """The tiny experiment with its models on a GPU, in a folder."""
    text = TINY.read_text(encoding="utf-8")
    assert "device: cpu" in text and "gpus: 0" in text
    text = text.replace("device: cpu", "device: cuda").replace("gpus: 0", "gpus: 1")
    (workflow_copy / "gpu.yaml").write_text(text, encoding="utf-8")
    return workflow_copy


@without_gpu
def test_a_run_on_a_machine_without_gpus_stops_before_any_work(gpu_experiment):
    result = run_snakemake(gpu_experiment, "--configfile", "gpu.yaml", check=False)
    assert result.returncode != 0
    assert result.stdout.count("device: cuda, gpus: 1, but torch sees no GPU") == 1
    assert "Traceback" not in result.stdout
    assert not (gpu_experiment / "results").exists()


@without_gpu
def test_what_needs_no_gpu_runs_without(gpu_experiment):
    target = "results/miniweb/mini_yfcc/manifest.json"
    run_snakemake(gpu_experiment, target, "--configfile", "gpu.yaml")
    assert (gpu_experiment / target).is_file()


@pytest.fixture
def run(scripts_environment, tmp_path):
    """A function that runs one of gpu_runs.py."""

    def run(name, /, **arguments):
        command = [sys.executable, HERE / "gpu_runs.py", name, json.dumps(arguments, default=str), tmp_path / "answer"]
        subprocess.run(command, env=scripts_environment, cwd=ROOT, check=True)
        return json.loads((tmp_path / "answer").read_text())

    return run


@pytest.mark.parametrize("precision", ["amp_bf16", "amp"])
def test_trainings_on_a_gpu(run, run_model, architecture, trainset, tmp_path, precision):
    gpu = architecture | {"device": "cuda", "gpus": 1, "precision": precision, "epochs": 1}
    entry = run("train", architecture=gpu, trainset=trainset, folder=tmp_path)
    assert entry["samples_seen"] == 48 and entry["runs"][0]["hardware"]["device"] == "cuda"
    # Beside the weights nothing is left of the trainer's.
    assert {file["name"] for file in entry["files"]} == {CONFIG_FILE, WEIGHTS_FILE}


def test_evaluations_and_ensembles_on_a_gpu(run, run_model, model, decode, tmp_path):
    testset, decoded = decode(write_classification(tmp_path / "testset", NAMES, [0, 1, 2] * 4))
    rows, table = run("evaluate", folders=[model, model], testset=testset, decoded=decoded)
    # A model beside itself is the model, whatever is averaged.
    averages = [row["value"] for row in rows if row["metric"].startswith("top1_")]
    assert averages == 3 * [rows[0]["value"]]
    alone = [row for row in rows if not row["metric"].startswith("top1_")]
    assert [alone, table] == run_model("evaluate", folder=model, testsets={"mine": [testset, decoded]})["value"]


# How far a GPU's scores may be from a CPU's: ten times the last bit of the precision, in a number near 1.
@pytest.mark.parametrize(("precision", "moved"), [("fp32", 1e-5), ("tf32", 1e-2), ("bf16", 5e-2)])
def test_scores_on_a_gpu(run, run_model, model, decode, tmp_path, precision, moved):
    testset, decoded = decode(write_classification(tmp_path / "testset", NAMES, [0, 1, 2]))
    images = [drawn(NAMES[number % 3], number) for number in range(6)]
    samples = write_pool(tmp_path / "pool", [f"a {NAMES[number % 3]}" for number in range(6)], 3, images)
    pool = {"samples": samples, "shards": samples.parent / "shards"}
    scored = run("score", **pool, teacher=model, folder=tmp_path / "scores", precision=precision)
    assert scored["moved"] == ["torch.uint8"]
    answer = run_model("answer_as_rules", folder=model, testset=testset, decoded=decoded, **pool)["value"]
    np.testing.assert_allclose(scored["scores"], answer["scores"], atol=moved)
