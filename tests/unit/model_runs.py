"""Trains and evaluates small models for the tests, in a process of its own, which pays once for its slow imports.

It answers one request per line: the name of a function below and its arguments.
"""

import json
import os
import signal
import sys
from contextlib import redirect_stdout
from pathlib import Path

import open_clip
import torch
from open_clip_train import train as trainer
from open_clip_train.train import train_one_epoch

from decode_testset import decode_testset, framing_of
from evaluate_clip import evaluate_clip, subsets_of
from retrieve_pretrained import PretrainedError, retrieve_pretrained
from testbed.evaluator import EvaluationError, Evaluator, load_evaluator
from testbed.manifest import ManifestError, write_json
from testbed.metrics import label_ranks, metrics_of
from testbed.recipe import TrainingError
from testbed.subsets import ClassesError
from testbed.tasks import TestsetError
from testbed.testsets import open_decoded, read_lines, read_samples, shards_of
from train_clip import export, train_clip

trained_epochs: list[int] = []
"""Numbers of the epochs that were trained since the last answer."""


def train(
    architecture: dict,
    trainset: str,
    seed: int,
    folder: str,
    die_in: int | None = None,
    how: int = signal.SIGKILL,
    log: str | None = None,
    **options,
) -> dict:
    """Train as the rule does, manifest included; the signal `how` comes at the beginning of the epoch `die_in`."""

    def watched_epoch(model, batches, loss, epoch, *arguments, **options):
        if epoch == die_in:
            os.kill(os.getpid(), how)
        trained_epochs.append(epoch)
        return train_one_epoch(model, batches, loss, epoch, *arguments, **options)

    trainer.train_one_epoch = watched_epoch
    Path(folder).mkdir(parents=True, exist_ok=True)
    entry = train_clip(architecture, Path(trainset), seed, Path(folder), log=log and Path(log), **options)
    write_json(Path(folder) / "manifest.json", entry)
    return entry


def export_weights(value: float, folder: str, epoch: int = 2, step: int = 8, **more) -> None:
    """Export a checkpoint of 2 planned epochs and 8 planned steps with a weight of `value`."""
    checkpoint = {
        "epoch": epoch,
        "state_dict": {"module.weight": torch.tensor([1.0, value]), "module.bias": torch.tensor([0.0])},
        "optimizer": {"state": {0: {"step": torch.tensor(float(step))}}},
    }
    export(checkpoint | more, 2, 8, Path(folder))


def decode(testset: str, model: str, folder: str, workers: int = 0, task: str = "classification") -> dict:
    """Decode a test set as the rule does, manifest included."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    entry = decode_testset(Path(testset), task, framing_of(model), Path(folder), workers)
    write_json(Path(folder) / "manifest.json", entry)
    return entry


def evaluator_of(folder: str | dict[str, float], average: str = "logits", batch_size: int = 16) -> Evaluator:
    """What evaluates the model in a folder, or those in several with their shares."""
    shares = {folder: 1.0} if isinstance(folder, str) else folder
    return load_evaluator(list(map(Path, shares)), list(shares.values()), average, "cpu", batch_size)


def evaluate(
    folder: str | dict[str, float], testsets: dict[str, list[str]], class_maps: dict[str, str] | None = None, **options
) -> list:
    """Evaluate on test sets, each given as its folder and that of its decoded images; the first is the reference."""
    paths = {name: (Path(path), Path(decoded)) for name, (path, decoded) in testsets.items()}
    reference = next(iter(paths), "")
    subsets = subsets_of(paths, reference, class_maps or {})
    return list(evaluate_clip(evaluator_of(folder, **options), paths, reference, subsets))


def retrieve(model: str, folder: str, tag: str | None = None, checkpoint: str | None = None) -> dict:
    """Bring a published checkpoint into a folder as the rule does, manifest included."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    entry = retrieve_pretrained(model, tag, checkpoint, Path(folder))
    write_json(Path(folder) / "manifest.json", entry)
    return entry


def heads_of(folder: str, testsets: list[list[str]]) -> int:
    """How many text heads a model computes for test sets, each given as above."""
    evaluator = evaluator_of(folder)
    for path, decoded in testsets:
        evaluator.logits([Path(path)], open_decoded(Path(decoded)))
    return len(evaluator.heads)


def evaluate_with_clip_benchmark(folder: str, testset: str) -> dict:
    """The metrics that CLIP_benchmark itself gives for a model and a test set."""
    from clip_benchmark.datasets.builder import build_wds_dataset, image_captions_collate_fn
    from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model, tokenizer = model.eval(), open_clip.get_tokenizer(f"local-dir:{folder}")
    dataset = build_wds_dataset("mine", transform, split="test", data_dir=testset)
    if dataset.classes is None:
        loader = torch.utils.data.DataLoader(dataset, batch_size=16, collate_fn=image_captions_collate_fn)
        return zeroshot_retrieval.evaluate(model, loader, tokenizer, "cpu", amp=False, recall_k_list=[1, 5, 10])
    loader = torch.utils.data.DataLoader(dataset.batched(16), batch_size=None)
    return zeroshot_classification.evaluate(
        model, loader, tokenizer, dataset.classes, dataset.templates, "cpu", amp=False
    )


def weights_of(folder: str | dict[str, float], **options) -> dict[str, list[float]]:
    """The state of the (first) network that is evaluated, as lists of numbers."""
    state = evaluator_of(folder, **options).networks[0][0].state_dict()
    return {name: tensor.flatten().tolist() for name, tensor in state.items()}


def logits_with_open_clip(folder: str, testset: str, names: list[str]) -> dict:
    """Logits of a test set's images for the classes `names`, and labels, by open_clip alone."""
    import io

    from PIL import Image

    folder, testset = f"local-dir:{folder}", Path(testset)
    model, _, transform = open_clip.create_model_and_transforms(folder)
    model.eval()
    templates = read_lines(testset / "zeroshot_classification_templates.txt")
    tokenizer, head = open_clip.get_tokenizer(folder), []
    samples = [sample for shard in shards_of(testset) for sample in read_samples(shard, "classification")]
    with torch.no_grad():
        for name in names:
            texts = model.encode_text(tokenizer([template.format(c=name) for template in templates]), normalize=True)
            head.append(torch.nn.functional.normalize(texts.mean(dim=0), dim=0))
        images = torch.stack([transform(Image.open(io.BytesIO(image))) for _, image, _ in samples])
        logits = 100 * model.encode_image(images, normalize=True) @ torch.stack(head, dim=1)
    return {"logits": logits.tolist(), "labels": [int(answer) for _, _, answer in samples]}


def score(logits: list[list[float]], labels: list[int]) -> list:
    logits, labels = torch.tensor(logits), torch.tensor(labels)
    return [label_ranks(logits, labels), metrics_of(logits, labels)]


def main() -> None:
    calls = (train, export_weights, decode, retrieve, heads_of, evaluate, evaluate_with_clip_benchmark, score)
    calls += (logits_with_open_clip, weights_of)
    functions = {function.__name__: function for function in calls}
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            # The trainer prints; what it says belongs to the messages, not to the answer.
            with redirect_stdout(sys.stderr):
                answer = {"value": functions[name](**arguments)}
        except (TrainingError, EvaluationError, TestsetError, ManifestError, ClassesError, PretrainedError) as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer | {"epochs": trained_epochs}), flush=True)
        trained_epochs.clear()


if __name__ == "__main__":
    main()
