"""Zero-shot evaluation of one model, or of several whose outputs are averaged, with CLIP_benchmark's code."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testbed.evaluation.averages import averages_of
from testbed.evaluation.class_subsets import Subset
from testbed.evaluation.preprocessing import Preprocessing
from testbed.evaluation.tasks import read_lines
from testbed.evaluation.testsets import Decoded
from testbed.models.devices import check_gpus
from testbed.models.networks import CONFIG_FILE, memory_format, open_tokenizer
from testbed.models.pixels import as_pixels, normalise
from testbed.records.manifest import problem, read_json

if TYPE_CHECKING:
    import torch

RECALLS = (1, 5, 10)


class EvaluationError(RuntimeError):
    """A model or a test set cannot be evaluated."""


class Batches:
    """Batches of a decoded test set as CLIP_benchmark expects: normalised images (B, 3, H, W) on `device`, and targets.

    `visual` is the image tower of the model that they are for.
    """

    def __init__(self, decoded: Decoded, visual: "torch.nn.Module", batch_size: int, device: str):
        import torch

        self.decoded, self.batch_size, self.device = decoded, batch_size, device
        preprocess, self.memory_format = visual.preprocess_cfg, memory_format(visual)
        self.mean, self.std = (torch.tensor(preprocess[name], device=device).view(-1, 1, 1) for name in ("mean", "std"))

    def __iter__(self) -> Iterator[tuple["torch.Tensor", "torch.Tensor | list"]]:
        import torch

        starts = range(0, len(self.decoded.keys), self.batch_size)
        # The next batch is read from disk while the model computes this one.
        with ThreadPoolExecutor(1) as reader:
            pending = [reader.submit(self.read, start) for start in starts[:1]]
            for number, start in enumerate(starts):
                images = pending.pop().result()
                pending += [reader.submit(self.read, later) for later in starts[number + 1 : number + 2]]
                targets = self.decoded.targets[start : start + self.batch_size]
                if self.decoded.task != "retrieval":
                    targets = torch.tensor(targets)
                pixels = as_pixels(images, self.device, self.memory_format)
                yield normalise(pixels, self.mean, self.std), targets

    def read(self, start: int) -> "torch.Tensor":
        """The batch of uint8 images (B, H, W, 3) that begins at `start`."""
        import torch

        return torch.from_numpy(np.array(self.decoded.images[start : start + self.batch_size]))


@dataclass
class Evaluator:
    """Evaluates one model on test sets, or several models whose outputs are averaged with their shares as weights.

    `networks` are pairs of a model and its share; all have the same tokenizer and the same preprocessing. `average` is one
    of `testbed.evaluation.averages.AVERAGES`.
    """

    networks: list[tuple[object, float]]
    tokenizer: object
    device: str
    batch_size: int
    average: str = "logits"
    heads: dict[tuple, list["torch.Tensor"]] = field(default_factory=dict)

    def head(self, folder: Path) -> list["torch.Tensor"]:
        """Each network's zero-shot classification head: text embeddings (D, C) of the classes of the test set in `folder`.

        Heads are cached for test sets with the same classes and templates.
        """
        from clip_benchmark.metrics.zeroshot_classification import zero_shot_classifier

        names = read_lines(folder / "classnames.txt")
        templates = read_lines(folder / "zeroshot_classification_templates.txt")
        key = (tuple(names), tuple(templates))
        if key not in self.heads:
            # No automatic mixed precision: bfloat16 logits can tie, and then accuracy depends on the order of classes.
            self.heads[key] = [
                zero_shot_classifier(network, self.tokenizer, names, templates, self.device, amp=False)
                for network, _ in self.networks
            ]
        return self.heads[key]

    def batches(self, folder: Path, decoded: Decoded) -> Batches:
        """Batches of the test set in `folder`; raises `EvaluationError` if it was decoded with another preprocessing."""
        visual = self.networks[0][0].visual
        preprocessing = Preprocessing.of(visual.preprocess_cfg)
        if decoded.preprocessing != preprocessing:
            raise EvaluationError(
                f"{folder}: was decoded with {decoded.preprocessing}, and the model needs {preprocessing}. Delete "
                "results/decoded to have it decoded again."
            )
        return Batches(decoded, visual, self.batch_size, self.device)

    def logits(self, folders: Sequence[Path], decoded: Decoded) -> tuple[list["torch.Tensor"], "torch.Tensor"]:
        """Each network's logits (N, C) of the first folder's images for the classes of all `folders`; labels (N, ...)."""
        import torch
        from clip_benchmark.metrics.zeroshot_classification import run_classification

        batches, found = self.batches(folders[0], decoded), []
        for index, (network, _) in enumerate(self.networks):
            head = torch.cat([self.head(folder)[index] for folder in folders], dim=1)
            logits, labels = run_classification(network, head, batches, self.device, amp=False)
            found.append(logits)
        return found, labels

    def averages(self, logits: Sequence["torch.Tensor"]) -> dict[str, "torch.Tensor"]:
        """Average scores (N, C) of the networks' `logits`: by `average` first, of several networks then by the others."""
        return averages_of(logits, self.networks, self.average)

    def classify(
        self, testset: str, folders: Mapping[str, Path], decoded: Decoded, reference: str, subsets: Sequence[Subset]
    ) -> Iterator[tuple[str, dict[str, "torch.Tensor"], "torch.Tensor", np.ndarray]]:
        """Each scoring, over all classes and over subsets: classes, scores by average (N, C), labels (N,), image keys (N,).

        `folders` has the folders of the test sets by name. Raises `EvaluationError` if a label has no class name.
        """
        own = [subset for subset in subsets if subset.shift == testset]
        # The reference's classes are appended to the shift's, so that one pass over the images computes both.
        logits, labels = self.logits([folders[testset], *(folders[reference] for _ in own)], decoded)
        names = len(read_lines(folders[testset] / "classnames.txt"))
        check_labels(folders[testset], int(labels.max()) + 1, names)
        keys = np.array(decoded.keys)
        yield "all", self.averages([one[:, :names] for one in logits]), labels, keys
        for subset in own:
            yield subset.shift, self.restricted(subset, [one[:, names:] for one in logits]), labels, keys
        for subset in subsets if testset == reference else []:
            shift_labels = subset.labels_of(labels)
            kept = shift_labels >= 0
            if not kept.any():
                raise EvaluationError(
                    f"{folders[testset]}: has no image of the classes of {subset.shift}. Copy the test set again."
                )
            scores = self.restricted(subset, [one[kept] for one in logits])
            yield subset.shift, scores, shift_labels[kept], keys[kept.numpy()]

    def restricted(self, subset: Subset, logits: Sequence["torch.Tensor"]) -> dict[str, "torch.Tensor"]:
        """The averages (N, groups) over the classes of `subset`, from the networks' logits for the reference's classes."""
        averages = self.averages([subset.without_others(one) for one in logits])
        return {average: subset.restrict(scores) for average, scores in averages.items()}

    def precision(self, folder: Path, decoded: Decoded) -> list[dict]:
        """CLIP_benchmark's mean average precision on a multi-label test set."""
        from clip_benchmark.metrics.zeroshot_classification import average_precision_per_class

        logits, labels = self.logits([folder], decoded)
        scores = self.averages(logits)[self.average]
        check_labels(folder, labels.shape[1], scores.shape[1])
        value = float(average_precision_per_class(scores, labels).mean())
        return [{"metric": "mean_average_precision", "n": len(labels), "correct": None, "value": value}]

    def retrieval(self, folder: Path, decoded: Decoded) -> list[dict]:
        """CLIP_benchmark's recall@k: the share of texts whose image is among the top k, and of images with such a text."""
        from clip_benchmark.metrics.zeroshot_retrieval import evaluate

        if len(self.networks) > 1:
            logging.info(
                "%s: a retrieval task has no logits to average, so the ensemble is not evaluated on it", folder
            )
            return []
        images = len(decoded.keys)
        queries = {"image": sum(len(captions) for captions in decoded.targets), "text": images}
        ks = [k for k in RECALLS if k <= images]
        model, batches = self.networks[0][0], self.batches(folder, decoded)
        values = evaluate(model, batches, self.tokenizer, self.device, amp=False, recall_k_list=ks)
        return [
            {
                "metric": f"{kind}_recall@{k}",
                "n": n,
                "correct": round(values[f"{kind}_retrieval_recall@{k}"] * n),
                "value": values[f"{kind}_retrieval_recall@{k}"],
            }
            for kind, n in queries.items()
            for k in ks
        ]


def check_labels(folder: Path, labels: int, names: int) -> None:
    """Raise `EvaluationError` if the test set in `folder` has more labels than class names."""
    if labels > names:
        raise EvaluationError(
            f"{folder}: an image has label {labels - 1}, and classnames.txt has {names} names. "
            "Labels count from 0, in the order of classnames.txt."
        )


def load_model(folder: Path, device: str):
    """The model and tokenizer in `folder`; raises `EvaluationError` if a file is damaged.

    Raises `DeviceError` if `device` is cuda and there is no GPU.
    """
    import open_clip

    if device == "cuda":
        check_gpus(1)

    for file in read_json(folder / "manifest.json")["files"]:
        wrong = problem(folder, file)
        if wrong:
            raise EvaluationError(f"{wrong}. Delete {folder}/manifest.json to train the model again.")
    name = f"local-dir:{folder}"
    model = open_clip.create_model(name, device=device).eval()
    model.visual.to(memory_format=memory_format(model.visual))
    return model, open_tokenizer(name)


def load_evaluator(
    folders: Sequence[Path], shares: Sequence[float], average: str, device: str, batch_size: int
) -> Evaluator:
    """The evaluator of the model in one folder, or of models in several that are averaged by `shares`.

    `average` is one of `testbed.evaluation.averages.AVERAGES`, or weights.

    Raises `EvaluationError` for models of different architectures. When weights are averaged, also for models that
    different versions of open_clip or torch initialised.
    """
    same = {CONFIG_FILE: [read_json(folder / CONFIG_FILE) for folder in folders]}
    if average == "weights":
        same["versions"] = [read_json(folder / "manifest.json")["versions"] for folder in folders]
    for name, values in same.items():
        for folder, value in zip(folders, values, strict=True):
            if value != values[0]:
                raise EvaluationError(
                    f"{folder}: {name} is {value}, but {values[0]} in {folders[0]}, so the models cannot be averaged. Train "
                    "one of them again."
                )
    networks, tokenizer = [], None
    for folder, share in zip(folders, shares, strict=True):
        network, tokenizer = load_model(folder, device)
        networks.append((network, share))
    if average == "weights":
        return Evaluator([(average_weights(networks), 1.0)], tokenizer, device, batch_size)
    return Evaluator(networks, tokenizer, device, batch_size, average)


def average_weights(networks: Sequence[tuple[object, float]]):
    """The model whose weights are the average of the models' weights, by their shares; it replaces the first model.

    Averaging works only for models with the same initial weights (Wortsman et al. 2022, "Model soups"). Models of one
    architecture and training seed have them, because open_clip's trainer draws the weights before it reads data. The
    statistics of batch normalisation are averaged too, although the averaged model would have others.
    """
    states = [(network.state_dict(), share) for network, share in networks]
    first = networks[0][0]
    averaged = {
        name: sum(share * state[name] for state, share in states) if tensor.is_floating_point() else tensor
        for name, tensor in states[0][0].items()
    }
    first.load_state_dict(averaged)
    return first
