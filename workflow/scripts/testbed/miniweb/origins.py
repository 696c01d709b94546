"""What the mini-web answers in place of the hosts of published test sets, tables and weights.

Like its pages they are under the reserved top-level domain ``.test``: huggingface.test has test sets in the layout of
CLIP_benchmark's repositories and random weights in that of open_clip's, tables.test has `TABLES`.
"""

import hashlib
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

from testbed.miniweb.testsets import make_testset
from testbed.records.shipped import ROOT

TABLES = ROOT / "resources" / "paper_small"
"""Folder of the published tables in small."""

WEIGHTS = "open_clip_model.safetensors"

# ImageNet calls two of its classes missile; ObjectNet's alarm clock is two of ImageNet's classes.
IMAGENET = (
    ("analog clock", "clock"),
    ("digital clock", "clock"),
    ("missile", "airplane"),
    ("umbrella", "umbrella"),
    ("missile", "airplane"),
    ("mushroom", "mushroom"),
)
TESTSETS = {
    "imagenet1k": ("imagenet", IMAGENET, (0, 0, 1, 2, 2, 3, 4, 5)),
    "imagenetv2": ("v2", IMAGENET, (0, 1, 1, 5)),
    "imagenet-r": ("rendition", (("missile", "airplane"), ("mushroom", "mushroom")), (0, 0, 1)),
    "imagenet_sketch": ("sketch", IMAGENET, (0, 0, 2, 3)),
    "objectnet": ("objectnet", (("alarm clock", "clock"), ("umbrella", "umbrella")), (0, 1, 1)),
}
"""By the name of the real test set: what is drawn, the classes (name, object), and the images' labels.

Classes differ in their numbers, because models that are hardly trained see the same class in all images.
"""

TEMPLATES = ("a photo of a {c}.",)


def model_of(repository: str) -> str | None:
    """The open_clip model whose weights the Hub's `repository` has, or None."""
    import open_clip

    return next(
        (
            model
            for model, tag in open_clip.list_pretrained()
            if open_clip.get_pretrained_cfg(model, tag).get("hf_hub") == f"{repository}/"
        ),
        None,
    )


def draw_weights(model: str, path: Path) -> None:
    """Write random weights of the open_clip model `model`, the same each time, in half precision to `path`."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = open_clip.create_model(model, precision="fp16")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)


class Origins:
    """The files of all these hosts, each drawn when it is first asked for."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="miniweb-")
        self.lock = threading.Lock()

    def find(self, url: str) -> Path | None:
        """The file that is at `url`, or None."""
        parts = urlsplit(url)
        # Whoever can reach the port can ask.
        if ".." in parts.path.split("/"):
            return None
        match parts.hostname, parts.path.removeprefix("/").split("/"):
            case "tables.test", [name]:
                found = TABLES / name
            case "huggingface.test", ["datasets", "clip-benchmark", repository, "resolve", "main", *rest]:
                found = self._testset(repository.removeprefix("wds_")).joinpath(*rest)
            case "huggingface.test", [owner, repository, "resolve", "main", name] if name == WEIGHTS:
                found = self._weights(f"{owner}/{repository}")
            case _:
                return None
        return found if found.is_file() else None

    def _testset(self, name: str) -> Path:
        folder = Path(self.folder.name) / "testsets" / name
        with self.lock:
            if name in TESTSETS and not folder.exists():
                kind, classes, labels = TESTSETS[name]
                make_testset(kind, labels, 0, folder, classes, TEMPLATES)
        return folder

    def _weights(self, repository: str) -> Path:
        path = Path(self.folder.name) / repository / WEIGHTS
        with self.lock:
            if not path.exists() and (model := model_of(repository)):
                draw_weights(model, path)
        return path


def headers_of(path: Path) -> dict[str, str]:
    """What the Hub says of a file besides, and huggingface_hub asks for: its digest and the revision that has it."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"ETag": f'"{digest}"', "X-Repo-Commit": digest[:40]}
