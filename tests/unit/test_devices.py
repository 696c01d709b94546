"""`device: cuda` without a GPU says so at once; with one that torch only believes in, all but the arithmetic is a GPU's."""

import numpy as np
import pytest

from filter_tables import write_pool
from processes import helper
from runs import TINY, run_snakemake
from small_testsets import drawn, write_classification
from testbed.devices import DRIVER, DeviceError, check_gpus
from testbed.manifest import read_json
from testbed.miniweb.world import CLASSES
from testbed.work import in_own_process

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


@pytest.fixture(scope="module")
def run(scripts_environment):
    """A function that runs one of model_runs.py on a GPU: a real one, or one that torch believes in."""
    with helper("model_runs.py", scripts_environment) as ask:

        def run(name, /, **arguments):
            answer = ask([name, arguments])
            assert "value" in answer, answer
            return answer["value"]

        run("pretend_gpu")
        yield run


@pytest.mark.parametrize("precision", ["amp_bf16", "amp", "fp32"])
def test_the_way_of_a_gpu_leads_to_scores(run, architecture, trainset, tmp_path, precision):
    gpu = architecture | {"device": "cuda", "gpus": 1, "precision": precision, "epochs": 1}
    run("train", architecture=gpu, trainset=trainset, seed=0, folder=tmp_path / "trained")
    assert read_json(tmp_path / "trained" / "manifest.json")["recipe"]["device"] == "cuda"
    testset = write_classification(tmp_path / "testset", NAMES, [0, 1, 2] * 4)
    run("decode", testset=testset, model=architecture["model"], folder=tmp_path / "decoded")
    images = [drawn(NAMES[number % 3], number) for number in range(6)]
    pool = write_pool(tmp_path / "pool", [f"a {NAMES[number % 3]}" for number in range(6)], 3, images)
    shown = {"testset": testset, "samples": pool, "shards": pool.parent / "shards", "decoded": tmp_path / "decoded"}
    answers = [run("answer_as_rules", folder=tmp_path / "trained", **shown, device=one) for one in ("cuda", "cpu")]
    for name in ("logits", "scores"):
        np.testing.assert_allclose(*(answer[name] for answer in answers), atol=1e-3)
    shares = {str(tmp_path / "trained"): 1.0}
    ensemble = run("answer_as_rules", folder=shares, testset=testset, decoded=tmp_path / "decoded", device="cuda")
    assert ensemble["rows"] == answers[0]["rows"]
