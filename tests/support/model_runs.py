"""Trains and evaluates small models for the tests, in a process of its own, which pays once for its slow imports.

It answers one request per line: the name of a function below and its arguments.
"""

import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import open_clip
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import train_clip
from decode_testset import decode_testset, preprocessing_of
from evaluate_clip import evaluate_clip, subsets_of
from retrieve_pretrained import PretrainedError, retrieve_pretrained
from score_pairs import score_pairs
from testbed.evaluation.class_subsets import ClassesError
from testbed.evaluation.evaluator import EvaluationError, Evaluator, load_evaluator
from testbed.evaluation.metrics import label_ranks, metrics_of
from testbed.evaluation.tasks import TestsetError, read_lines
from testbed.evaluation.testsets import open_decoded, read_samples, shards_of
from testbed.models.devices import DeviceError
from testbed.models.networks import WEIGHTS_FILE, NetworkError
from testbed.records.manifest import ManifestError, read_json, record, write_json
from testbed.records.parts import read_parts
from testbed.shards.samples import SampleError, read_image
from testbed.training import loading, trainer
from testbed.training.checkpoints import CheckpointError, write_trained
from testbed.training.recipe import RUN, TrainingError
from traced_trainer import traced

ERRORS = (TrainingError, EvaluationError, TestsetError, ManifestError, ClassesError, PretrainedError)
launch_command = train_clip.launch_command
write = trainer.OpenClipTraining.checkpoint


def launch_traced(architecture: dict, module: str, request: Path) -> list[str]:
    """The command that runs traced_trainer.py for each device."""
    *command, _, _, request = launch_command(architecture, module, request)
    return [*command, str(Path(__file__).with_name("traced_trainer.py")), request]


train_clip.launch_command = launch_traced
ERRORS += (CheckpointError, DeviceError, NetworkError, SampleError)

trained_steps: list[int] = []
"""Numbers of the steps that were trained since the last answer."""


def train(
    architecture: dict,
    trainset: str,
    seed: int,
    folder: str,
    die_at: int | None = None,
    how: int = signal.SIGKILL,
    log: str | None = None,
    **options,
) -> dict:
    """Train as the rule does, manifest included; the signal `how` comes when the step `die_at` begins.

    What `traced_trainer` notes of the steps is in the model's folder. On several devices it is the first process that gets
    SIGKILL.
    """

    def watched(loader):
        for step, batch in traced(loader):
            if step == die_at:
                os.kill(os.getpid(), how)
            trained_steps.append(step)
            yield batch

    def checkpoint(training, step):
        write(training, step)
        if step == die_at:
            os.kill(os.getpid(), how)

    loading.Loader.__iter__, trainer.OpenClipTraining.checkpoint = watched, checkpoint
    Path(folder).mkdir(parents=True, exist_ok=True)
    os.environ |= {"TRACE": folder, "DIE_AT": str(-1 if die_at is None else die_at)}
    entry = train_clip.train_clip(architecture, Path(trainset), seed, Path(folder), log=log and Path(log), **options)
    write_json(Path(folder) / "manifest.json", entry)
    return entry


def export_weights(value: float, folder: str, steps: int | None = 8, scaled: bool = False) -> None:
    """Export a model with a weight of `value` that took `steps` of 8, or that did not come to its end (None)."""
    work = Path(folder) / RUN
    work.mkdir()
    if steps:
        state = {"_orig_mod.module.weight": torch.tensor([1.0, value]), "module.bias": torch.tensor([0.0])}
        write_trained(work, state, {"state": {0: {"step": torch.tensor(float(steps))}}}, scaled, torch.tensor([2, 2]))
    train_clip.export(Path(folder), 8)


def decode(
    testset: str, model: str, folder: str, workers: int = 0, task: str = "classification", tag: str | None = None
) -> dict:
    """Decode a test set as the rule does, manifest included."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    entry = decode_testset(Path(testset), task, preprocessing_of(model, tag), Path(folder), workers)
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
    return logits_of_network(load_with_open_clip(f"local-dir:{folder}"), Path(testset), names)


def load_with_open_clip(name: str, **options) -> tuple:
    """A model that open_clip loads with its own options, its transform and its tokenizer."""
    model, _, transform = open_clip.create_model_and_transforms(name, **options)
    return model.eval(), transform, open_clip.get_tokenizer(name)


def logits_of_network(network: tuple, testset: Path, names: list[str]) -> dict:
    model, transform, tokenizer = network
    templates = read_lines(testset / "zeroshot_classification_templates.txt")
    head = []
    samples = [sample for shard in shards_of(testset) for sample in read_samples(shard, "classification")]
    with torch.no_grad():
        for name in names:
            texts = model.encode_text(tokenizer([template.format(c=name) for template in templates]), normalize=True)
            head.append(torch.nn.functional.normalize(texts.mean(dim=0), dim=0))
        images = torch.stack([transform(Image.open(io.BytesIO(image))) for _, image, _ in samples])
        logits = 100 * model.encode_image(images, normalize=True) @ torch.stack(head, dim=1)
    return {"logits": logits.tolist(), "labels": [int(answer) for _, _, answer in samples]}


def answer_with_open_clip(name: str, testset: str, samples: str, shards: str, **options) -> dict:
    """Logits of a test set's images, and cosine similarities of a pool's pairs, one by one, by open_clip alone."""
    network = model, transform, tokenizer = load_with_open_clip(name, **options)
    answer = logits_of_network(network, Path(testset), read_lines(Path(testset) / "classnames.txt")) | {"scores": []}
    for row in (row for table in read_parts(Path(samples)) for row in table.to_pylist()):
        with open(Path(shards) / row["shard"], "rb") as file, torch.no_grad():
            image = model.encode_image(transform(Image.open(io.BytesIO(read_image(file, row["offset"]))))[None])
            similarity = torch.cosine_similarity(image, model.encode_text(tokenizer([row["caption"]])))
            answer["scores"].append(similarity.item())
    return answer


def answer_as_rules(
    folder: str | dict[str, float],
    testset: str,
    decoded: str,
    samples: str | None = None,
    shards: str | None = None,
    texts: Sequence[str] = (),
) -> dict:
    """What the rules compute with a model, or an ensemble, in a folder: logits of a test set's images and its evaluation,
    scores of a pool's pairs, and tokens of `texts`."""
    shares = {folder: 1.0} if isinstance(folder, str) else folder
    evaluator = load_evaluator(list(map(Path, shares)), list(shares.values()), "logits", "cpu", 4)
    logits, *_ = evaluator.averages(evaluator.logits([Path(testset)], open_decoded(Path(decoded)))[0]).values()
    rows, table = evaluate_clip(evaluator, {"mine": (Path(testset), Path(decoded))}, "mine", [])
    answer = {"logits": logits.tolist(), "rows": rows, "table": table}
    answer["tokens"] = evaluator.tokenizer(list(texts)).tolist() if texts else []
    if samples:
        scores = Path(f"{decoded}-scores")
        scores.mkdir()
        write_json(scores / "manifest.json", score_pairs(Path(samples), Path(shards), Path(folder), scores, "cpu", 4))
        answer["scores"] = [row["clip_score"] for table in read_parts(scores) for row in table.to_pylist()]
    return answer


def copy_changed(folder: str, target: str) -> None:
    """Copy a model's folder, with other weights: its own with their matrices turned around by rows."""
    folder, target = Path(folder), Path(target)
    names = [file["name"] for file in read_json(folder / "manifest.json")["files"]]
    target.mkdir()
    for name in names:
        shutil.copy(folder / name, target / name)
    weights = load_file(folder / WEIGHTS_FILE)
    changed = {name: tensor.flip(0).contiguous() if tensor.ndim == 2 else tensor for name, tensor in weights.items()}
    save_file(changed, target / WEIGHTS_FILE)
    write_json(target / "manifest.json", {"files": [record(target / name) for name in names]})


def publish_halves(folder: str, path: str) -> None:
    """Write the weights in a model's folder in half precision, as most are published."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    weights = load_file(Path(folder) / WEIGHTS_FILE)
    save_file({name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}, path)


def score(logits: list[list[float]], labels: list[int]) -> list:
    logits, labels = torch.tensor(logits), torch.tensor(labels)
    return [label_ranks(logits, labels), metrics_of(logits, labels)]


def main() -> None:
    calls = (train, export_weights, decode, retrieve, heads_of, evaluate, evaluate_with_clip_benchmark, score)
    calls += (logits_with_open_clip, weights_of, answer_with_open_clip, answer_as_rules, copy_changed, publish_halves)
    functions = {function.__name__: function for function in calls}
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            # The trainer prints; what it says belongs to the messages, not to the answer.
            with redirect_stdout(sys.stderr):
                answer = {"value": functions[name](**arguments)}
        except ERRORS as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer | {"steps": trained_steps}), flush=True)
        trained_steps.clear()


if __name__ == "__main__":
    main()
