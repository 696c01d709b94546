"""Quick starts: whatever a training leaves out, open_clip's trainer still starts, on any device and with any logger."""

import json
import subprocess
import sys

import pytest

from experiments import ROOT

START = """
import json, sys
from testbed.imports import skip_for_training
skip_for_training(*json.loads(sys.argv[1]))
import open_clip_train.main
import torch.utils.tensorboard
print(json.dumps([name for name in ("pandas.core", "torch._dynamo.symbolic_convert", "timm") if sys.modules.get(name)]))
"""


@pytest.mark.parametrize(
    ("device", "extra", "configuration", "loggers", "left_out"),
    [
        ("cpu", {}, {}, ["tensorboard"], {"pandas.core", "torch._dynamo.symbolic_convert", "timm"}),
        ("cpu", {}, {}, ["tensorboard", "wandb_project"], {"torch._dynamo.symbolic_convert", "timm"}),
        ("cpu", {}, None, [], {"torch._dynamo.symbolic_convert"}),
        ("cpu", {"torchcompile": True}, {}, ["tensorboard"], {"timm"}),
        ("cuda", {}, {}, ["tensorboard"], {"timm"}),
        ("cuda", {}, None, [], set()),
    ],
)
def test_the_trainer_starts_without_what_is_left_out(device, extra, configuration, loggers, left_out):
    asked = json.dumps([{"device": device, "extra": extra}, configuration, loggers])
    command = [sys.executable, "-c", START, asked]
    done = subprocess.run(command, cwd=ROOT / "workflow" / "scripts", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert imported == {"pandas.core", "torch._dynamo.symbolic_convert", "timm"} - left_out
