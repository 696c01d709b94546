"""Further options of open_clip's trainer: mistakes are found when the experiment is read."""

import subprocess
import sys

import pytest

from experiments import changed, load
from testbed.experiment.errors import ExperimentError
from testbed.training.options import OF_THE_EXPERIMENT, option_faults
from testbed.training.recipe import trainer_arguments


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"accum-frequency": 2}, "accum-frequency: open_clip's trainer has no such option. Did you mean accum-freq?"),
        # Its parser takes the beginning of a name for the whole.
        ({"dataset-resample": True}, "dataset-resample: open_clip's trainer has no such option."),
        ({"help": True}, "help: open_clip's trainer has no such option."),
        ({"accum-freq": "many"}, "accum-freq: 'many' is no value of this option (invalid int value: 'many')."),
        ({"accum-freq": 2.5}, "accum-freq: 2.5 is no value of this option (invalid int value: '2.5')."),
        ({"accum-freq": True}, "accum-freq: True is no value of this option (expected one argument)."),
        ({"accum-freq": 0}, "accum-freq: 0 batches make no step. Give 1 or more."),
        ({"grad-clip-norm": False}, "grad-clip-norm: False is no value of this option (expected one argument)."),
        ({"local-loss": 1}, "local-loss: 1 is no value of this option (ignored explicit argument '1')."),
        (
            {"remote-sync-protocol": "ftp"},
            "remote-sync-protocol: 'ftp' is no value of this option (invalid choice: 'ftp'",
        ),
        ({"aug-cfg": "scale"}, "aug-cfg: 'scale' is no value of this option"),
        ({"dataset-resampled": True}, "dataset-resampled: changes which samples are seen"),
        ({"train-data-upsampling-factors": "1::2"}, "train-data-upsampling-factors: changes which samples are seen"),
        ({"train-num-samples": 10}, "train-num-samples: is set by the experiment. Take it out"),
        ({"epochs": 1}, "epochs: is set by the experiment. Take it out"),
        ({"report-to": "wandb"}, "report-to: is set by the experiment. Take it out"),
        ({"save-most-recent": True}, "save-most-recent: changes the checkpoints"),
        ({"force-quick-gelu": True}, "force-quick-gelu: changes the model, of which its evaluation would not know."),
        ({"force-image-size": 64}, "force-image-size: changes the model, of which its evaluation would not know."),
    ],
    ids=lambda value: "-".join(map(str, *value.items())) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_line_of_the_experiment(extra, words):
    with pytest.raises(ExperimentError) as error:
        load(changed(architectures__mini_rn__extra=extra))
    assert str(error.value).startswith(f"architectures.mini_rn.extra: {words}")
    assert "\n" not in str(error.value)


def test_every_mistake_has_a_line():
    with pytest.raises(ExperimentError) as error:
        load(changed(architectures__mini_rn__extra={"epochs": 1, "grad-clip": 1, "local-loss": True}))
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == ["epochs", "grad-clip"]


@pytest.mark.parametrize(("key", "value"), [("extra", {"accum-freq": 5}), ("gpus", 5)])
def test_a_batch_that_cannot_be_cut_is_a_mistake_in_the_experiment(key, value):
    with pytest.raises(ExperimentError, match=r"^architectures\.mini_rn\.batch_size: 64 is no multiple of"):
        load(changed(**{f"architectures__mini_rn__{key}": value}))


def test_options_that_are_documented_are_taken():
    extra = {"accum-freq": 4, "grad-checkpointing": True, "local-loss": True, "gather-with-grad": True, "siglip": True}
    assert load(changed(architectures__mini_rn__extra=extra)).config["architectures"]["mini_rn"]["extra"] == extra
    assert not list(option_faults({"grad-clip-norm": 1.0, "torchcompile": False, "aug-cfg": "scale=(0.9,1.0)"}))


def test_what_the_experiment_sets_is_what_the_trainer_is_started_with(architecture, trainset, tmp_path):
    arguments = trainer_arguments(architecture, trainset, 60, 0, tmp_path)
    options = {argument.removeprefix("--").partition("=")[0] for argument in arguments}
    assert options | {"report-to", "resume", "wandb-project-name"} == OF_THE_EXPERIMENT


def test_options_are_looked_up_without_torch(scripts_environment):
    code = (
        "import sys; from testbed.training.options import option_faults; print(list(option_faults({'x': 1}))); "
        "sys.exit('torch' in sys.modules or 'open_clip' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], env=scripts_environment, capture_output=True, text=True)
    assert result.returncode == 0 and "no such option" in result.stdout, result
