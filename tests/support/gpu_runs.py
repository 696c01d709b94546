"""Runs one script on a GPU: ``python gpu_runs.py FUNCTION REQUEST``, a function below and a JSON of its arguments.

A process of its own for each, because what one script imports hides what another one does not find. Where there is no
GPU, torch believes in one: all that the script, open_clip and torch do in Python is done for a GPU, up to the tensors
themselves, which are the CPU's.
"""

import json
import sys
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode

from testbed.records.manifest import write_json


class OnCpu(TorchFunctionMode):
    """Puts on the CPU what is meant for a GPU."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        options = {name: self.at_hand(value) for name, value in (options or {}).items()}
        return function(*map(self.at_hand, arguments), **options)

    def at_hand(self, value):
        is_gpu = isinstance(value, (str, torch.device)) and str(value).startswith("cuda")
        return torch.device("cpu") if is_gpu else value


class Moves(TorchFunctionMode):
    """Notes the types of the images that move to the GPU."""

    def __init__(self):
        super().__init__()
        self.types: set[str] = set()

    def __torch_function__(self, function, types, arguments=(), options=None):
        if function is torch.Tensor.to and str(arguments[1]) == "cuda" and arguments[0].ndim == 4:
            self.types.add(str(arguments[0].dtype))
        return function(*arguments, **(options or {}))


def pretend_gpu() -> None:
    torch.cuda.is_available = torch.cuda.is_bf16_supported = lambda *_, **__: True
    torch.cuda.device_count = lambda: 1
    torch.Tensor.pin_memory = lambda self, *_: self
    # Asks the driver for the stream of a step.
    torch.optim.Optimizer._accelerator_graph_capture_health_check = lambda self: None
    OnCpu().__enter__()


def train(architecture: dict, trainset: str, folder: str) -> dict:
    from train_clip import train_clip

    return train_clip(architecture, Path(trainset), 0, Path(folder))


def evaluate(folders: list[str], testset: str, decoded: str) -> list:
    from evaluate_clip import evaluate_clip, load_evaluator

    shares = [1 / len(folders)] * len(folders)
    evaluator = load_evaluator(list(map(Path, folders)), shares, "logits", "cuda", 16)
    return list(evaluate_clip(evaluator, {"mine": (Path(testset), Path(decoded))}, "mine", []))


def score(samples: str, shards: str, teacher: str, folder: str, precision: str) -> dict:
    from score_pairs import score_pairs
    from testbed.records.parts import read_parts

    target, paths = Path(folder), [Path(samples), Path(shards), Path(teacher)]
    target.mkdir()
    with Moves() as moves:
        write_json(target / "manifest.json", score_pairs(*paths, target, "cuda", 16, precision=precision))
    scores = [row["clip_score"] for table in read_parts(target) for row in table.to_pylist()]
    return {"scores": scores, "moved": list(moves.types)}


if __name__ == "__main__":
    if not torch.cuda.is_available():
        pretend_gpu()
    functions = {function.__name__: function for function in (train, evaluate, score)}
    answer = functions[sys.argv[1]](**json.loads(sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(answer))
