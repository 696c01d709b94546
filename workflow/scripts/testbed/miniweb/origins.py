"""Files that the mini-web serves instead of the hosts of published test sets, tables and weights.

Their hosts are under the reserved top-level domain ``.test``, like the pages. huggingface.test has test sets in the layout
of CLIP_benchmark's repositories, and random weights in that of open_clip's. tables.test has the files in `TABLES`.
"""

import hashlib
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

from testbed.miniweb.testsets import make_testset
from testbed.records.shipped import ROOT

TABLES = ROOT / "resources" / "paper_small"
"""Folder with small versions of the published tables."""

WEIGHTS = "open_clip_model.safetensors"

# As in the real sets: two of ImageNet's classes are called missile, and ObjectNet's alarm clock is two ImageNet classes.
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
"""By the name of the real test set: the kind of test set to draw, the classes (name, object), and the images' labels.

Classes have different numbers of images, because models after little training predict the same class for all images.
"""

TEMPLATES = ("a photo of a {c}.",)


def model_of(repository: str) -> str | None:
    """Return the open_clip model whose weights are in the Hub's `repository`, or None."""
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
    """Write random weights of the open_clip model `model` to `path`, in half precision and the same each time."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = open_clip.create_model(model, precision="fp16")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)


class Origins:
    """The files of these hosts. Each is made at its first request."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="miniweb-")
        self.lock = threading.Lock()

    def find(self, url: str) -> Path | None:
        """Return the path of the file at `url`, or None."""
        parts = urlsplit(url)
        # Any process on the machine can send requests.
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
    """Return the headers that huggingface_hub needs: the file's digest and revision."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"ETag": f'"{digest}"', "X-Repo-Commit": digest[:40]}
